using System.Text.Json.Serialization;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Feeds;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Groups;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(Finding))]
[JsonSerializable(typeof(FindingDetail))]
[JsonSerializable(typeof(FindingPage))]
[JsonSerializable(typeof(StatusChange))]
[JsonSerializable(typeof(BulkStatusChange))]
[JsonSerializable(typeof(BulkSuppressionChange))]
[JsonSerializable(typeof(BulkAnswer))]
[JsonSerializable(typeof(SuppressionChange))]
[JsonSerializable(typeof(SeverityChange))]
[JsonSerializable(typeof(AssigneeChange))]
[JsonSerializable(typeof(Page<ServiceView>))]
[JsonSerializable(typeof(IReadOnlyList<SlaPolicy>))]
[JsonSerializable(typeof(Evidence))]
[JsonSerializable(typeof(Import))]
[JsonSerializable(typeof(ImportProgress))]
[JsonSerializable(typeof(ImportResult))]
[JsonSerializable(typeof(ImportArguments))]
[JsonSerializable(typeof(IReadOnlyList<MergedItem>))]
[JsonSerializable(typeof(IReadOnlyList<ReportFormatView>))]
[JsonSerializable(typeof(FindingStatusChanged))]
[JsonSerializable(typeof(FindingSeverityChanged))]
[JsonSerializable(typeof(FindingSuppressionChanged))]
[JsonSerializable(typeof(FindingSlaWarned))]
[JsonSerializable(typeof(FindingSlaBreached))]
[JsonSerializable(typeof(SlaPolicies))]
[JsonSerializable(typeof(GatePolicy))]
[JsonSerializable(typeof(ServiceProfile))]
[JsonSerializable(typeof(ServiceView))]
[JsonSerializable(typeof(PolicyView<SlaPolicies>))]
[JsonSerializable(typeof(PolicyView<GatePolicy>))]
[JsonSerializable(typeof(Recomputation))]
[JsonSerializable(typeof(Policies.RecomputeArguments))]
[JsonSerializable(typeof(Policies.RecomputeProgress))]
[JsonSerializable(typeof(SettlementAudit))]
[JsonSerializable(typeof(GateRaised))]
[JsonSerializable(typeof(GateWithdrawn))]
[JsonSerializable(typeof(ScanImported))]
[JsonSerializable(typeof(FindingAudit))]
[JsonSerializable(typeof(ScanAudit))]
[JsonSerializable(typeof(FindingAnswer))]
[JsonSerializable(typeof(FindingContent))]
[JsonSerializable(typeof(FindingAttributes))]
[JsonSerializable(typeof(Gates.Gate))]
[JsonSerializable(typeof(Feed))]
[JsonSerializable(typeof(FeedList))]
[JsonSerializable(typeof(FeedUpdate))]
[JsonSerializable(typeof(FeedProgress))]
[JsonSerializable(typeof(FeedArguments))]
[JsonSerializable(typeof(FeedAudit))]
[JsonSerializable(typeof(AliasEdges))]
[JsonSerializable(typeof(FindingGroup))]
[JsonSerializable(typeof(GroupPage))]
[JsonSerializable(typeof(GroupLinks))]
[JsonSerializable(typeof(GroupSplit))]
[JsonSerializable(typeof(GroupSplits))]
[JsonSerializable(typeof(GroupsChanged))]
[JsonSerializable(typeof(GroupAudit))]
[JsonSerializable(typeof(Dictionary<string, string>[]))]
internal sealed partial class VulnCenterJson : JsonSerializerContext;

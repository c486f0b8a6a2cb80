using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Xml;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// A raw result is a <c>ReportItem</c> of a <c>ReportHost</c>, informational ones (severity 0) among them. An item of a
/// compliance audit is one check of many that share a plugin: the check is part of its rule, and one that passed is
/// rejected.
/// </summary>
internal static class NessusXml
{
    public const string RootName = "NessusClientData_v2";

    const string Host = $"{RootName}/Report/ReportHost";

    static readonly XmlPaths Paths = new($"{Host}/HostProperties", $"{Host}/ReportItem");

    public static async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, IReadOnlyList<SeverityMapping> severities, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await XmlMap.ReadAsync(report, Paths, context, cancellationToken);
        var (failure, scannedAt) = await HostsAsync(map, cancellationToken);
        yield return new ReportItem.ScannerSeen("nessus")
        {
            Category = Bounded.Identity(map.Sections.Select(section => section.Parent.Within("Report")?.Attribute("name")).FirstOrDefault()),
            ScannedAt = scannedAt,
            Hosts = [.. map.Sections.Select(section => NessusFormat.HostOf(section.Parent.Attribute("name"))).OfType<string>().Distinct(StringComparer.Ordinal)],
            Results = map.Count("ReportItem"),
            Failure = failure,
        };
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                if (item.Name == "ReportItem")
                    yield return Read(item, item.Parse(), section.Parent.Attribute("name"), severities);
            }
        }
    }

    // Nessus notes the end of each host's scan; a scan that was stopped or exported while it ran has hosts without. HOST_START is
    // the scanner's local time; the scan began when that of its first host did.
    static async Task<(string? Failure, DateTimeOffset? Began)> HostsAsync(XmlMap map, CancellationToken cancellationToken)
    {
        var ended = new HashSet<XmlPlace>();
        DateTimeOffset? began = null;
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                if (item.Name != "HostProperties")
                    break;
                var tags = item.Parse().Children("tag").ToList();
                if (tags.Exists(tag => tag.AttributeText("name") == "HOST_END"))
                    ended.Add(section.Parent);
                if (ReportTimes.OfEpoch(tags.Find(tag => tag.AttributeText("name") == "HOST_START_TIMESTAMP").Text()) is { } start && !(start > began))
                    began = start;
            }
        }
        var unfinished = map.Sections.Select(section => section.Parent).FirstOrDefault(host => !ended.Contains(host));
        return (unfinished is null ? null : $"The scan of {Bounded.Word(unfinished.Attribute("name"))} has no end (HOST_END).", began);
    }

    static ReportItem Read(XmlItem item, XElement raw, string? host, IReadOnlyList<SeverityMapping> severities)
    {
        if (raw.AttributeText("pluginID") is not { } plugin)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "pluginID is missing.");
        if (NessusFormat.Resource(host, raw.AttributeText("port"), raw.AttributeText("protocol")) is not { } resource)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "The ReportHost has no name.");
        if (raw.Text("compliance-result") is "PASSED")
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.NotAProblem, "The compliance check passed.");
        var check = raw.Text("compliance-check-id") ?? raw.Text("compliance-check-name");
        var severity = raw.AttributeText("severity");
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Config,
            RuleId = Bounded.Identity(check is null ? plugin : $"{plugin}:{check}") ?? plugin,
            Title = Bounded.Title(raw.Text("compliance-check-name") ?? raw.AttributeText("pluginName") ?? raw.Text("plugin_name") ?? plugin),
            Description = Bounded.Description(string.Join(
                "\n\n", new[] { raw.Text("synopsis"), raw.Text("description"), raw.Text("compliance-info"), raw.Text("solution") }.OfType<string>())),
            RawSeverity = Bounded.Word(severity),
            Severity = severities.Map(severity),
            Cvss = NessusFormat.Cvss(
                (raw.Text("cvss4_vector"), raw.Text("cvss4_base_score")),
                (raw.Text("cvss3_vector"), raw.Text("cvss3_base_score")),
                (raw.Text("cvss_vector"), raw.Text("cvss_base_score"))),
            Identifiers = Identifiers.Advisories(raw.Texts("cve")),
            Cwes = Identifiers.Cwes(raw.Texts("cwe")),
            Resource = resource,
            References = WebPlaces.Links(raw.Texts("see_also")),
        });
    }
}

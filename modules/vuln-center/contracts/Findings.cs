using System.Text.Json;

namespace Wave16.VulnCenter.Contracts;

/// <summary>A finding as lists show it.</summary>
/// <param name="Source">The scanner or human source: <c>trivy</c>, <c>red-team</c>.</param>
/// <param name="Rule">The scanner's rule, or the advisory for a vulnerable component.</param>
/// <param name="SeverityFrom">What decided the severity: <c>override</c> an analyst, <c>cvss-4.0</c> the vector of that version
/// (<c>cvss-3.1/environmental</c> with the service's metrics), <c>source</c> the source's mapping table.</param>
/// <param name="Regression">It is open again after it was fixed or verified.</param>
/// <param name="Gate">It stands at the safety gate now.</param>
/// <param name="Version">Counts changes; the entity tag of <c>If-Match</c>. Seeing a finding again is not a change.</param>
public sealed record Finding(
    Guid Id,
    string Service,
    string Source,
    FindingKind Kind,
    string Rule,
    string Title,
    Severity Severity,
    string SeverityFrom,
    FindingStatus Status,
    DateTimeOffset StatusSince,
    bool Regression,
    bool Gate,
    IReadOnlyList<string> Identifiers,
    FindingComponent? Component,
    FindingLocation? Location,
    IReadOnlyList<string> Environments,
    string? Assignee,
    DateTimeOffset FirstSeen,
    DateTimeOffset LastSeen,
    long Version,
    FindingRisk Risk,
    Suppression? Suppression,
    FindingSla Sla);

/// <summary>How likely and how urgent, beside the severity.</summary>
/// <param name="CvssScore">0.0 to 10.0, computed from <paramref name="CvssVector"/>; null without a vector.</param>
/// <param name="Epss">Probability of exploitation in the next 30 days, 0 to 1, from the feed.</param>
/// <param name="Kev">Known to be exploited, by CISA's catalog.</param>
/// <param name="Ssvc">Null unless the service says what depends on it.</param>
public sealed record FindingRisk(decimal? CvssScore, string? CvssVector, double? Epss, bool Kev, SsvcDecision? Ssvc);

/// <param name="Until">It ends then by itself.</param>
public sealed record Suppression(SuppressionKind Kind, string Reason, DateTimeOffset Since, DateTimeOffset Until);

/// <summary>A finding's deadline.</summary>
/// <param name="Policy">Null: no SLA.</param>
/// <param name="Due">Null while the clock stands, and after the fix.</param>
/// <param name="Since">When the clock was started.</param>
public sealed record FindingSla(SlaState State, string? Policy, DateTimeOffset? Since, DateTimeOffset? Due, DateTimeOffset? Warned, DateTimeOffset? Breached);

/// <param name="Purl">Package URL.</param>
public sealed record FindingComponent(string Name, string? Version, string? Purl, IReadOnlyList<string> FixedVersions, string? Manifest, string? Image);

/// <param name="Line">1-based; null when the report has none.</param>
public sealed record FindingLocation(string? Path, int? Line, int? EndLine, string? Resource, string? Url);

/// <summary>A finding with everything that is known of it.</summary>
/// <param name="OtherLocations">Where else the same result stands, as some SARIF tools say; at most 100.</param>
/// <param name="Code">Null for what stands in no file.</param>
/// <param name="NeverMergedWith">Findings it was split from, or that were split from it.</param>
/// <param name="Group">Findings of other sources that are the same problem; null when there are none.</param>
/// <param name="SuppressedInSource">How the source itself set it aside. Shown, and without effect: what is suppressed here, people decide.</param>
/// <param name="Extra">Fields of the normalized schema that its version does not know, as they were sent.</param>
public sealed record FindingDetail(
    Finding Finding,
    string? Description,
    string? RawSeverity,
    IReadOnlyList<ReportedScore> Cvss,
    IReadOnlyList<int> Cwes,
    IReadOnlyList<string> References,
    string? SecretPreview,
    IReadOnlyList<Observation> Observations,
    IReadOnlyList<Decision> Decisions,
    IReadOnlyList<Transition> History,
    IReadOnlyList<Evidence> Evidence,
    IReadOnlyList<FindingLocation> OtherLocations,
    CodeLink? Code,
    IReadOnlyList<NeverMerged> NeverMergedWith,
    FindingGroup? Group = null,
    SourceSuppression? SuppressedInSource = null,
    JsonElement? Extra = null);

/// <summary>What a report says of a result that its own tool does not count.</summary>
/// <param name="Kind">SARIF's <c>inSource</c> (a comment in the code) or <c>external</c>; <c>suppressed</c> where it says none.</param>
public sealed record SourceSuppression(string Kind, string? Justification);

/// <summary>Where the code is that a finding stands in.</summary>
/// <param name="Repository">As the last scan names it, else as the service's profile does; null when neither does.</param>
/// <param name="Commit">That the last scan was of.</param>
/// <param name="StartLine">1-based.</param>
/// <param name="Link">To the lines, where the repository's host is known to have such links; null otherwise.</param>
public sealed record CodeLink(string? Repository, string? Commit, string Path, int? StartLine, int? EndLine, string? Link);

/// <summary>A CVSS vector as the scanner reported it.</summary>
/// <param name="Score">The scanner's own: recorded, not trusted.</param>
/// <param name="Origin">Who scored it: <c>nvd</c>, <c>redhat</c> …; empty when not said.</param>
/// <param name="Computed">What the vector gives; null when it is none.</param>
/// <param name="Differs">The scanner's score is none that its vector gives.</param>
/// <param name="Fault">Why the vector is none, and from which character on; it then decides nothing.</param>
public sealed record ReportedScore(string Version, string Vector, decimal? Score, string Origin, decimal? Computed = null, bool Differs = false, string? Fault = null);

/// <summary>One raw result of a report.</summary>
/// <param name="PayloadHash">SHA-256 of the raw result's bytes (keyed when they can hold a secret), 64 lower-case hexadecimal digits.</param>
/// <param name="Pointer">RFC 6901 pointer into the report it first came in.</param>
/// <param name="Identity">Null for observations of before it was kept.</param>
public sealed record Observation(Guid Id, Guid Scan, string PayloadHash, string Pointer, string? RawSeverity, DateTimeOffset At, ObservationIdentity? Identity);

/// <summary>Why an observation became, or did not become, part of a finding.</summary>
/// <param name="RuleSet">Version of the source's dedup rules.</param>
/// <param name="Key">Canonical key that decided, 64 hexadecimal digits; its kind names the rule.</param>
/// <param name="Fields">The key's fields with their values.</param>
public sealed record Decision(
    DateTimeOffset At, Guid Scan, string Pointer, Outcome Outcome, string Reason, int RuleSet, string? KeyKind, string? Key,
    IReadOnlyDictionary<string, string> Fields, IReadOnlyList<Guid> Candidates);

/// <summary>One change of a finding: who, when, why, from which scan.</summary>
public sealed record Transition(long Version, DateTimeOffset At, string Actor, string Change, FindingStatus? From, FindingStatus To, string? Reason, Guid? Scan);

/// <summary>What shows that a finding is gone. References are stored, never fetched.</summary>
/// <param name="Scan">A complete scan of the same service by the same source, finished after the fix, that does not show the finding.</param>
/// <param name="Sha256">Digest of an artifact that is attached to the finding, 64 hexadecimal digits.</param>
/// <param name="Uri">Where the artifact is kept.</param>
public sealed record Evidence(Guid? Scan = null, string? Sha256 = null, string? Uri = null, string? Note = null);

/// <summary>Body of <c>POST /findings/{id}/status</c>.</summary>
/// <param name="Reason">1 to 2,000 characters; required to withdraw a triage and to claim a fix.</param>
/// <param name="Evidence">Required for <c>verified</c>.</param>
public sealed record StatusChange(FindingStatus Status, string? Reason = null, Evidence? Evidence = null);

/// <summary>A page of a list.</summary>
/// <param name="Next">Cursor of the next page; null on the last one.</param>
/// <param name="Facets">Counts by field and value, when asked for with <c>facets=true</c>.</param>
/// <param name="FacetsOf">How many of the matches were counted, when there are more: 50,000. Null when all of them were.</param>
public sealed record FindingPage(IReadOnlyList<Finding> Items, string? Next, IReadOnlyDictionary<string, IReadOnlyDictionary<string, long>>? Facets, int? FacetsOf = null);

/// <summary>Body of <c>PUT /findings/{id}/suppression</c>.</summary>
/// <param name="Reason">1 to 2,000 characters.</param>
/// <param name="Until">When it ends by itself: within 366 days.</param>
public sealed record SuppressionChange(SuppressionKind Kind, string Reason, DateTimeOffset Until);

/// <summary>Body of <c>PUT /findings/{id}/severity</c>: an analyst's word, before any vector and mapping.</summary>
/// <param name="Reason">1 to 2,000 characters.</param>
public sealed record SeverityChange(Severity Severity, string Reason);

/// <summary>Body of <c>PUT /findings/{id}/assignee</c>.</summary>
/// <param name="Assignee">A team or a subject, 1 to 200 characters; null: nobody.</param>
public sealed record AssigneeChange(string? Assignee);

/// <summary>One finding of a bulk change.</summary>
/// <param name="Version">The version the change was made against; null: whichever is current.</param>
public sealed record BulkItem(Guid Id, long? Version = null);

/// <summary>Body of <c>POST /findings/status</c>: the same change of many findings, each by itself.</summary>
/// <param name="Items">1 to 1,000, each once.</param>
public sealed record BulkStatusChange(IReadOnlyList<BulkItem> Items, FindingStatus Status, string? Reason = null, Evidence? Evidence = null);

/// <summary>Body of <c>POST /findings/suppression</c>.</summary>
/// <param name="Items">1 to 1,000, each once.</param>
/// <param name="Kind">Null: lifts the suppressions.</param>
/// <param name="Until">With a kind.</param>
public sealed record BulkSuppressionChange(IReadOnlyList<BulkItem> Items, SuppressionKind? Kind, string Reason, DateTimeOffset? Until = null);

/// <summary>What became of a bulk change.</summary>
/// <param name="Items">In the order they were sent.</param>
public sealed record BulkAnswer(int Done, int Refused, IReadOnlyList<BulkOutcome> Items);

/// <param name="Version">The finding's version now; 0 when there is no such finding.</param>
/// <param name="Code">Why it was refused; null when it was done.</param>
public sealed record BulkOutcome(Guid Id, long Version, string? Code = null, string? Detail = null);

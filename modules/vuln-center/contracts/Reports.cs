using System.Text.Json;

namespace Wave16.VulnCenter.Contracts;

/// <summary><c>GET /reports/safety-console</c>: docs/reports/safety-console.v1.schema.json.</summary>
/// <param name="AsOf">When the latest change in it was made; null when there was none yet.</param>
public sealed record SafetyConsoleReport(
    string SchemaVersion, DateTimeOffset? AsOf, IReadOnlyList<ServiceGate> Services, IReadOnlyList<ReportedGate> Gates);

/// <param name="Blocked">At least one finding stands at the gate.</param>
public sealed record ServiceGate(string Service, bool Blocked, long Gates);

/// <summary>A finding that stands at the gate.</summary>
/// <param name="Key"><c>vuln:{service}:{finding}</c>.</param>
/// <param name="Since">When it entered the status it has.</param>
/// <param name="Url">The finding's page.</param>
/// <param name="Kev">Known to be exploited, by CISA's catalog.</param>
/// <param name="Due">Its deadline; null: no SLA, or its clock stands.</param>
/// <param name="Breached">When its deadline passed; null: it has not.</param>
public sealed record ReportedGate(
    string Key, string Service, Guid Finding, Severity Severity, FindingStatus Status, DateTimeOffset Since, string Title, string Url,
    bool Kev = false, DateTimeOffset? Due = null, DateTimeOffset? Breached = null);

/// <summary><c>GET /reports/control-plane</c>: docs/reports/control-plane.v1.schema.json.</summary>
/// <param name="AsOf">When the latest change in it was made; null when there was none yet.</param>
public sealed record ControlPlaneReport(string SchemaVersion, DateTimeOffset? AsOf, IReadOnlyList<ServicePosture> Items);

/// <param name="Counts">Findings by severity and by status; every severity and every status is there.</param>
/// <param name="Open">Findings that are open or triaged, suppressed ones included.</param>
/// <param name="WorstOpen">The highest severity of those; null when there are none.</param>
/// <param name="OldestOpen">When the first of those was first seen.</param>
/// <param name="Gate"><c>blocked</c> or <c>clear</c>.</param>
/// <param name="Suppressed">Of the open ones, those that are set aside.</param>
/// <param name="KnownExploited">Of the open ones, those in CISA's catalog.</param>
/// <param name="Overdue">Of the open ones, those whose deadline has passed.</param>
/// <param name="Backlog">The open ones that are not suppressed.</param>
public sealed record ServicePosture(
    string Service, IReadOnlyDictionary<string, IReadOnlyDictionary<string, long>> Counts, long Open, Severity? WorstOpen, DateTimeOffset? OldestOpen,
    string Gate, long Gates, long Suppressed, long KnownExploited, long Overdue, PostureBacklog Backlog);

/// <summary>What <c>GET /findings/summary</c> counts as open: open or triaged, and not suppressed.</summary>
/// <param name="KnownExploited">Of those, the ones in CISA's catalog.</param>
/// <param name="BySeverity">Every severity is there.</param>
public sealed record PostureBacklog(long Open, long KnownExploited, IReadOnlyDictionary<string, long> BySeverity);

/// <summary><c>GET /reports/program-graph</c>, JSON Graph Format 2 (jsongraphformat.info): docs/reports/program-graph.v1.schema.json.</summary>
public sealed record ProgramGraphReport(ProgramGraph Graph);

public sealed record ProgramGraph(
    string Id, string Type, string Label, bool Directed, IReadOnlyDictionary<string, JsonElement> Metadata, IReadOnlyDictionary<string, ProgramNode> Nodes,
    IReadOnlyList<ProgramEdge> Edges);

/// <param name="Metadata"><c>kind</c> is <c>service</c>, <c>component</c>, <c>file</c> or <c>finding</c>; a finding has its severity, status …</param>
public sealed record ProgramNode(string Label, IReadOnlyDictionary<string, JsonElement> Metadata);

/// <param name="Relation"><c>affects</c>, <c>in</c>, <c>located-at</c> or <c>part-of</c>.</param>
public sealed record ProgramEdge(string Source, string Target, string Relation);

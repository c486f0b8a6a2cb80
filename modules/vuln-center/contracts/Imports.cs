namespace Wave16.VulnCenter.Contracts;

/// <summary>An import: <c>POST /findings/imports</c>, <c>GET /findings/imports/{id}</c>.</summary>
/// <param name="State"><c>queued</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</param>
/// <param name="Result">Present when it succeeded.</param>
public sealed record Import(Guid Id, string State, ImportProgress Progress, ImportResult? Result, string? Problem);

/// <summary>Numbers of raw results.</summary>
public sealed record ImportProgress(long Read, long Matched, long Written);

/// <summary>What an import did. <c>Observations = New + Matched + Reopened + Rejected</c>, always.</summary>
/// <param name="Observations">Raw results in the report.</param>
/// <param name="FindingsChanged">Existing findings it shows whose version grew: reopened, or with another severity, place or version.</param>
/// <param name="FindingsFixed">Findings that a complete scan no longer shows.</param>
/// <param name="RepeatOf">The scan whose report was byte for byte the same.</param>
/// <param name="Rejections">The first 1,000; all of them are decisions of the scan.</param>
/// <param name="Items">For <c>POST /findings</c> only: one per finding sent, in order.</param>
/// <param name="Format">What the report was read as: with <c>format=auto</c> what was seen.</param>
/// <param name="Warnings">At most 100 different ones.</param>
public sealed record ImportResult(
    long Observations,
    long New,
    long Matched,
    long Reopened,
    long Rejected,
    long FindingsChanged,
    long FindingsFixed,
    Guid? RepeatOf,
    IReadOnlyList<ScanResult> Scans,
    IReadOnlyList<RejectedResult> Rejections,
    IReadOnlyList<ImportedItem>? Items,
    string? Format = null,
    IReadOnlyList<ImportWarning>? Warnings = null);

/// <summary>Something that was taken, but perhaps not as it was meant.</summary>
/// <param name="Code">Stable: <c>severity.unmapped</c>.</param>
/// <param name="Pointer">RFC 6901 pointer of the first raw result of which it is true.</param>
/// <param name="Value">What it is about: a severity as the report writes it.</param>
/// <param name="Count">Of how many raw results it is true.</param>
public sealed record ImportWarning(string Code, string Pointer, string Value, long Count, string Reason)
{
    public const string UnmappedSeverity = "severity.unmapped";
}

/// <summary>The part of an import that concerns one service. <c>New</c> results each made a finding.</summary>
/// <param name="ClosesNothing">Why a scan that is said to be complete closed nothing; null when it could have.</param>
/// <param name="NotJudged">What a complete scan left open because it says nothing of it; null when there is nothing such.</param>
public sealed record ScanResult(
    Guid Scan, string Service, string Source, ScanScope Scope, long Observations, long New, long Matched, long Reopened, long Rejected, long FindingsChanged,
    long FindingsFixed, string? ClosesNothing, NotJudged? NotJudged = null);

/// <summary>Open and triaged findings of the source in the service, within the scan's filter, that it neither showed nor could close.</summary>
/// <param name="Kinds">Of those, kinds that the scan did not look for, as far as its report tells.</param>
/// <param name="Images">Images it was not of; the first 100.</param>
/// <param name="Hosts">Hosts it was not of, with their ports; the first 100.</param>
public sealed record NotJudged(long Findings, IReadOnlyList<FindingKind> Kinds, IReadOnlyList<string> Images, IReadOnlyList<string> Hosts);

/// <param name="Pointer">RFC 6901 pointer of the raw result.</param>
/// <param name="Code">Stable: <c>result.unreadable</c>.</param>
public sealed record RejectedResult(string Pointer, string Code, string Reason);

/// <summary>What became of one finding of <c>POST /findings</c>, in the order they were sent.</summary>
public sealed record ImportedItem(string Pointer, Outcome Outcome, Guid? Finding);

/// <summary>One imported report, as far as it concerns one service.</summary>
/// <param name="Import">The import it came with.</param>
/// <param name="Failure">Why it did not finish, as the report says.</param>
/// <param name="ClosesNothing">Why it closed nothing although it is said to be complete.</param>
/// <param name="Category">The tool's own name of this run of it.</param>
/// <param name="Images">Repositories of the images that were scanned; an empty name stands for what is no image.</param>
/// <param name="Kinds">What was looked for; null: everything.</param>
/// <param name="Hosts">Hosts that were scanned, <c>shop.example:443</c> or <c>10.0.20.5</c> for all of its ports; empty where the report does not say.</param>
/// <param name="ReportDigest">SHA-256 of the report, 64 hexadecimal digits.</param>
/// <param name="StartedAt">When the scan began, as the import or the report says; else when the report was received.</param>
/// <param name="FinishedAt">When it was merged.</param>
public sealed record Scan(
    Guid Id, Guid Import, string Service, string Source, string Tool, string? ToolVersion, string Format, ScanScope Scope, string? ScopeFilter, string? Failure,
    string? ClosesNothing, string? Category, IReadOnlyList<string> Images, IReadOnlyList<FindingKind>? Kinds, string? Repository, string? Commit, string ReportDigest,
    DateTimeOffset StartedAt, DateTimeOffset FinishedAt, ScanCounts Counts, IReadOnlyList<string> Hosts, NotJudged? NotJudged = null);

/// <summary>Raw results by outcome, and findings it changed and no longer showed.</summary>
public sealed record ScanCounts(long New, long Matched, long Reopened, long Rejected, long FindingsChanged, long FindingsFixed);

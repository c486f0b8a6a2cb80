using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// What a report holds, in document order: first who scanned, then the results. Every raw result is exactly one
/// <see cref="Observed"/> or one <see cref="Rejected"/>, so the counts can be checked against the report.
/// </summary>
internal abstract record ReportItem
{
    ReportItem() { }

    /// <summary>A scan in the report (SARIF: one per run), before its results.</summary>
    public sealed record ScannerSeen(string Tool) : ReportItem
    {
        public string? Version { get; init; }

        /// <summary>What the scan looked at, when the scanner names it: SARIF's automation id, Trivy's artifact name.</summary>
        public string? Category { get; init; }

        /// <summary>The image as scanned, with tag or digest.</summary>
        public string? Image { get; init; }

        /// <summary>The tool's own name of this run of it, the same every time: SARIF's automation id without what identifies the one run.</summary>
        public string? Run { get; init; }

        /// <summary>Hosts that were scanned, as <see cref="ScanHosts"/> writes them, those without a result too; empty where the scanner does not list them.</summary>
        public IReadOnlyList<string> Hosts { get; init; } = [];

        /// <summary>The scanner scans hosts, and its report names those only that it has results of.</summary>
        public bool HostsAreOfResults { get; init; }

        /// <summary>What the scan looked for, where the report tells; null: everything the tool knows.</summary>
        public IReadOnlyList<FindingKind>? Kinds { get; init; }

        /// <summary>Where the scanned code is kept, and which commit of it was scanned.</summary>
        public string? Repository { get; init => field = WebPlaces.WithoutCredentials(value); }

        public string? Commit { get; init; }

        /// <summary>
        /// When the scan began; when its report was written, where that is all it says. Null without a time, or without an offset to it.
        /// </summary>
        public DateTimeOffset? ScannedAt { get; init; }

        /// <summary>How many raw results follow before the next <see cref="ScannerSeen"/>.</summary>
        public int Results { get; init; }

        /// <summary>Set when the report itself says the scan did not finish. Such a scan must not close anything.</summary>
        public string? Failure { get; init; }
    }

    public sealed record Observed(RawObservation Observation) : ReportItem;

    /// <summary>One raw result that is not an observation, with one of <see cref="RejectionCodes"/>; the others are unaffected.</summary>
    public sealed record Rejected(string Pointer, long Offset, string Code, string Reason) : ReportItem
    {
        /// <summary>
        /// What is said to be no problem, where the report speaks of something that may be there all the same: a VEX statement, a
        /// false positive, a suppression. Null where the scanner looked and found nothing.
        /// </summary>
        public RawObservation? About { get; init; }
    }
}

/// <summary>Stable codes of rejected results.</summary>
internal static class RejectionCodes
{
    /// <summary>The result is not an object, or a field that identifies it is missing or of the wrong type.</summary>
    public const string Unreadable = "result.unreadable";

    /// <summary>A check that passed or did not apply; or a result that the report itself calls no problem (<see cref="ReportItem.Rejected.About"/>).</summary>
    public const string NotAProblem = "result.not-a-problem";

    /// <summary>The scanner reports a result as no longer there (SARIF baseline state "absent").</summary>
    public const string Absent = "result.absent";
}

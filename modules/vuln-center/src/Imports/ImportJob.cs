using Wave16.Platform.Work;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports;

/// <summary>What is left to do for a staged report. The results themselves are in staging.</summary>
/// <param name="Digest">SHA-256 of the report.</param>
/// <param name="StartedAt">When it was received.</param>
internal sealed record ImportArguments(
    string Format, ScanScope Scope, string? ScopeFilter, byte[] Digest, DateTimeOffset StartedAt, bool WithItems, Guid? RepeatOf,
    bool ExpectEmpty, long Read, IReadOnlyList<ScanSeen> Scans, IReadOnlyList<RejectedResult> Rejections, IReadOnlyList<ImportWarning>? Warnings = null);

/// <summary>Merges the scans of a staged report, one transaction each. An attempt that is cut short is begun again: what is merged is not merged twice.</summary>
internal sealed class ImportJob(ImportMerge merge) : IJobHandler<ImportArguments>
{
    public const string KindName = "import";

    public async Task<JobOutcome> RunAsync(JobContext job, ImportArguments arguments, CancellationToken cancellation)
    {
        List<ScanResult> scans = [];
        List<MergedItem> items = [];
        var (matched, written) = (0L, 0L);
        foreach (var seen in arguments.Scans)
        {
            // A report is taken as a whole: who cancels it once a part of it is merged comes too late.
            var going = scans.Count == 0 ? cancellation : CancellationToken.None;
            var merged = await merge.MergeAsync(
                new StagedScan(
                    job.Tenant, job.JobId, arguments.Format, arguments.Scope, arguments.ScopeFilter, seen, arguments.ExpectEmpty, arguments.Digest, Began(seen, arguments), arguments.StartedAt, job.CreatedBy, seen.RuleSet, arguments.WithItems),
                connection => job.GuardAsync(connection, going),
                step => job.ReportAsync(
                    new ImportProgress(arguments.Read, matched + step.Matched, written + step.Written), VulnCenterJson.Default.ImportProgress,
                    step.Written > 0 ? CancellationToken.None : going),
                going);
            scans.Add(merged.Scan);
            items.AddRange(merged.Items);
            matched += merged.Scan.Observations;
            written += merged.Scan.Observations;
        }

        return JobOutcome.Success(
            new ImportResult(
                scans.Sum(scan => scan.Observations), scans.Sum(scan => scan.New), scans.Sum(scan => scan.Matched), scans.Sum(scan => scan.Reopened),
                scans.Sum(scan => scan.Rejected), scans.Sum(scan => scan.FindingsChanged), scans.Sum(scan => scan.FindingsFixed), arguments.RepeatOf, scans, arguments.Rejections,
                arguments.WithItems ? [.. items.OrderBy(item => item.Ordinal).Select(item => item.Item)] : null, arguments.Format, arguments.Warnings),
            VulnCenterJson.Default.ImportResult);
    }

    // What was received was scanned before, whatever the scanner's clock says.
    private static DateTimeOffset Began(ScanSeen seen, ImportArguments arguments) => seen.BeganAt < arguments.StartedAt ? seen.BeganAt.Value : arguments.StartedAt;
}

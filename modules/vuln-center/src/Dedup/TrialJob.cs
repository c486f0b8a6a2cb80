using System.Data;
using System.Text.Json;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Dedup;

/// <param name="Version">Of the rules that the keys would follow.</param>
internal sealed record TrialArguments(string Source, int Version, IReadOnlyList<DedupKeyRule> Keys);

/// <summary>What other keys would do to the findings there are, all in one snapshot. Nothing is written but temporary tables, and memory does not grow with the findings.</summary>
internal sealed class TrialJob([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database) : IJobHandler<TrialArguments>
{
    public const string KindName = "dedup-trial";

    private const int Listed = 100;

    public async Task<JobOutcome> RunAsync(JobContext job, TrialArguments arguments, CancellationToken cancellation)
    {
        var (tenant, source) = (job.Tenant, arguments.Source);
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellation);
        if ((await RuleSets.CurrentAsync(connection, tenant, source, cancellation)).Version != arguments.Version)
        {
            return JobOutcome.Failure(new Refusal(ProblemCodes.PreconditionFailed.Code, "The rules were changed meanwhile; read them again and decide anew."));
        }

        var all = await connection.ScalarAsync<long>("select count(*) from vuln_center.finding where tenant = $1 and source = $2", cancellation, tenant, source);
        var done = 0L;
        var preview = new DedupPreview(source, arguments.Version, 0, 0, 0, 0, [], []);
        foreach (var service in await RekeyJob.ServicesAsync(connection, tenant, source, cancellation))
        {
            var scope = new SourceScope(tenant, service, source);
            var (_, keyed, _, _) = await FindingKeys.VersionsAsync(connection, scope, cancellation);
            var rekeying = new Rekeying(
                connection, scope, await RuleSets.FindAsync(connection, tenant, source, keyed, cancellation), RuleSets.Of(source, arguments.Version + 1, arguments.Keys),
                await Refinements.LoadAsync(connection, tenant, service, source, cancellation))
            {
                Looks = true,
                Progress = findings => job.ReportAsync(new DedupTrialProgress(all, done += findings), VulnCenterJson.Default.DedupTrialProgress, cancellation),
            };
            var (counts, _) = await rekeying.PlanAsync(cancellation);
            var (splits, firstSplits) = await rekeying.SplitsAsync(cancellation);
            var (merges, firstMerges) = await rekeying.MergesAsync(cancellation);
            preview = preview with
            {
                Findings = preview.Findings + counts.Findings,
                Unknown = preview.Unknown + counts.Unknown,
                Splits = preview.Splits + splits,
                Merges = preview.Merges + merges,
                SplitFindings = [.. preview.SplitFindings.Concat(firstSplits).Take(Listed)],
                MergedFindings = [.. preview.MergedFindings.Concat(firstMerges).Take(Listed)],
            };
        }

        return JobOutcome.Success(preview, VulnCenterJson.Default.DedupPreview);
    }
}

/// <summary>Starts trials of rules and tells how they go.</summary>
internal sealed class Trials(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, [FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs)
{
    // Small ones are done by then.
    private const int WaitSeconds = 20;

    private static readonly DedupTrialProgress None = new(0, 0);

    public async Task<(DedupTrial? Trial, Refusal? Refusal)> StartAsync(
        string tenant, string actor, string source, IfMatch ifMatch, IReadOnlyList<DedupKeyRule> keys, int? wait, CancellationToken cancellation)
    {
        int version;
        await using (var connection = await database.OpenAsync(cancellation))
        {
            version = (await RuleSets.CurrentAsync(connection, tenant, source, cancellation)).Version;
        }

        if (ifMatch.Check(version) is { } stale)
        {
            return (null, stale);
        }

        var id = Guid.CreateVersion7();
        await jobs.EnqueueAsync(NewJob.Of(tenant, id, TrialJob.KindName, new TrialArguments(source, version, keys), VulnCenterJson.Default.TrialArguments, actor), cancellation);
        return (View(await jobs.WaitAsync(tenant, id, TimeSpan.FromSeconds(wait ?? WaitSeconds), cancellation)), null);
    }

    public async Task<DedupTrial?> FindAsync(string tenant, Guid id, CancellationToken cancellation) => View(await jobs.FindAsync(tenant, id, cancellation));

    public async Task<DedupTrial?> CancelAsync(string tenant, Guid id, CancellationToken cancellation) =>
        await FindAsync(tenant, id, cancellation) is null ? null : View(await jobs.CancelAsync(tenant, id, cancellation));

    private static DedupTrial? View(Job? job) => job is not { Kind: TrialJob.KindName }
        ? null
        : new DedupTrial(
            job.Id,
            JsonNamingPolicy.KebabCaseLower.ConvertName(job.State.ToString()),
            job.Progress.TryGetProperty("findings", out _) ? job.Progress.Deserialize(VulnCenterJson.Default.DedupTrialProgress) ?? None : None,
            job.Result?.Deserialize(VulnCenterJson.Default.DedupPreview),
            job.Problem?.Detail);
}

using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Policies;

/// <param name="Why">For the history of the findings it changes.</param>
/// <param name="Service">Only its findings; null: all of the tenant.</param>
internal sealed record RecomputeArguments(string Why, string? Service);

internal sealed record RecomputeProgress(string Why, long Seen, long Changed);

/// <summary>Judges a tenant's findings anew, batch by batch in id order. An attempt that is cut short begins again: what is settled stays as it is.</summary>
internal sealed class RecomputeJob([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, Resettlement settlement, SettlingLock settling)
    : IJobHandler<RecomputeArguments>
{
    public const string KindName = "recompute";

    public async Task<JobOutcome> RunAsync(JobContext job, RecomputeArguments arguments, CancellationToken cancellation)
    {
        await settling.WaitAsync(job.Tenant, cancellation);
        var progress = new RecomputeProgress(arguments.Why, 0, 0);
        var last = Guid.Empty;
        while (await NextAsync(job.Tenant, arguments.Service, last, cancellation) is [.., var end] ids)
        {
            var changed = await settlement.SettleAsync(
                job.Tenant, ids, job.CreatedBy, arguments.Why, connection => job.GuardAsync(connection, cancellation), cancellation);
            progress = new RecomputeProgress(arguments.Why, progress.Seen + ids.Count, progress.Changed + changed);
            await job.ReportAsync(progress, VulnCenterJson.Default.RecomputeProgress, cancellation);
            last = end;
        }

        return JobOutcome.Success(progress, VulnCenterJson.Default.RecomputeProgress);
    }

    private async Task<List<Guid>> NextAsync(string tenant, string? service, Guid after, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            select id from vuln_center.finding
            where tenant = $1 and ($2::text is null or service = $2) and id > $3 order by id limit {Resettlement.BatchSize}
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(OptionalParameter.Text(service));
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = after });
        List<Guid> ids = [];
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            ids.Add(reader.GetGuid(0));
        }

        return ids;
    }
}

/// <summary>What recomputations are, and how they go.</summary>
internal sealed class Recomputations([FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs)
{
    /// <param name="command">The same one again starts the same recomputation.</param>
    public static NewJob JobOf(string tenant, string command, string actor, string why, string? service) => NewJob.Of(
        tenant, IdOf(command), RecomputeJob.KindName, new RecomputeArguments(why, service), VulnCenterJson.Default.RecomputeArguments, actor);

    public async Task<Recomputation?> FindAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        if (await jobs.FindAsync(tenant, id, cancellation) is not { Kind: RecomputeJob.KindName } job)
        {
            return null;
        }

        var progress = job.Progress.TryGetProperty("seen", out _) ? job.Progress.Deserialize(VulnCenterJson.Default.RecomputeProgress) : null;
        return new Recomputation(
            job.Id, JsonNamingPolicy.KebabCaseLower.ConvertName(job.State.ToString()), progress?.Why, progress?.Seen ?? 0, progress?.Changed ?? 0, job.Problem?.Detail);
    }

    private static Guid IdOf(string command) =>
        new(SHA256.HashData(Encoding.UTF8.GetBytes("recompute\0" + command)).AsSpan(0, 16), bigEndian: true);
}

using System.Text.Json;
using Microsoft.Extensions.Options;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Feeds;

/// <summary>Reads of feeds, their updates and the edges of aliases.</summary>
internal sealed class FeedQueries(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs,
    IOptions<ImportOptions> options)
{
    private const int MostShown = 1_000;
    private static readonly FeedProgress None = new(0, 0, 0, 0);

    public async Task<IReadOnlyList<Feed>> ListAsync(string tenant, CancellationToken cancellation)
    {
        List<Feed> feeds = [];
        await using var command = database.DataSource.CreateCommand("""
            select version, as_of, digest, case name when 'aliases' then (select count(*)::int from vuln_center.alias_edge e where e.tenant = $1) else entries end,
                   at, actor, audit_hash, settled, recompute, name
            from vuln_center.feed where tenant = $1 order by name
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var held = FeedIntake.Read(reader.GetString(9), reader);
            feeds.Add(new Feed(
                held.Name, held.Version, held.AsOf, held.Entries, Convert.ToHexStringLower(held.Digest), held.At, held.Actor, held.Settled == held.Version, held.Recompute));
        }

        return feeds;
    }

    public async Task<Feed?> FindAsync(string tenant, string name, CancellationToken cancellation) =>
        (await ListAsync(tenant, cancellation)).SingleOrDefault(feed => feed.Name == name);

    /// <param name="seconds">To wait for its end; the configured time unless given.</param>
    public async Task<FeedUpdate?> WaitAsync(string tenant, Guid update, int? seconds, CancellationToken cancellation) =>
        await ViewAsync(await jobs.WaitAsync(tenant, update, TimeSpan.FromSeconds(seconds ?? options.Value.WaitSeconds), cancellation), cancellation);

    public async Task<FeedUpdate?> FindUpdateAsync(string tenant, Guid update, CancellationToken cancellation) =>
        await ViewAsync(await jobs.FindAsync(tenant, update, cancellation), cancellation);

    public async Task<FeedUpdate?> CancelAsync(string tenant, Guid update, CancellationToken cancellation) =>
        await FindUpdateAsync(tenant, update, cancellation) is null ? null : await ViewAsync(await jobs.CancelAsync(tenant, update, cancellation), cancellation);

    public async Task<AliasEdges> EdgesAsync(string tenant, string id, CancellationToken cancellation)
    {
        List<string> cluster = [];
        List<AliasEdge> edges = [];
        await using var connection = await database.OpenAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        foreach (var sql in (string[])
        [
            """
            select m.id from vuln_center.alias_cluster c join vuln_center.alias_cluster m on m.tenant = c.tenant and m.cluster = c.cluster
            where c.tenant = $1 and c.id = $2 order by m.id collate "C" limit $3
            """,
            """
            with member as materialized (
              select m.id from vuln_center.alias_cluster c join vuln_center.alias_cluster m on m.tenant = c.tenant and m.cluster = c.cluster
              where c.tenant = $1 and c.id = $2
            ), edge as (
              select e.* from member m join vuln_center.alias_edge e on e.tenant = $1 and e.a = m.id
              union
              select e.* from member m join vuln_center.alias_edge e on e.tenant = $1 and e.b = m.id and not e.joined
            )
            select a, b, source, since, joined from edge order by a collate "C", b collate "C", source collate "C" limit $3
            """,
        ])
        {
            var command = new NpgsqlBatchCommand(sql);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = id });
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = MostShown });
            batch.BatchCommands.Add(command);
        }

        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            cluster.Add(reader.GetString(0));
        }

        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            edges.Add(new AliasEdge(reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetFieldValue<DateTimeOffset>(3), reader.GetBoolean(4)));
        }

        return new AliasEdges(id, cluster.Count == 0 ? [id] : cluster, edges);
    }

    /// <summary>What there was nothing to do for.</summary>
    public static FeedUpdate Unchanged(string name, FeedTaken taken) =>
        new(Id: null, name, taken.Version, "unchanged", taken.Applied.Added, taken.Applied.Changed, taken.Applied.Removed, taken.Applied.Ignored, None, Problem: null, taken.Applied.Unjoined);

    private async Task<FeedUpdate?> ViewAsync(Job? job, CancellationToken cancellation)
    {
        if (job is not { Kind: FeedJob.KindName })
        {
            return null;
        }

        await using var command = database.DataSource.CreateCommand("select arguments from platform.job where tenant = $1 and id = $2");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = job.Tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = job.Id });
        if (await command.ExecuteScalarAsync(cancellation) is not string arguments || JsonSerializer.Deserialize(arguments, VulnCenterJson.Default.FeedArguments) is not { } change)
        {
            return null;
        }

        var progress = job.Result ?? job.Progress;
        return new FeedUpdate(
            job.Id, change.Feed, change.Version, JsonNamingPolicy.KebabCaseLower.ConvertName(job.State.ToString()), change.Added, change.Changed, change.Removed, change.Ignored,
            progress.TryGetProperty("findings", out _) ? progress.Deserialize(VulnCenterJson.Default.FeedProgress) ?? None : None,
            job.Problem?.Detail,
            change.Unjoined);
    }
}

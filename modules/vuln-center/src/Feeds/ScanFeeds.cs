using Npgsql;
using Wave16.Platform.Work;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Feeds;

/// <summary>What a merge does with the feeds, in its transaction: it holds them still while its findings are settled, and adds the aliases its report states.</summary>
internal static class ScanFeeds
{
    /// <summary>Before EPSS and KEV are looked up for its findings.</summary>
    public static async Task BeforeSettlingAsync(
        NpgsqlConnection connection, Jobs jobs, string tenant, string source, DateTimeOffset now, CancellationToken cancellation)
    {
        await ExecuteAsync(connection, SettlingLock.Shared, cancellation, Text(tenant));
        await StateAliasesAsync(connection, jobs, tenant, source, now, cancellation);
    }

    private static async Task StateAliasesAsync(
        NpgsqlConnection connection, Jobs jobs, string tenant, string source, DateTimeOffset now, CancellationToken cancellation)
    {
        await ExecuteAsync(connection, FeedSql.Stated, cancellation, Text(tenant), Text(source));
        await using (var any = new NpgsqlCommand("select exists (select from alias_stated)", connection))
        {
            if (await any.ExecuteScalarAsync(cancellation) is not true)
            {
                return;
            }
        }

        await ExecuteAsync(connection, AliasClusters.Lock, cancellation, Text(tenant));
        await ExecuteAsync(connection, FeedSql.Touched, cancellation);
        await ExecuteAsync(connection, FeedSql.AddStated, cancellation, Text(tenant), Text(source), new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        var changed = await AliasClusters.RecomputeAsync(connection, tenant, cancellation);
        if (changed.Count > 0)
        {
            // Findings of other services, and those of this one that the report did not change, name these ids too.
            await jobs.EnqueueAsync(
                connection,
                NewJob.Of(
                    tenant, Guid.CreateVersion7(), FeedJob.KindName, new FeedArguments(FeedNames.Aliases, 0, changed.Ids, changed.Count, 0, 0, 0),
                    VulnCenterJson.Default.FeedArguments, $"system:{source}"),
                cancellation);
        }
    }

    private static NpgsqlParameter<string> Text(string value) => new() { TypedValue = value };

    private static async Task<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation, params NpgsqlParameter[] values)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 600 };
        command.Parameters.AddRange(values);
        return await command.ExecuteNonQueryAsync(cancellation);
    }
}

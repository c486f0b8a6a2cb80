using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Groups;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Feeds;

/// <summary>What is left to do after a change of a feed, which is in its tables.</summary>
/// <param name="Ids">Only findings that name one of these are affected; null: all may be.</param>
internal sealed record FeedArguments(string Feed, long Version, IReadOnlyList<string>? Ids, long Added, long Changed, long Removed, long Ignored);

/// <summary>
/// Makes findings agree with the feeds, and groups with the aliases, in short transactions. It computes from what the tables
/// hold when it comes to a finding, so an attempt that is cut short can be begun again, and two at once do no harm.
/// </summary>
internal sealed class FeedJob([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, Resettlement settlement) : IJobHandler<FeedArguments>
{
    public const string KindName = "feed";

    /// <summary>Components of one transaction: their service is locked until it ends.</summary>
    private const int CellBatchSize = 1_000;

    public async Task<JobOutcome> RunAsync(JobContext job, FeedArguments arguments, CancellationToken cancellation)
    {
        await ExecuteAsync(FeedSql.Barrier, cancellation, Tenant(job));
        var naming = arguments.Ids is { } ids ? await NamingAsync(job.Tenant, ids, cancellation) : null;
        var progress = new FeedProgress(naming?.Count ?? await CountAsync(job.Tenant, cancellation), 0, 0, 0);
        await foreach (var batch in BatchesAsync(job.Tenant, naming, cancellation))
        {
            var changed = await SettleAsync(job, arguments, batch, cancellation);
            progress = progress with { Done = progress.Done + batch.Length, Changed = progress.Changed + changed };
            await job.ReportAsync(progress, VulnCenterJson.Default.FeedProgress, cancellation);
        }

        if (arguments.Feed == FeedNames.Aliases)
        {
            await foreach (var changed in naming is null ? RegroupAsync(job, cancellation) : RegroupAsync(job, naming, cancellation))
            {
                progress = progress with { Groups = progress.Groups + changed };
                await job.ReportAsync(progress, VulnCenterJson.Default.FeedProgress, cancellation);
            }
        }

        await ExecuteAsync(
            FeedSql.Settle, cancellation, Tenant(job), new NpgsqlParameter<string> { TypedValue = arguments.Feed }, new NpgsqlParameter<long> { TypedValue = arguments.Version });
        return JobOutcome.Success(progress, VulnCenterJson.Default.FeedProgress);
    }

    private async Task<int> SettleAsync(JobContext job, FeedArguments arguments, Guid[] batch, CancellationToken cancellation)
    {
        List<Guid> differing = [];
        await using (var connection = await database.OpenAsync(cancellation))
        await using (var command = Command(connection, FeedSql.Differing, Tenant(job), new NpgsqlParameter<Guid[]> { TypedValue = batch }))
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation))
            {
                differing.Add(reader.GetGuid(0));
            }
        }

        if (differing.Count > 0)
        {
            await settlement.SettleAsync(
                job.Tenant, differing, job.CreatedBy, FormattableString.Invariant($"feed {arguments.Feed} {arguments.Version}"), connection => job.GuardAsync(connection, cancellation), cancellation);
        }

        return differing.Count;
    }

    private async IAsyncEnumerable<Guid[]> BatchesAsync(
        string tenant, IReadOnlyList<(Guid Finding, string Service, long? Cell)>? naming, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        if (naming is not null)
        {
            foreach (var batch in naming.Select(at => at.Finding).Order().Chunk(Resettlement.BatchSize))
            {
                yield return batch;
            }

            yield break;
        }

        for (Guid? after = null; ;)
        {
            List<Guid> batch = [];
            await using (var connection = await database.OpenAsync(cancellation))
            await using (var command = Command(
                connection, FeedSql.NextFindings, new NpgsqlParameter<string> { TypedValue = tenant },
                OptionalParameter.Of(after, NpgsqlDbType.Uuid), new NpgsqlParameter<int> { TypedValue = Resettlement.BatchSize }))
            await using (var reader = await command.ExecuteReaderAsync(cancellation))
            {
                while (await reader.ReadAsync(cancellation))
                {
                    batch.Add(reader.GetGuid(0));
                }
            }

            if (batch.Count == 0)
            {
                yield break;
            }

            yield return [.. batch];
            after = batch[^1];
        }
    }

    private async IAsyncEnumerable<int> RegroupAsync(
        JobContext job, IReadOnlyList<(Guid Finding, string Service, long? Cell)> naming, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        foreach (var service in naming.Where(at => at.Cell is not null).GroupBy(at => at.Service, at => at.Cell.GetValueOrDefault(), StringComparer.Ordinal))
        {
            foreach (var batch in service.Distinct().Chunk(CellBatchSize))
            {
                yield return await LockedAsync(job, service.Key, connection => GroupUpkeep.CellsAsync(connection, job.Tenant, service.Key, batch, cancellation), cancellation);
            }
        }
    }

    private async IAsyncEnumerable<int> RegroupAsync(JobContext job, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        foreach (var service in await ServicesAsync(job.Tenant, cancellation))
        {
            long? after = null;
            while (await NextCellsAsync(job.Tenant, service, after, cancellation) is { Count: > 0 } cells)
            {
                yield return await LockedAsync(job, service, connection => GroupUpkeep.CellsAsync(connection, job.Tenant, service, cells, cancellation), cancellation);
                after = cells[^1];
            }
        }
    }

    private async Task<int> LockedAsync(JobContext job, string service, Func<NpgsqlConnection, Task<int>> regroup, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await using (var command = Command(connection, MergeSql.Lock, Tenant(job), new NpgsqlParameter<string> { TypedValue = service }))
        {
            await command.ExecuteNonQueryAsync(cancellation);
        }

        var changed = await regroup(connection);
        await job.GuardAsync(connection, cancellation);
        await transaction.CommitAsync(cancellation);
        return changed;
    }

    private async Task<IReadOnlyList<(Guid Finding, string Service, long? Cell)>> NamingAsync(string tenant, IReadOnlyList<string> ids, CancellationToken cancellation)
    {
        List<(Guid, string, long?)> naming = [];
        await using var connection = await database.OpenAsync(cancellation);
        await using var command = Command(
            connection, GroupSql.Naming, new NpgsqlParameter<string> { TypedValue = tenant },
            new NpgsqlParameter<string[]> { TypedValue = [.. ids], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            naming.Add((reader.GetGuid(0), reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetInt64(2)));
        }

        return naming;
    }

    private async Task<long> CountAsync(string tenant, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var command = Command(connection, FeedSql.CountFindings, new NpgsqlParameter<string> { TypedValue = tenant });
        return (long)(await command.ExecuteScalarAsync(cancellation) ?? 0L);
    }

    private async Task<IReadOnlyList<string>> ServicesAsync(string tenant, CancellationToken cancellation)
    {
        List<string> services = [];
        await using var connection = await database.OpenAsync(cancellation);
        await using var command = Command(connection, GroupSql.Services, new NpgsqlParameter<string> { TypedValue = tenant });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            services.Add(reader.GetString(0));
        }

        return services;
    }

    private async Task<IReadOnlyList<long>> NextCellsAsync(string tenant, string service, long? after, CancellationToken cancellation)
    {
        List<long> cells = [];
        await using var connection = await database.OpenAsync(cancellation);
        await using var command = Command(
            connection, GroupSql.NextCells, new NpgsqlParameter<string> { TypedValue = tenant }, new NpgsqlParameter<string> { TypedValue = service },
            OptionalParameter.Of(after, NpgsqlDbType.Bigint), new NpgsqlParameter<int> { TypedValue = CellBatchSize });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            cells.Add(reader.GetInt64(0));
        }

        return cells;
    }

    private async Task ExecuteAsync(string sql, CancellationToken cancellation, params NpgsqlParameter[] values)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var command = Command(connection, sql, values);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static NpgsqlParameter<string> Tenant(JobContext job) => new() { TypedValue = job.Tenant };

    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, params NpgsqlParameter[] values)
    {
        var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 600 };
        command.Parameters.AddRange(values);
        return command;
    }
}

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
internal sealed record FeedArguments(string Feed, long Version, IReadOnlyList<string>? Ids, long Added, long Changed, long Removed, long Ignored, long Unjoined = 0);

/// <summary>
/// Makes findings agree with the feeds, and groups with the aliases, in short transactions. It computes from what the tables
/// hold when it comes to a finding, so an attempt that is cut short can be begun again, and two at once do no harm.
/// </summary>
internal sealed class FeedJob(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, Resettlement settlement, SettlingLock settling, ServiceTurns turns) : IJobHandler<FeedArguments>
{
    public const string KindName = "feed";

    /// <summary>Findings compared with the feeds at once. Nothing is locked meanwhile; of many the feeds are read once, not looked up for each.</summary>
    private const int WindowSize = 20_000;


    /// <summary>Components of one transaction: their service is locked until it ends.</summary>
    private const int CellBatchSize = 1_000;

    public async Task<JobOutcome> RunAsync(JobContext job, FeedArguments arguments, CancellationToken cancellation)
    {
        await settling.WaitAsync(job.Tenant, cancellation);
        var naming = arguments.Ids is { } ids ? await NamingAsync(job.Tenant, ids, cancellation) : null;
        var progress = new FeedProgress(naming?.Count ?? await CountAsync(job.Tenant, cancellation), 0, 0, 0);
        await foreach (var window in WindowsAsync(job.Tenant, naming, cancellation))
        {
            foreach (var differing in (await DifferingAsync(job, window, cancellation)).Chunk(Resettlement.BatchSize))
            {
                await SettleAsync(job, arguments, differing, cancellation);
                progress = progress with { Changed = progress.Changed + differing.Length };
                await job.ReportAsync(progress, VulnCenterJson.Default.FeedProgress, cancellation);
            }

            progress = progress with { Done = progress.Done + window.Length };
            await job.ReportAsync(progress, VulnCenterJson.Default.FeedProgress, cancellation);
        }

        if (arguments.Feed == FeedNames.Aliases)
        {
            var cells = naming is null
                ? await CellsAsync(job.Tenant, cancellation)
                : [.. naming.Where(at => at.Cell is not null).Select(at => (at.Service, at.Cell.GetValueOrDefault())).Distinct()];
            await foreach (var changed in RegroupAsync(job, cells, cancellation))
            {
                progress = progress with { Groups = progress.Groups + changed };
                await job.ReportAsync(progress, VulnCenterJson.Default.FeedProgress, cancellation);
            }
        }

        await ExecuteAsync(
            FeedSql.Settle, cancellation, Tenant(job), new NpgsqlParameter<string> { TypedValue = arguments.Feed }, new NpgsqlParameter<long> { TypedValue = arguments.Version });
        return JobOutcome.Success(progress, VulnCenterJson.Default.FeedProgress);
    }

    private async Task<IReadOnlyList<Guid>> DifferingAsync(JobContext job, Guid[] batch, CancellationToken cancellation)
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

        return differing;
    }

    private async Task SettleAsync(JobContext job, FeedArguments arguments, Guid[] differing, CancellationToken cancellation)
    {
        Task Guard(NpgsqlConnection connection) => job.GuardAsync(connection, cancellation);
        if (await settlement.RateAsync(job.Tenant, differing, Guard, cancellation) is { Count: > 0 } judged)
        {
            await settlement.SettleAsync(job.Tenant, judged, job.CreatedBy, FormattableString.Invariant($"feed {arguments.Feed} {arguments.Version}"), Guard, cancellation);
        }
    }

    private async IAsyncEnumerable<Guid[]> WindowsAsync(
        string tenant, IReadOnlyList<(Guid Finding, string Service, long? Cell)>? naming, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        if (naming is not null)
        {
            foreach (var batch in naming.Select(at => at.Finding).Order().Chunk(WindowSize))
            {
                yield return batch;
            }

            yield break;
        }

        for (var after = Guid.Empty; ;)
        {
            List<Guid> batch = [];
            await using (var connection = await database.OpenAsync(cancellation))
            await using (var command = Command(
                connection, FeedSql.NextFindings, new NpgsqlParameter<string> { TypedValue = tenant },
                new NpgsqlParameter<Guid> { TypedValue = after }, new NpgsqlParameter<int> { TypedValue = WindowSize }))
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
        JobContext job, IReadOnlyList<(string Service, long Cell)> cells, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        foreach (var service in cells.GroupBy(at => at.Service, at => at.Cell, StringComparer.Ordinal))
        {
            foreach (var batch in service.Chunk(CellBatchSize))
            {
                yield return await LockedAsync(job, service.Key, connection => GroupUpkeep.CellsAsync(connection, job.Tenant, service.Key, batch, cancellation), cancellation);
            }
        }
    }

    private async Task<int> LockedAsync(JobContext job, string service, Func<NpgsqlConnection, Task<int>> regroup, CancellationToken cancellation)
    {
        using var turn = await turns.TakeAsync(job.Tenant, [service], cancellation);
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

    private async Task<IReadOnlyList<(string Service, long Cell)>> CellsAsync(string tenant, CancellationToken cancellation)
    {
        List<(string, long)> cells = [];
        await using var connection = await database.OpenAsync(cancellation);
        await using var command = Command(connection, GroupSql.Cells, new NpgsqlParameter<string> { TypedValue = tenant });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            cells.Add((reader.GetString(0), reader.GetInt64(1)));
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

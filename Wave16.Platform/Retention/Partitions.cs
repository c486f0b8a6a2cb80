using System.Globalization;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Retention;

/// <summary>
/// Makes the partitions of a module's retained tables ahead of their time, and drops them when their period is over.
/// Every replica does it; an advisory lock per table keeps them apart.
/// </summary>
/// <remarks>
/// Attaching locks the default partition, dropping the parent too, each exclusively for a moment. Whoever waits for such a
/// lock makes every later save wait behind it; so the wait is cut short, and the caller comes again.
/// </remarks>
internal sealed class Partitions(
    ModuleDatabase database, IReadOnlyList<RetainedTable> tables, RetentionPeriods periods, RetentionMetrics metrics, TimeProvider clock, ILogger<Partitions> log)
{
    /// <summary>How far ahead of the clock there are partitions.</summary>
    public static readonly TimeSpan Ahead = TimeSpan.FromDays(7);

    public const int CountedUpTo = 100_000;

    /// <summary>As many rows can be moved out of a default partition while its readers wait.</summary>
    private const int MovedAtMost = 20_000;

    private const int BatchSize = 5_000;

    // A lock that is not granted by then is given up. Making one also scans the default partition, under its lock.
    private const string Limits = "set local lock_timeout = '100ms'; set local statement_timeout = '5s'";

    public IReadOnlyList<RetainedTable> Tables => tables;

    /// <returns>False when a table was busy: call again soon.</returns>
    public async Task<bool> MakeAsync(CancellationToken cancellation)
    {
        var complete = true;
        foreach (var table in tables)
        {
            foreach (var (from, to) in await MissingAsync(table, cancellation))
            {
                complete &= await TryAsync(table, "made", (connection, token) => MakeAsync(connection, table, from, to, token), cancellation);
            }
        }

        return complete;
    }

    /// <returns>False when a table was busy: call again soon.</returns>
    public async Task<bool> DropAsync(CancellationToken cancellation)
    {
        var complete = true;
        foreach (var table in tables)
        {
            var over = await NowAsync(cancellation) - periods[table.Setting];
            var (ranges, strays) = await ReadAsync(table, cancellation);
            foreach (var range in ranges.Where(range => range.To <= over))
            {
                complete &= await TryAsync(table, "dropped", (connection, token) => DropAsync(connection, table, range, token), cancellation);
            }

            if (strays is not null)
            {
                await RemoveAsync(table, strays, over, cancellation);
            }
        }

        return complete;
    }

    private async Task<List<(DateTimeOffset From, DateTimeOffset To)>> MissingAsync(RetainedTable table, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        return [.. table.Span.Missing((await ReadAsync(table, cancellation)).Ranges, now, now + Ahead)];
    }

    private async Task MakeAsync(NpgsqlConnection connection, RetainedTable table, DateTimeOffset from, DateTimeOffset to, CancellationToken cancellation)
    {
        var (ranges, strays) = await ReadAsync(connection, table, cancellation);
        if (!table.Span.Missing(ranges, from, to).Contains((from, to)))
        {
            return; // Another replica has made it.
        }

        var within = $"{table.Column} >= {Literal(from)} and {table.Column} < {Literal(to)}";
        var moved = strays is null ? 0 : await CountAsync(connection, strays, within, MovedAtMost + 1, cancellation);
        if (moved > MovedAtMost)
        {
            log.LogWarning("{Module}: {Table} has more than {Rows} rows of {From:yyyy-MM-dd} in its default partition: they stay there, and are removed one by one",
                database.Module, table.Qualified, MovedAtMost, from);
            return;
        }

        // LIKE and ATTACH, not PARTITION OF: that would lock the parent against every writer. What had to go to the default
        // partition moves in the same transaction, so that no reader misses it.
        var name = $"{table.Schema}.{table.Name}_{from.ToString("yyyyMMdd", CultureInfo.InvariantCulture)}";
        await ExecuteAsync(connection, $"create table {name} (like {table.Qualified} including all)", cancellation);
        if (moved > 0)
        {
            await ExecuteAsync(connection, $"lock table {strays} in access exclusive mode", cancellation);
            moved = await ExecuteAsync(connection, $"with moved as (delete from {strays} where {within} returning *) insert into {name} select * from moved", cancellation);
        }

        await ExecuteAsync(connection, $"alter table {table.Qualified} attach partition {name} for values from ({Literal(from)}) to ({Literal(to)})", cancellation);
        log.Log(
            moved > 0 ? LogLevel.Information : LogLevel.Debug,
            "{Module}: {Table} has a partition from {From:yyyy-MM-dd} to {To:yyyy-MM-dd}; {Rows} rows moved into it", database.Module, table.Qualified, from, to, moved);
    }

    private async Task DropAsync(NpgsqlConnection connection, RetainedTable table, PartitionRange range, CancellationToken cancellation)
    {
        if ((await ReadAsync(connection, table, cancellation)).Ranges.All(still => still != range))
        {
            return;
        }

        if (table.NeededBy is { } needed && await CountAsync(
            connection, needed.Table, $"{table.Column} >= {Literal(range.From)} and {table.Column} < {Literal(range.To)}", 1, cancellation) > 0)
        {
            log.LogInformation("{Module}: {Partition} is kept: {Table} still needs it", database.Module, range.Name, needed.Table);
            return;
        }

        await using var size = new NpgsqlCommand($"select pg_total_relation_size('{range.Name}')", connection);
        var bytes = (long?)await size.ExecuteScalarAsync(cancellation);
        await ExecuteAsync(connection, $"drop table {range.Name}", cancellation);
        metrics.Dropped(database.Module, table.Qualified);
        log.LogInformation("{Module}: {Partition} is dropped, {Bytes} bytes", database.Module, range.Name, bytes);
    }

    private async Task RemoveAsync(RetainedTable table, string strays, DateTimeOffset over, CancellationToken cancellation)
    {
        var unneeded = table.NeededBy is { } needed
            ? $" and not exists (select from {needed.Table} n where n.{table.Column} = s.{table.Column} and n.{needed.Key} = s.{needed.Key})"
            : "";
        var removed = 0L;
        var last = BatchSize;
        while (last == BatchSize && await TryAsync(
            table,
            "cleared",
            async (connection, token) => last = await ExecuteAsync(connection, $"""
                delete from {strays} where ctid = any (array(
                  select ctid from {strays} s where {table.Column} < {Literal(over)}{unneeded} limit {BatchSize} for update skip locked))
                """, token),
            cancellation))
        {
            removed += last;
        }

        await using var connection = await database.OpenAsync(cancellation);
        var left = await CountAsync(connection, strays, "true", CountedUpTo, cancellation);
        metrics.Report(database.Module, table.Qualified, left);
        if (removed > 0)
        {
            metrics.Removed(database.Module, table.Qualified, removed);
            log.LogInformation("{Module}: {Rows} rows removed from {Partition}", database.Module, removed, strays);
        }

        if (left > 0)
        {
            log.LogWarning("{Module}: {Partition} holds {Rows} rows, counted up to {Bound}: they came when there was no partition for their time", database.Module, strays, left, CountedUpTo);
        }
    }

    /// <summary>In a transaction of its own, under the table's advisory lock.</summary>
    private async Task<bool> TryAsync(RetainedTable table, string what, Func<NpgsqlConnection, CancellationToken, Task> act, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await database.OpenAsync(cancellation);
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            await ExecuteAsync(connection, "set local lock_timeout = '5s'", cancellation);
            await LockAsync(connection, table, shared: false, cancellation);
            await ExecuteAsync(connection, Limits, cancellation);
            await act(connection, cancellation);
            await transaction.CommitAsync(cancellation);
            return true;
        }
        catch (PostgresException busy) when (busy.SqlState is PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.QueryCanceled or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.CheckViolation)
        {
            // A check violation: a row came to the default partition after it was looked at.
            log.LogInformation("{Module}: {Table} is busy ({SqlState}); a partition will be {What} later", database.Module, table.Qualified, busy.SqlState, what);
            return false;
        }
        catch (PostgresException refused)
        {
            // Rows go to the default partition meanwhile: a module that cannot make partitions still serves.
            log.LogError(refused, "{Module}: a partition of {Table} could not be {What}", database.Module, table.Qualified, what);
            return false;
        }
    }

    /// <summary>Until the transaction ends. Shared by those who bring back what retention could take in the same moment.</summary>
    public static async Task LockAsync(NpgsqlConnection connection, RetainedTable table, bool shared, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand($"select pg_advisory_xact_lock{(shared ? "_shared" : "")}(hashtextextended($1, 16))", connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = table.LockName });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private async Task<(List<PartitionRange> Ranges, string? Strays)> ReadAsync(RetainedTable table, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return await ReadAsync(connection, table, cancellation);
    }

    private static async Task<(List<PartitionRange> Ranges, string? Strays)> ReadAsync(NpgsqlConnection connection, RetainedTable table, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("""
            select c.oid::regclass::text, b.bound = 'DEFAULT',
                   coalesce(substring(b.bound from $re$FROM \('([^']+)'\)$re$)::timestamptz, '-infinity'),
                   coalesce(substring(b.bound from $re$TO \('([^']+)'\)$re$)::timestamptz, 'infinity')
            from pg_inherits i join pg_class c on c.oid = i.inhrelid cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bound) b
            where i.inhparent = to_regclass($1)
            order by 3
            """, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = table.Qualified });
        List<PartitionRange> ranges = [];
        string? strays = null;
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            if (reader.GetBoolean(1))
            {
                strays = reader.GetString(0);
            }
            else
            {
                ranges.Add(new PartitionRange(reader.GetString(0), reader.GetFieldValue<DateTimeOffset>(2), reader.GetFieldValue<DateTimeOffset>(3)));
            }
        }

        return (ranges, strays);
    }

    // By both clocks: one that is set forward by mistake must not take what it cannot give back.
    private async Task<DateTimeOffset> NowAsync(CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("select least($1, clock_timestamp())");
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = clock.GetUtcNow() });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return reader.GetFieldValue<DateTimeOffset>(0);
    }

    private static async Task<int> CountAsync(NpgsqlConnection connection, string table, string where, int atMost, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand($"select count(*)::int from (select from {table} where {where} limit {atMost}) as bounded", connection);
        return (int?)await command.ExecuteScalarAsync(cancellation) ?? 0;
    }

    private static async Task<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    private static string Literal(DateTimeOffset at) => $"'{at.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss.ffffff", CultureInfo.InvariantCulture)}+00'";
}

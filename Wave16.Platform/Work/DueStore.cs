using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;

namespace Wave16.Platform.Work;

/// <summary>The rows of <c>platform.due</c> as the sweeper sees them; they are written by <see cref="SaveTail"/>.</summary>
internal sealed class DueStore(ModuleDatabase database)
{
    private const int CommandSeconds = 10;

    /// <summary>What is due, the most overdue first: of every entity only its earliest deadline, even if that one waits for another attempt.</summary>
    public async Task<List<DueItem>> ReadAsync(string[] kinds, DateTimeOffset now, DueFetch fetch, CancellationToken cancellation)
    {
        await using var batch = database.DataSource.CreateBatch();
        batch.Timeout = CommandSeconds;
        batch.BatchCommands.Add(QueuePlan.ByIndexes());
        // Along due_next; "offset 0" keeps the other deadlines of an entity a probe of due_order.
        var command = new NpgsqlBatchCommand("""
            select d.tenant, d.kind, d.entity, d.generation, d.due_at, d.attempts
            from platform.due d
            where d.next_at <= $1 and d.kind = any ($2) and d.tenant <> all ($6)
              and (d.tenant, d.entity) not in (select h.tenant, h.entity from unnest($4::text[], $5::text[]) as h(tenant, entity))
              and not exists (
                select from platform.due e
                where e.tenant = d.tenant and e.entity = d.entity and e.kind = any ($2) and (e.due_at, e.kind) < (d.due_at, d.kind)
                offset 0)
            order by d.next_at
            limit $3
            """);
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = kinds });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = fetch.Limit });
        command.Parameters.Add(Texts(fetch.Tenants));
        command.Parameters.Add(Texts(fetch.Entities));
        command.Parameters.Add(Texts(fetch.Enough));
        batch.BatchCommands.Add(command);
        var items = new List<DueItem>();
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            items.Add(new DueItem(reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetInt64(3), reader.GetFieldValue<DateTimeOffset>(4), reader.GetInt32(5) + 1));
        }

        return items;
    }

    /// <summary>Removes those that the entities left as they were.</summary>
    public async Task RemoveAsync(IReadOnlyList<DueItem> handled, CancellationToken cancellation)
    {
        await using var command = Command("""
            delete from platform.due d
            using unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as h(tenant, kind, entity, generation)
            where d.tenant = h.tenant and d.kind = h.kind and d.entity = h.entity and d.generation = h.generation
            """);
        AddItems(command, handled);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    public async Task PostponeAsync(IReadOnlyList<DueOutcome> failed, CancellationToken cancellation)
    {
        await using var command = Command("""
            update platform.due d set attempts = d.attempts + 1, next_at = f.until, last_error = f.error
            from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::text[]) as f(tenant, kind, entity, generation, until, error)
            where d.tenant = f.tenant and d.kind = f.kind and d.entity = f.entity and d.generation = f.generation
            """);
        AddItems(command, [.. failed.Select(failure => failure.Item)]);
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset[]> { TypedValue = [.. failed.Select(failure => failure.Until ?? DateTimeOffset.MaxValue)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. failed.Select(failure => failure.Error ?? "")] });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>When to look again, how much is overdue (counted up to <paramref name="countTo"/>), and since when.</summary>
    public async Task<(DateTimeOffset? Next, long Pending, DateTimeOffset? Oldest)> StandAsync(string[] kinds, DateTimeOffset now, int countTo, CancellationToken cancellation)
    {
        await using var command = Command("""
            select (select min(next_at) from platform.due where next_at > $1 and kind = any ($2)), count(*), min(due_at)
            from (select due_at from platform.due where due_at <= $1 and kind = any ($2) order by due_at limit $3) overdue
            """);
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = kinds });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = countTo });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return (
            reader.IsDBNull(0) ? null : reader.GetFieldValue<DateTimeOffset>(0),
            reader.GetInt64(1),
            reader.IsDBNull(2) ? null : reader.GetFieldValue<DateTimeOffset>(2));
    }

    private NpgsqlCommand Command(string sql)
    {
        var command = database.DataSource.CreateCommand(sql);
        command.CommandTimeout = CommandSeconds;
        return command;
    }

    private static void AddItems(NpgsqlCommand command, IReadOnlyList<DueItem> items)
    {
        command.Parameters.Add(Texts([.. items.Select(item => item.Tenant)]));
        command.Parameters.Add(Texts([.. items.Select(item => item.Kind)]));
        command.Parameters.Add(Texts([.. items.Select(item => item.Entity)]));
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. items.Select(item => item.Generation)] });
    }

    private static NpgsqlParameter<string[]> Texts(string[] values) => new() { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text };
}

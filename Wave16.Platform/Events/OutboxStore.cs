using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;

namespace Wave16.Platform.Events;

/// <summary>The lanes' SQL: one statement to fetch what is pending, one to settle what was tried, whatever their number.</summary>
internal sealed class OutboxStore(ModuleDatabase database)
{
    private const string Columns = "d.id, d.tenant, d.subject, d.event_id, d.occurred_at, d.attempts, e.type, e.entity_version, e.data, e.traceparent";

    // Walks primary key (destination, id), and for each row probes delivery_held, which holds only what has failed before.
    // "offset 0" keeps it a probe: as a join it is planned for the hardly any rows there were when the table was last
    // analyzed, and compares each row with every held one when a destination has begun to fail.
    // $3 is what this lane already has in hand, $4 and $5 subjects of which it has enough. $7 passes over the dead index
    // entries of what was delivered already, which pile up at the head for as long as any old snapshot is open.
    internal const string FetchSql = $"""
        select {Columns}
        from platform.delivery d
        left join platform.event e on e.occurred_at = d.occurred_at and e.event_id = d.event_id
        where d.destination = $1 and d.id >= $7 and d.next_at <= $2 and d.id <> all($3)
          and not exists (
            select from platform.delivery held
            where held.destination = d.destination and held.tenant = d.tenant and held.subject = d.subject
              and held.id < d.id and held.next_at > $2 and held.next_at > '-infinity'
            offset 0)
          and not exists (
            select from unnest($4::text[], $5::text[]) as enough(tenant, subject)
            where enough.tenant = d.tenant and enough.subject = d.subject)
        order by d.id
        limit $6
        """;

    // By both clocks: one that is set forward by mistake gives nothing up. Reads the whole table, every few minutes.
    private const string ExpiredSql = $"""
        select {Columns}, d.destination, d.last_error
        from platform.delivery d
        left join platform.event e on e.occurred_at = d.occurred_at and e.event_id = d.event_id
        where d.occurred_at < least($1, clock_timestamp()) - $2
        limit $3
        """;

    private const string DeleteSql = "delete from platform.delivery where destination = $1 and id = any($2)";

    private const string SettleSql = """
        with delivered as (
          delete from platform.delivery where destination = $1 and id = any($2)
        ), held as (
          update platform.delivery d set next_at = h.next_at, attempts = h.attempts, last_error = h.error
          from unnest($3::bigint[], $4::timestamptz[], $5::int[], $6::text[]) as h(id, next_at, attempts, error)
          where d.destination = $1 and d.id = h.id
        ), dead as (
          delete from platform.delivery d
          using unnest($7::bigint[], $8::int[], $9::text[], $10::text[], $11::text[]) as x(id, attempts, error, type, envelope)
          where d.destination = $1 and d.id = x.id
          returning d.id, d.tenant, d.subject, d.event_id, d.occurred_at, x.attempts, x.error, x.type, x.envelope
        )
        insert into platform.dead_letter (died_at, id, destination, tenant, subject, event_id, type, occurred_at, attempts, last_error, envelope)
        select $12, id, $1, tenant, subject, event_id, type, occurred_at, attempts, error, envelope from dead
        """;

    // The count stops at a bound: it is asked every few seconds, also when a destination has been down for a week.
    private const string BacklogSql = """
        select (select count(*) from (select from platform.delivery where destination = $1 limit $2) as bounded),
               (select occurred_at from platform.delivery where destination = $1 order by id limit 1)
        """;

    /// <summary>Due deliveries in id order from the given one on, without those that an earlier one of their subject holds back.</summary>
    public async Task<List<PendingDelivery>> FetchAsync(string destination, DateTimeOffset now, FetchPlan plan, long from, CancellationToken cancellation)
    {
        await using var batch = database.DataSource.CreateBatch();
        batch.BatchCommands.Add(QueuePlan.ByIndexes());
        var fetch = new NpgsqlBatchCommand(FetchSql);
        fetch.Parameters.Add(new NpgsqlParameter<string> { TypedValue = destination });
        fetch.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        fetch.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = plan.InHand });
        fetch.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. plan.Enough.Select(subject => subject.Tenant)] });
        fetch.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. plan.Enough.Select(subject => subject.Id)] });
        fetch.Parameters.Add(new NpgsqlParameter<int> { TypedValue = plan.Limit });
        fetch.Parameters.Add(new NpgsqlParameter<long> { TypedValue = from });
        batch.BatchCommands.Add(fetch);
        List<PendingDelivery> due = [];
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            due.Add(Delivery(reader));
        }

        return due;
    }

    /// <summary>Deliveries of events that are older than the period, whatever their destination, with what their last attempt said.</summary>
    public async Task<List<(string Destination, PendingDelivery Delivery, string? LastError)>> ExpiredAsync(DateTimeOffset now, TimeSpan period, int limit, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(ExpiredSql);
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = period });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        var expired = new List<(string, PendingDelivery, string?)>();
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            expired.Add((reader.GetString(10), Delivery(reader), reader.IsDBNull(11) ? null : reader.GetString(11)));
        }

        return expired;
    }

    private PendingDelivery Delivery(NpgsqlDataReader reader)
    {
        var subject = new SubjectKey(reader.GetString(1), reader.GetString(2));
        var envelope = reader.IsDBNull(6) ? null : new EventEnvelope
        {
            Id = reader.GetString(3),
            Source = database.Module,
            Type = reader.GetString(6),
            Subject = subject.Id,
            Time = reader.GetFieldValue<DateTimeOffset>(4),
            TenantId = subject.Tenant,
            EntityVersion = reader.GetInt64(7),
            Data = reader.GetString(8),
            TraceParent = reader.IsDBNull(9) ? null : reader.GetString(9),
        };
        return new PendingDelivery(reader.GetInt64(0), subject, reader.GetInt32(5), envelope);
    }

    public async Task SettleAsync(string destination, IReadOnlyList<Settlement> settled, DateTimeOffset now, CancellationToken cancellation)
    {
        var held = settled.Where(one => one.Fate == Fate.Held).ToList();
        var dead = settled.Where(one => one.Fate == Fate.Dead).ToList();
        var simple = held.Count == 0 && dead.Count == 0;
        await using var command = database.DataSource.CreateCommand(simple ? DeleteSql : SettleSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = destination });
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. settled.Where(one => one.Fate == Fate.Delivered).Select(one => one.Delivery.Id)] });
        if (!simple)
        {
            command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. held.Select(one => one.Delivery.Id)] });
            command.Parameters.Add(new NpgsqlParameter<DateTimeOffset[]> { TypedValue = [.. held.Select(one => one.NextAt)] });
            command.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = [.. held.Select(one => one.Attempts)] });
            command.Parameters.Add(Texts(held.Select(one => one.Reason)));
            command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. dead.Select(one => one.Delivery.Id)] });
            command.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = [.. dead.Select(one => one.Attempts)] });
            command.Parameters.Add(Texts(dead.Select(one => one.Reason)));
            command.Parameters.Add(Texts(dead.Select(one => one.Delivery.Envelope?.Type)));
            command.Parameters.Add(Texts(dead.Select(one => one.Envelope)));
            command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        }

        await command.ExecuteNonQueryAsync(cancellation);

        // Postgres text holds no NUL, and a reason can quote whatever a destination threw.
        static NpgsqlParameter<string?[]> Texts(IEnumerable<string?> texts) => new()
        {
            TypedValue = [.. texts.Select(text => text?.Replace('\0', ' '))],
            NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text,
        };
    }

    public async Task<Backlog> BacklogAsync(string destination, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(BacklogSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = destination });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = Backlog.CountedUpTo });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return new Backlog((int)reader.GetInt64(0), await reader.IsDBNullAsync(1, cancellation) ? null : reader.GetFieldValue<DateTimeOffset>(1));
    }
}

/// <summary>Tenant and entity id: the unit within which order is kept.</summary>
internal readonly record struct SubjectKey(string Tenant, string Id);

/// <param name="Id">Grows in commit order within a subject.</param>
/// <param name="Subject">Whose order it is part of.</param>
/// <param name="Attempts">Failures counted so far.</param>
/// <param name="Envelope">Null when retention has taken the event away before its delivery.</param>
internal sealed record PendingDelivery(long Id, SubjectKey Subject, int Attempts, EventEnvelope? Envelope);

/// <param name="Limit">Rows to fetch at most.</param>
/// <param name="InHand">Deliveries that are queued, running, or tried and not settled yet.</param>
/// <param name="Enough">Subjects of which more would crowd out the others: so many are queued, or the head has failed and that is not settled yet.</param>
/// <param name="Forgotten">How often the queue had let go of what it held when this was planned.</param>
internal sealed record FetchPlan(int Limit, long[] InHand, IReadOnlyList<SubjectKey> Enough, int Forgotten);

internal enum Fate
{
    Delivered,
    Held,
    Dead,
}

/// <summary>What the store is to be told about a delivery that was tried.</summary>
internal sealed record Settlement(PendingDelivery Delivery, Fate Fate, int Attempts = 0, DateTimeOffset NextAt = default, string Reason = "", string? Envelope = null);

/// <param name="Pending">Deliveries not made yet, counted up to <see cref="CountedUpTo"/>.</param>
/// <param name="Oldest">When the oldest of them was raised.</param>
internal sealed record Backlog(int Pending, DateTimeOffset? Oldest)
{
    public const int CountedUpTo = 100_000;
}

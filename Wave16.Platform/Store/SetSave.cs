using System.Diagnostics;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Events;

namespace Wave16.Platform.Store;

/// <summary>An event of one of the entities that a set-based write changed.</summary>
/// <param name="Ordinal">Position among the events of this version of the entity, from 0.</param>
public sealed record EntityEvent(string Kind, string Id, long Version, int Ordinal, NewEvent Event);

/// <summary>A deadline of one of the entities that a set-based write changed.</summary>
public sealed record EntityDue(string Id, DueChange Change);

/// <summary>
/// The tail of a set-based write, inside the caller's transaction: one leaf and one set of events for the covering
/// entity (a scan), and the events of the entities it changed. The number of statements does not depend on theirs.
/// </summary>
public sealed class SetSave(ModuleDatabase database, SaveTail tail, EventRoutes routes)
{
    private static readonly string Covering = $"with u as (select 1){SaveTail.Sql(1)}";

    /// <summary>Writes the covering entity's leaf, events and answer.</summary>
    /// <param name="connection">In the transaction of the write.</param>
    /// <param name="covering"><see cref="EntityChange.Covers"/> names the kind of the changed entities.</param>
    /// <param name="cancellation">Leaves the transaction as it is.</param>
    /// <returns>The leaf's hash: the audit hash of every entity that was changed.</returns>
    public async Task<byte[]> WriteAsync(NpgsqlConnection connection, EntityChange covering, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(Covering, connection);
        var hash = tail.AddParameters(command.Parameters, covering);
        await command.ExecuteNonQueryAsync(cancellation);
        return hash;
    }

    /// <summary>Writes the events of many entities of one tenant, in the order given, with their deliveries.</summary>
    /// <exception cref="EventTooLargeException">One of the events is over the limit; nothing was written.</exception>
    public async Task WriteEventsAsync(NpgsqlConnection connection, string tenant, DateTimeOffset at, IReadOnlyList<EntityEvent> events, CancellationToken cancellation)
    {
        if (events.Count == 0)
        {
            return;
        }

        var ids = events.Select(e => EventId.Of(database.Epoch, tenant, e.Kind, e.Id, e.Version, e.Ordinal)).ToArray();
        foreach (var (eventId, e) in ids.Zip(events))
        {
            EventEnvelope.Check(eventId, database.Module, e.Event.Type, e.Id, tenant, e.Event.Data);
        }

        var deliveries = events.SelectMany((e, i) => routes.For(e.Event.Type).Select(destination => (destination, e.Id, EventId: ids[i]))).ToArray();
        await using var command = new NpgsqlCommand("""
            with e as (
              insert into platform.event (occurred_at, event_id, tenant, type, subject, entity_version, data, traceparent)
              select $1, e.event_id, $2, e.type, e.subject, e.version, e.data, $3
              from unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[]) as e(event_id, type, subject, version, data)
            )
            insert into platform.delivery (destination, tenant, subject, event_id, occurred_at)
            select d.destination, $2, d.subject, d.event_id, $1
            from unnest($9::text[], $10::text[], $11::text[]) with ordinality as d(destination, subject, event_id, ordinal)
            order by d.ordinal
            """, connection);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = at.ToUniversalTime() });
        p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        p.Add(new NpgsqlParameter
        {
            Value = Activity.Current is { IdFormat: ActivityIdFormat.W3C, Id: { } id } ? id : DBNull.Value,
            NpgsqlDbType = NpgsqlDbType.Text,
        });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = ids });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. events.Select(e => e.Event.Type)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. events.Select(e => e.Id)] });
        p.Add(new NpgsqlParameter<long[]> { TypedValue = [.. events.Select(e => e.Version)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. events.Select(e => e.Event.Data)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. deliveries.Select(d => d.destination)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. deliveries.Select(d => d.Id)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. deliveries.Select(d => d.EventId)] });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>Sets and removes deadlines of many entities of one tenant; of two settings of one deadline the later generation counts.</summary>
    public static async Task WriteDueAsync(NpgsqlConnection connection, string tenant, IReadOnlyList<EntityDue> due, CancellationToken cancellation)
    {
        if (due.Count == 0)
        {
            return;
        }

        // Each is looked up by its key ("offset 0"): of a tenant that came since the last analyze a join would read all for each.
        await using var command = new NpgsqlCommand("""
            with d as (
              select * from unnest($2::text[], $3::text[], $4::bigint[], $5::timestamptz[]) as d(kind, entity, generation, due_at)
            ), met as (
              delete from platform.due where ctid in (
                select m.place from d
                cross join lateral (
                  select k.ctid as place from platform.due k
                  where k.tenant = $1 and k.kind = d.kind and k.entity = d.entity and k.generation <= d.generation
                  offset 0 for update) m
                where d.due_at is null)
            )
            insert into platform.due (tenant, kind, entity, generation, due_at, next_at)
            select $1, kind, entity, generation, due_at, due_at from d where due_at is not null
            order by kind, entity
            on conflict (tenant, kind, entity) do update
              set generation = excluded.generation, due_at = excluded.due_at, next_at = excluded.next_at, attempts = 0, last_error = null
              where due.generation < excluded.generation
            """, connection);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. due.Select(d => d.Change.Kind)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. due.Select(d => d.Id)] });
        p.Add(new NpgsqlParameter<long[]> { TypedValue = [.. due.Select(d => d.Change.Generation)] });
        p.Add(new NpgsqlParameter<DateTimeOffset?[]> { TypedValue = [.. due.Select(d => d.Change.DueAt?.ToUniversalTime())], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.TimestampTz });
        await command.ExecuteNonQueryAsync(cancellation);
    }
}

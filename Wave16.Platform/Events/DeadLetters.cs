using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Retention;
using Wave16.Platform.Store;

namespace Wave16.Platform.Events;

/// <summary>An event that a destination has refused, or failed to take as often as it was tried. It waits here for an operator.</summary>
/// <param name="Id">Of the failed delivery; unique in the module.</param>
/// <param name="Destination">Which destination did not get it. The others did, or have dead letters of their own.</param>
/// <param name="Type">CloudEvents type; null when retention took the event before it could be delivered.</param>
/// <param name="Subject">CloudEvents subject.</param>
/// <param name="EventId">CloudEvents id.</param>
/// <param name="OccurredAt">When it was raised.</param>
/// <param name="DiedAt">When it was given up.</param>
/// <param name="Attempts">How often it was tried.</param>
/// <param name="LastError">What the last attempt said.</param>
public sealed record DeadLetter(
    long Id, string Destination, string? Type, string Subject, string EventId, DateTimeOffset OccurredAt, DateTimeOffset DiedAt, int Attempts, string LastError);

/// <param name="Destination">Its name.</param>
/// <param name="Pending">Deliveries of the caller's tenant that wait, counted up to 100,000.</param>
/// <param name="Oldest">When the oldest of them was raised.</param>
internal sealed record TenantBacklog(string Destination, int Pending, DateTimeOffset? Oldest);

/// <summary>A keyset position in the list of dead letters.</summary>
internal sealed record DeadLetterPosition(DateTimeOffset DiedAt, long Id);

/// <summary>The operators' side of the outbox, always within one tenant.</summary>
internal sealed class DeadLetters(ModuleDatabase database, SetSave audit)
{
    public const int ReplayedAtOnce = 1000;

    // Index dead_letter_open.
    private const string ListSql = """
        select id, destination, type, subject, event_id, occurred_at, died_at, attempts, last_error
        from platform.dead_letter
        where tenant = $1 and replayed_at is null and ($2::text is null or destination = $2)
          and ($3::timestamptz is null or (died_at, id) < ($3, $4))
        order by died_at desc, id desc
        limit $5
        """;

    // The event itself may be gone by retention; the envelope brings it back. Ids ascend in the order of the old ones, so
    // dead letters of one subject keep their order among themselves, and follow what is pending by now.
    private const string ReplaySql = """
        with picked as (
          select died_at, id from platform.dead_letter
          where tenant = $1 and replayed_at is null and ($2::bigint is null or id = $2) and ($3::text is null or destination = $3)
            and envelope is not null
          order by id
          limit $4
          for update skip locked
        ), replayed as (
          update platform.dead_letter d set replayed_at = $5 from picked p
          where d.died_at = p.died_at and d.id = p.id
          returning d.id, d.destination, d.tenant, d.subject, d.event_id, d.type, d.occurred_at, d.envelope::json as envelope
        ), restored as (
          insert into platform.event (occurred_at, event_id, tenant, type, subject, entity_version, data, traceparent)
          select distinct on (occurred_at, event_id) occurred_at, event_id, tenant, type, subject,
                 (envelope ->> 'entityversion')::bigint, (envelope -> 'data')::text, envelope ->> 'traceparent'
          from replayed
          on conflict (occurred_at, event_id) do nothing
        )
        insert into platform.delivery (destination, tenant, subject, event_id, occurred_at)
        select destination, tenant, subject, event_id, occurred_at from replayed order by replayed.id
        returning destination
        """;

    private const string BacklogSql = """
        select destination, count(*), min(occurred_at)
        from (select destination, occurred_at from platform.delivery where tenant = $1 limit $2) as bounded
        group by destination
        """;

    /// <summary>Newest first; one row more than the page's limit when there is a next page.</summary>
    public async Task<List<DeadLetter>> ListAsync(string tenant, string? destination, DeadLetterPosition? after, int rows, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(ListSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter { Value = (object?)destination ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new NpgsqlParameter { Value = after is null ? DBNull.Value : after.DiedAt.ToUniversalTime(), NpgsqlDbType = NpgsqlDbType.TimestampTz });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = after?.Id ?? 0 });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = rows });
        var letters = new List<DeadLetter>();
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            letters.Add(new DeadLetter(
                reader.GetInt64(0), reader.GetString(1), await reader.IsDBNullAsync(2, cancellation) ? null : reader.GetString(2), reader.GetString(3),
                reader.GetString(4), reader.GetFieldValue<DateTimeOffset>(5), reader.GetFieldValue<DateTimeOffset>(6), reader.GetInt32(7), reader.GetString(8)));
        }

        return letters;
    }

    /// <summary>Puts dead letters back into the outbox, with the audit leaf that says who asked. Returns one destination per replayed letter.</summary>
    /// <param name="tenant">Whose letters.</param>
    /// <param name="id">One of them, or null for all of <paramref name="destination"/>.</param>
    /// <param name="destination">At most <see cref="ReplayedAtOnce"/> of this destination's, oldest first.</param>
    /// <param name="leaf">Written only if something was replayed.</param>
    /// <param name="cancellation">Before the commit, cancels all of it.</param>
    public async Task<List<string>> ReplayAsync(string tenant, long? id, string? destination, EntityChange leaf, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        // Retention looks for what waits before it drops; it must not miss this.
        await Partitions.LockAsync(connection, RetainedTable.Event, shared: true, cancellation);
        var replayed = new List<string>();
        await using (var command = new NpgsqlCommand(ReplaySql, connection, transaction))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter { Value = (object?)id ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
            command.Parameters.Add(new NpgsqlParameter { Value = (object?)destination ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = ReplayedAtOnce });
            command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = leaf.At.ToUniversalTime() });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                replayed.Add(reader.GetString(0));
            }
        }

        if (replayed.Count > 0)
        {
            await audit.WriteAsync(connection, leaf, cancellation);
            await transaction.CommitAsync(cancellation);
        }

        return replayed;
    }

    public async Task<List<TenantBacklog>> BacklogAsync(string tenant, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(BacklogSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = Backlog.CountedUpTo });
        var backlog = new List<TenantBacklog>();
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            backlog.Add(new TenantBacklog(reader.GetString(0), (int)reader.GetInt64(1), reader.GetFieldValue<DateTimeOffset>(2)));
        }

        return backlog;
    }
}

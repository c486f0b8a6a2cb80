using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Work;

/// <summary>
/// One runner's claims on rows of <c>platform.job</c>. Leases are kept by the database's clock, so that a node whose clock is
/// ahead takes nobody's jobs; the runner's own clock says what callers see, and how long ago it last renewed.
/// </summary>
internal sealed class JobLeases(ModuleDatabase database, TimeProvider clock, string owner)
{
    /// <summary>A runner that has been silent for this long has lost its jobs to the others.</summary>
    public static readonly TimeSpan Duration = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan RenewEvery = TimeSpan.FromSeconds(10);
    private const int CommandSeconds = 5;
    private long _renewedAt;

    /// <summary>
    /// Takes the next job of the kind: of the tenant with the fewest running, among those the one that has waited longest for a
    /// turn, and of that tenant the oldest. Walks the tenants through the index job_queue, not the rows.
    /// </summary>
    public async Task<ClaimedJob?> ClaimAsync(string kind, CancellationToken cancellation)
    {
        await using var command = Command("""
            with recursive waiting as (
              (select tenant from platform.job where kind = $1 and state = 'queued' order by tenant limit 1)
              union all
              select (select j.tenant from platform.job j where j.kind = $1 and j.state = 'queued' and j.tenant > w.tenant order by j.tenant limit 1)
              from waiting w where w.tenant is not null
            ), turn as (
              select w.tenant,
                (select count(*) from platform.job r where r.kind = $1 and r.tenant = w.tenant and r.state = 'running') as running,
                (select max(s.started_at) from platform.job s where s.kind = $1 and s.tenant = w.tenant and s.started_at is not null) as served
              from waiting w where w.tenant is not null
            ), candidate as (
              select t.running, t.served, c.tenant, c.id, c.created_at
              from turn t cross join lateral (
                select q.tenant, q.id, q.created_at from platform.job q
                where q.kind = $1 and q.tenant = t.tenant and q.state = 'queued' and q.not_before <= $2
                order by q.created_at, q.id limit 4) c
            ), next as (
              select j.tenant, j.id
              from candidate c join platform.job j on j.tenant = c.tenant and j.id = c.id and j.state = 'queued'
              order by c.running, c.served nulls first, c.created_at, c.id
              limit 1
              for update of j skip locked
            )
            update platform.job j set
              state = 'running', owner = $3, lease_until = now() + $4, started_at = $2, fence = j.fence + 1, attempts = j.attempts + 1
            from next where j.tenant = next.tenant and j.id = next.id
            returning j.tenant, j.id, j.arguments, j.fence, j.attempts, j.created_by, j.traceparent
            """);
        var now = clock.GetUtcNow();
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = kind });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = owner });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = Duration });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation)
            ? new ClaimedJob(reader.GetString(0), reader.GetGuid(1), kind, reader.GetString(2), reader.GetInt64(3), reader.GetInt32(4), reader.GetString(5), reader.IsDBNull(6) ? null : reader.GetString(6))
            : null;
    }

    /// <summary>Asks after the jobs that run here, and every ten seconds renews their leases.</summary>
    /// <returns>Those that are still ours, with whether they are to be cancelled. What is missing has been lost.</returns>
    /// <remarks>A row that the handler's own transaction has locked is not renewed and need not be: nobody can take it meanwhile.</remarks>
    public async Task<Dictionary<(string Tenant, Guid Id), bool>> BeatAsync(IReadOnlyList<ClaimedJob> jobs, CancellationToken cancellation)
    {
        var renew = _renewedAt == 0 || clock.GetElapsedTime(_renewedAt) >= RenewEvery;
        await using var command = Command($"""
            with held as (
              select j.tenant, j.id, j.fence, j.cancel_asked
              from unnest($1::text[], $2::uuid[], $3::bigint[]) as h(tenant, id, fence)
              join platform.job j on j.tenant = h.tenant and j.id = h.id and j.fence = h.fence and j.state = 'running'
            ){(renew ? Renewal : "")}
            select tenant, id, cancel_asked from held
            """);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. jobs.Select(job => job.Tenant)] });
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. jobs.Select(job => job.Id)] });
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. jobs.Select(job => job.Fence)] });
        if (renew)
        {
            command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = Duration });
        }

        var began = clock.GetTimestamp();
        var held = new Dictionary<(string, Guid), bool>();
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            held.Add((reader.GetString(0), reader.GetGuid(1)), reader.GetBoolean(2));
        }

        if (renew)
        {
            _renewedAt = began;
        }

        return held;
    }

    /// <summary>Gives back what runners that have gone silent held: to the queue, or, after too many attempts, as failed.</summary>
    public async Task ReapAsync(IReadOnlyCollection<JobKind> kinds, string exhausted, CancellationToken cancellation)
    {
        await using var command = Command("""
            with expired as (
              select j.tenant, j.id, k.attempts
              from unnest($1::text[], $2::int[]) as k(kind, attempts)
              join platform.job j on j.kind = k.kind
              where j.state = 'running' and j.lease_until < now()
              limit 100
              for update of j skip locked
            )
            update platform.job j set
              owner       = null,
              lease_until = null,
              state       = case when j.cancel_asked then 'cancelled' when j.attempts >= e.attempts then 'failed' else 'queued' end,
              problem     = case when not j.cancel_asked and j.attempts >= e.attempts then $4 else j.problem end,
              finished_at = case when j.cancel_asked or j.attempts >= e.attempts then $3 end
            from expired e where j.tenant = e.tenant and j.id = e.id
            """);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. kinds.Select(kind => kind.Name)] });
        command.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = [.. kinds.Select(kind => kind.Limits.Attempts)] });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = clock.GetUtcNow() });
        command.Parameters.Add(JobStore.Json(exhausted));
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>
    /// At a shutdown: everything this runner holds is queued again, at once and without counting the attempt. A row that a
    /// handler's transaction has locked is passed over; ask again when the handler has ended.
    /// </summary>
    public async Task ReleaseAllAsync(CancellationToken cancellation)
    {
        await using var command = Command("""
            with mine as (
              select tenant, id from platform.job where state = 'running' and owner = $1 for update skip locked
            )
            update platform.job j set
              owner       = null,
              lease_until = null,
              attempts    = j.attempts - 1,
              state       = case when j.cancel_asked then 'cancelled' else 'queued' end,
              finished_at = case when j.cancel_asked then $2 end
            from mine m where j.tenant = m.tenant and j.id = m.id
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = owner });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = clock.GetUtcNow() });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private NpgsqlCommand Command(string sql)
    {
        var command = database.DataSource.CreateCommand(sql);
        command.CommandTimeout = CommandSeconds;
        return command;
    }

    private const string Renewal = """
        , free as (
          select j.tenant, j.id
          from held h join platform.job j on j.tenant = h.tenant and j.id = h.id and j.fence = h.fence and j.state = 'running'
          for update of j skip locked
        ), renewed as (
          update platform.job j set lease_until = now() + $4 from free f where j.tenant = f.tenant and j.id = f.id
        )
        """;
}

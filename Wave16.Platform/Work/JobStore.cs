using System.Data.Common;
using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;

namespace Wave16.Platform.Work;

/// <summary>The rows of <c>platform.job</c> as callers see them, and what a handler writes to its own.</summary>
internal sealed class JobStore(ModuleDatabase database, TimeProvider clock)
{
    /// <summary>How long a job that has ended can still be asked after.</summary>
    public static readonly TimeSpan Kept = TimeSpan.FromDays(30);

    public static async Task<bool> AddAsync(NpgsqlConnection connection, NewJob job, DateTimeOffset now, string? traceParent, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("""
            insert into platform.job (tenant, id, kind, state, arguments, created_at, created_by, traceparent)
            values ($1, $2, $3, 'queued', $4, $5, $6, $7)
            on conflict (tenant, id) do nothing
            """, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = job.Tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = job.Id });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = job.Kind });
        command.Parameters.Add(Json(job.Arguments.GetRawText()));
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now.ToUniversalTime() });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = job.CreatedBy });
        command.Parameters.Add(new NpgsqlParameter { Value = (object?)traceParent ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        return await command.ExecuteNonQueryAsync(cancellation) == 1;
    }

    public async Task<Job?> FindAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select kind, state, progress, result, problem, attempts, cancel_asked, created_by, created_at, started_at, finished_at
            from platform.job where tenant = $1 and id = $2
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            return null;
        }

        return new Job
        {
            Tenant = tenant,
            Id = id,
            Kind = reader.GetString(0),
            State = Enum.Parse<JobState>(reader.GetString(1), ignoreCase: true),
            Progress = Element(reader.GetString(2)),
            Result = reader.IsDBNull(3) ? null : Element(reader.GetString(3)),
            Problem = reader.IsDBNull(4) ? null : JsonSerializer.Deserialize(reader.GetString(4), WorkJson.Default.Refusal),
            Attempts = reader.GetInt32(5),
            CancelAsked = reader.GetBoolean(6),
            CreatedBy = reader.GetString(7),
            CreatedAt = reader.GetFieldValue<DateTimeOffset>(8),
            StartedAt = Time(reader, 9),
            FinishedAt = Time(reader, 10),
        };
    }

    public async Task AskToCancelAsync(string tenant, Guid id, DateTimeOffset now, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            update platform.job set
              cancel_asked = true,
              state        = case state when 'queued' then 'cancelled' else state end,
              finished_at  = case state when 'queued' then $3 end
            where tenant = $1 and id = $2 and state in ('queued', 'running')
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now.ToUniversalTime() });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    public async Task ReportAsync(ClaimedJob job, string progress, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            update platform.job set progress = $4 where {Current}
            """);
        AddClaim(command, job);
        command.Parameters.Add(Json(progress));
        if (await command.ExecuteNonQueryAsync(cancellation) == 0)
        {
            throw new JobLeaseLostException(job.Tenant, job.Id, job.Fence);
        }
    }

    public static async Task GuardAsync(NpgsqlConnection connection, ClaimedJob job, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand($"""
            select 1 from platform.job where {Current} for update
            """, connection);
        AddClaim(command, job);
        if (await command.ExecuteScalarAsync(cancellation) is null)
        {
            throw new JobLeaseLostException(job.Tenant, job.Id, job.Fence);
        }
    }

    /// <returns>False when the attempt is no longer the current one.</returns>
    public async Task<bool> EndAsync(ClaimedJob job, JobState state, string? result, string? problem, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return await EndAsync(connection, job, state, result, problem, cancellation);
    }

    /// <returns>False when the attempt is no longer the current one.</returns>
    public async Task<bool> EndAsync(NpgsqlConnection connection, ClaimedJob job, JobState state, string? result, string? problem, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand($"""
            update platform.job set state = $4, result = $5, problem = $6, finished_at = $7, owner = null, lease_until = null
            where {Current}
            """, connection);
        AddClaim(command, job);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Name(state) });
        command.Parameters.Add(Json(result));
        command.Parameters.Add(Json(problem));
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = clock.GetUtcNow() });
        return await command.ExecuteNonQueryAsync(cancellation) == 1;
    }

    /// <summary>The attempt is given back: queued again, to be begun not before the time given.</summary>
    /// <returns>False when the attempt is no longer the current one.</returns>
    public async Task<bool> RequeueAsync(ClaimedJob job, string problem, DateTimeOffset notBefore, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            update platform.job set state = 'queued', problem = $4, not_before = $5, owner = null, lease_until = null
            where {Current}
            """);
        AddClaim(command, job);
        command.Parameters.Add(Json(problem));
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = notBefore });
        return await command.ExecuteNonQueryAsync(cancellation) == 1;
    }

    /// <returns>How many were removed; call again while it equals the limit.</returns>
    public async Task<int> RemoveEndedAsync(int limit, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            delete from platform.job where ctid = any (array(
              select ctid from platform.job where finished_at < $1 limit $2 for update skip locked))
            """);
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = clock.GetUtcNow() - Kept });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    internal static string Name(JobState state) => state.ToString().ToLowerInvariant();

    internal static NpgsqlParameter Json(string? json) => new() { Value = (object?)json ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Json };

    private const string Current = "tenant = $1 and id = $2 and fence = $3 and state = 'running'";

    private static void AddClaim(NpgsqlCommand command, ClaimedJob job)
    {
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = job.Tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = job.Id });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = job.Fence });
    }

    private static JsonElement Element(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    private static DateTimeOffset? Time(DbDataReader reader, int column) =>
        reader.IsDBNull(column) ? null : reader.GetFieldValue<DateTimeOffset>(column);
}

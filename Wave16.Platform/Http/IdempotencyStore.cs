using System.Text.Json;
using System.Text.Json.Serialization;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;

namespace Wave16.Platform.Http;

/// <summary>Whose keys: one caller of one tenant cannot meet another's.</summary>
internal sealed record IdempotencyScope(string Tenant, string Caller);

/// <summary>An attempt at a request that holds its key. Fence grows with every attempt.</summary>
internal sealed record IdempotencyAttempt(IdempotencyScope Scope, string Key, long Fence);

internal sealed record StoredAnswer(int Status, Dictionary<string, string[]> Headers, byte[] Body);

/// <summary>What a request with a key is told before anything runs.</summary>
internal abstract record IdempotencyDecision
{
    public sealed record Run(IdempotencyAttempt Attempt) : IdempotencyDecision;

    public sealed record Replay(StoredAnswer Answer) : IdempotencyDecision;

    public sealed record StillRunning : IdempotencyDecision;

    public sealed record UsedForAnother : IdempotencyDecision;
}

/// <summary>The rows of <c>platform.idempotency</c>.</summary>
internal sealed class IdempotencyStore(ModuleDatabase database, TimeProvider clock)
{
    public static readonly TimeSpan Kept = TimeSpan.FromHours(24);

    /// <summary>An attempt that has not renewed its claim for this long has crashed; the next one may run.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(60);

    private const int CommandSeconds = 5;

    public async Task<IdempotencyDecision> BeginAsync(IdempotencyScope scope, string key, byte[] fingerprint, CancellationToken cancellation)
    {
        while (true)
        {
            if (await ClaimAsync(scope, key, fingerprint, cancellation) is { } fence)
            {
                return new IdempotencyDecision.Run(new IdempotencyAttempt(scope, key, fence));
            }

            // Null: the row was removed, because it expired, between the two statements.
            if (await LookAsync(scope, key, fingerprint, cancellation) is { } decision)
            {
                return decision;
            }
        }
    }

    /// <summary>Keeps the key for this attempt. Without effect once another attempt has taken it.</summary>
    public async Task RenewAsync(IdempotencyAttempt attempt, CancellationToken cancellation)
    {
        await using var command = Command($"update platform.idempotency set lease_until = $5, expires_at = $6 where {Current}", attempt);
        var now = clock.GetUtcNow();
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now + Lease });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now + Kept });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    public async Task CompleteAsync(IdempotencyAttempt attempt, StoredAnswer answer, CancellationToken cancellation)
    {
        await using var command = Command($"update platform.idempotency set status = $5, headers = $6, body = $7, expires_at = $8 where {Current}", attempt);
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = answer.Status });
        command.Parameters.Add(new NpgsqlParameter<string>
        {
            TypedValue = JsonSerializer.Serialize(answer.Headers, HeadersJson.Default.DictionaryStringStringArray),
            NpgsqlDbType = NpgsqlDbType.Json,
        });
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = answer.Body });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = clock.GetUtcNow() + Kept });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>The attempt ended without an answer worth keeping: the same request may run again at once, another one still may not use the key.</summary>
    public async Task ReleaseAsync(IdempotencyAttempt attempt, CancellationToken cancellation)
    {
        await using var command = Command($"update platform.idempotency set lease_until = '-infinity' where {Current}", attempt);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <returns>How many were removed; call again while it equals the limit.</returns>
    public async Task<int> RemoveExpiredAsync(int limit, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            delete from platform.idempotency where ctid = any (array(
              select ctid from platform.idempotency where expires_at <= $1 limit $2 for update skip locked))
            """);
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = clock.GetUtcNow() });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    private async Task<long?> ClaimAsync(IdempotencyScope scope, string key, byte[] fingerprint, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            insert into platform.idempotency as i (tenant, caller, key, fingerprint, fence, lease_until, expires_at)
            values ($1, $2, $3, $4, 1, $5, $6)
            on conflict (tenant, caller, key) do update set
              fingerprint = excluded.fingerprint, fence = i.fence + 1, lease_until = excluded.lease_until, expires_at = excluded.expires_at,
              status = null, headers = null, body = null
            where i.expires_at <= $7 or (i.status is null and i.lease_until <= $7 and i.fingerprint = excluded.fingerprint)
            returning i.fence
            """);
        var now = clock.GetUtcNow();
        AddKey(command, scope, key);
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = fingerprint });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now + Lease });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now + Kept });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        return (long?)await command.ExecuteScalarAsync(cancellation);
    }

    private async Task<IdempotencyDecision?> LookAsync(IdempotencyScope scope, string key, byte[] fingerprint, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select fingerprint = $4, status, headers, body from platform.idempotency where tenant = $1 and caller = $2 and key = $3
            """);
        AddKey(command, scope, key);
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = fingerprint });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            return null;
        }

        if (!reader.GetBoolean(0))
        {
            return new IdempotencyDecision.UsedForAnother();
        }

        return reader.IsDBNull(1)
            ? new IdempotencyDecision.StillRunning()
            : new IdempotencyDecision.Replay(new StoredAnswer(
                reader.GetInt32(1),
                JsonSerializer.Deserialize(reader.GetString(2), HeadersJson.Default.DictionaryStringStringArray) ?? [],
                reader.GetFieldValue<byte[]>(3)));
    }

    private const string Current = "tenant = $1 and caller = $2 and key = $3 and fence = $4 and status is null";

    private NpgsqlCommand Command(string sql, IdempotencyAttempt attempt)
    {
        var command = database.DataSource.CreateCommand(sql);
        command.CommandTimeout = CommandSeconds;
        AddKey(command, attempt.Scope, attempt.Key);
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = attempt.Fence });
        return command;
    }

    private static void AddKey(NpgsqlCommand command, IdempotencyScope scope, string key)
    {
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = scope.Tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = scope.Caller });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = key });
    }
}

[JsonSerializable(typeof(Dictionary<string, string[]>))]
internal sealed partial class HeadersJson : JsonSerializerContext;

using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Feeds;

/// <summary>What the audit log says of a change of a feed.</summary>
/// <param name="Digest">SHA-256 of what was sent; null for an edge that was removed by itself.</param>
/// <param name="Edge">The edge that was removed.</param>
internal sealed record FeedAudit(string? AsOf, string? Digest, long Entries, long Added, long Changed, long Removed, long Unjoined, bool Forced, string? Edge, string? Reason);

/// <summary>The feed after a request, and the job that makes findings agree with it; no job when there is nothing to do.</summary>
internal sealed record FeedTaken(long Version, Guid? Job, FeedApplied Applied);

/// <summary>Takes a feed in: all of it or nothing, together with the job that recomputes what depends on it.</summary>
internal sealed class FeedIntake(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SetSave tail,
    AliasClusters clusters,
    VulnCenterMetrics metrics,
    TimeProvider clock) : IDisposable
{
    private static readonly FeedApplied Nothing = new(0, 0, 0, 0, []);

    // A feed holds a connection while it is read.
    private readonly SemaphoreSlim _places = new(2);

    /// <param name="feed">Read from its beginning.</param>
    /// <param name="digest">Its SHA-256.</param>
    /// <param name="force">Takes one that is older than the one held, empty or much smaller.</param>
    public async Task<(FeedTaken? Taken, Refusal? Refusal)> TakeAsync(
        string tenant, string actor, string name, FeedChange change, Stream feed, byte[] digest, bool force, CancellationToken cancellation)
    {
        await _places.WaitAsync(cancellation);
        try
        {
            return await ReplaceAsync(tenant, actor, name, change, feed, digest, force, cancellation);
        }
        finally
        {
            _places.Release();
        }
    }

    public void Dispose() => _places.Dispose();

    private async Task<(FeedTaken? Taken, Refusal? Refusal)> ReplaceAsync(
        string tenant, string actor, string name, FeedChange change, Stream feed, byte[] digest, bool force, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        try
        {
            await change.StageAsync(connection, feed, cancellation);
            change.RefuseFuture(clock.GetUtcNow());
        }
        catch (FeedException wrong)
        {
            return (null, new Refusal(FindingProblems.FeedUnreadable, $"The feed is not taken: {wrong.Message}.", [new FieldError(wrong.Pointer, wrong.Reason)]));
        }
        catch (ReportFormatException broken)
        {
            return (null, new Refusal(FindingProblems.FeedUnreadable, $"The feed is not taken: {broken.Message}", [new FieldError(broken.Pointer, broken.Detail)]));
        }

        var held = await LockAsync(connection, tenant, name, cancellation);
        if (held.Version > 0 && held.Digest.AsSpan().SequenceEqual(digest) && change is not AliasesChange)
        {
            return (await AgainAsync(connection, transaction, tenant, actor, held, cancellation), null);
        }

        if (!force && await change.CheckAsync(connection, tenant, held, cancellation) is { } refusal)
        {
            return (null, refusal);
        }

        var now = clock.GetUtcNow().ToUniversalTime();
        var applied = await change.ApplyAsync(connection, tenant, now, cancellation);
        if (held.Version > 0 && change is AliasesChange && applied is { Added: 0, Removed: 0 })
        {
            var again = await AgainAsync(connection, transaction, tenant, actor, held, cancellation);
            return (again with { Applied = applied }, null);
        }

        var entries = await change.CountAsync(connection, tenant, cancellation);
        var after = held with { Version = held.Version + 1, AsOf = change.AsOf, Digest = digest, Entries = entries, At = now, Actor = actor };
        var audit = new FeedAudit(after.AsOf, Convert.ToHexStringLower(digest), entries, applied.Added, applied.Changed, applied.Removed, applied.Unjoined, force, Edge: null, Reason: null);
        return (await SaveAsync(connection, transaction, tenant, held, after, applied, "feed.replaced", audit, cancellation), null);
    }

    /// <summary>Removes an edge, for good: of one source, or of all.</summary>
    /// <returns>Null when there is no such edge.</returns>
    public async Task<FeedTaken?> RemoveEdgeAsync(string tenant, string actor, string a, string b, string? source, string? reason, CancellationToken cancellation)
    {
        var (first, second) = string.CompareOrdinal(a, b) < 0 ? (a, b) : (b, a);
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var held = await LockAsync(connection, tenant, FeedNames.Aliases, cancellation);
        var statement = await AliasClusters.BeginAsync(connection, tenant, cancellation);
        var now = clock.GetUtcNow().ToUniversalTime();
        long removed;
        await using (var command = new NpgsqlCommand(FeedSql.RemoveEdge, connection))
        {
            var p = command.Parameters;
            p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            p.Add(new NpgsqlParameter<string> { TypedValue = first });
            p.Add(new NpgsqlParameter<string> { TypedValue = second });
            p.Add(OptionalParameter.Text(source));
            p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
            p.Add(new NpgsqlParameter<string> { TypedValue = actor });
            removed = (long)(await command.ExecuteScalarAsync(cancellation) ?? 0L);
        }

        if (removed == 0)
        {
            return null;
        }

        var changed = await clusters.RecomputeAsync(connection, tenant, statement, removed: true, cancellation);
        var after = held with { Version = held.Version + 1, Entries = await AliasesChange.CountEdgesAsync(connection, tenant, cancellation), At = now, Actor = actor };
        var audit = new FeedAudit(held.AsOf, Digest: null, after.Entries, 0, 0, removed, changed.Unjoined, Forced: false, $"{first} {second} {source ?? "*"}", reason);
        return await SaveAsync(connection, transaction, tenant, held, after, new FeedApplied(0, 0, removed, 0, changed.Ids, changed.Unjoined), "feed.edge-removed", audit, cancellation);
    }

    /// <summary>Nothing changed; what an earlier job did not finish is begun again.</summary>
    private async Task<FeedTaken> AgainAsync(
        NpgsqlConnection connection, NpgsqlTransaction transaction, string tenant, string actor, FeedHeld held, CancellationToken cancellation)
    {
        if (held.Settled == held.Version)
        {
            return new FeedTaken(held.Version, Job: null, Nothing);
        }

        if (held.Recompute is { } running && await jobs.FindAsync(tenant, running, cancellation) is { IsFinished: false })
        {
            return new FeedTaken(held.Version, running, Nothing);
        }

        var job = await EnqueueAsync(connection, tenant, actor, held.Name, held.Version, Nothing with { Ids = null }, cancellation);
        await using (var command = new NpgsqlCommand(FeedSql.Recompute, connection))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = held.Name });
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = job });
            await command.ExecuteNonQueryAsync(cancellation);
        }

        await transaction.CommitAsync(cancellation);
        jobs.Wake();
        return new FeedTaken(held.Version, job, Nothing);
    }

    private async Task<FeedTaken> SaveAsync(
        NpgsqlConnection connection, NpgsqlTransaction transaction, string tenant, FeedHeld held, FeedHeld after, FeedApplied applied, string action, FeedAudit audit,
        CancellationToken cancellation)
    {
        // What the job before this one has not come to, this one does.
        var job = await EnqueueAsync(
            connection, tenant, after.Actor, after.Name, after.Version, held.Settled < held.Version ? applied with { Ids = null } : applied, cancellation);
        var hash = await tail.WriteAsync(connection, new EntityChange
        {
            Tenant = tenant,
            Kind = "feed",
            Id = after.Name,
            Version = after.Version,
            At = after.At,
            Actor = after.Actor,
            Action = action,
            Details = JsonSerializer.SerializeToElement(audit, VulnCenterJson.Default.FeedAudit),
            PreviousAuditHash = held.AuditHash is { } previous ? previous : default(ReadOnlyMemory<byte>?),
        }, cancellation);
        await using (var command = new NpgsqlCommand(FeedSql.Save, connection))
        {
            var p = command.Parameters;
            p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            p.Add(new NpgsqlParameter<string> { TypedValue = after.Name });
            p.Add(new NpgsqlParameter<long> { TypedValue = after.Version });
            p.Add(OptionalParameter.Text(after.AsOf));
            p.Add(new NpgsqlParameter<byte[]> { TypedValue = after.Digest });
            p.Add(new NpgsqlParameter<int> { TypedValue = (int)after.Entries });
            p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = after.At });
            p.Add(new NpgsqlParameter<string> { TypedValue = after.Actor });
            p.Add(new NpgsqlParameter<byte[]> { TypedValue = hash });
            p.Add(new NpgsqlParameter<Guid> { TypedValue = job });
            await command.ExecuteNonQueryAsync(cancellation);
        }

        await transaction.CommitAsync(cancellation);
        jobs.Wake();
        metrics.AliasesUnjoined(applied.Unjoined);
        return new FeedTaken(after.Version, job, applied);
    }

    private async Task<Guid> EnqueueAsync(
        NpgsqlConnection connection, string tenant, string actor, string name, long version, FeedApplied applied, CancellationToken cancellation)
    {
        var id = Guid.CreateVersion7();
        var arguments = new FeedArguments(name, version, applied.Ids, applied.Added, applied.Changed, applied.Removed, applied.Ignored, applied.Unjoined);
        await jobs.EnqueueAsync(connection, NewJob.Of(tenant, id, FeedJob.KindName, arguments, VulnCenterJson.Default.FeedArguments, actor), cancellation);
        return id;
    }

    private static async Task<FeedHeld> LockAsync(NpgsqlConnection connection, string tenant, string name, CancellationToken cancellation)
    {
        NpgsqlParameter[] Key() => [new NpgsqlParameter<string> { TypedValue = tenant }, new NpgsqlParameter<string> { TypedValue = name }];
        await ExecuteAsync(connection, FeedSql.Lock, cancellation, Key());
        await using var command = new NpgsqlCommand(FeedSql.Held, connection);
        command.Parameters.AddRange(Key());
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? Read(name, reader) : FeedHeld.None(name);
    }

    internal static FeedHeld Read(string name, NpgsqlDataReader row) => new(
        name, row.GetInt64(0), row.IsDBNull(1) ? null : row.GetString(1), row.GetFieldValue<byte[]>(2), row.GetInt32(3), row.GetFieldValue<DateTimeOffset>(4), row.GetString(5),
        row.GetFieldValue<byte[]>(6), row.GetInt64(7), row.IsDBNull(8) ? null : row.GetGuid(8));

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation, params NpgsqlParameter[] values)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 600 };
        command.Parameters.AddRange(values);
        await command.ExecuteNonQueryAsync(cancellation);
    }
}

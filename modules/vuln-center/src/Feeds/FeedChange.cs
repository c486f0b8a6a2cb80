using Npgsql;
using NpgsqlTypes;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Feeds;

/// <param name="Ids">Whose findings may be affected; null: everybody's.</param>
/// <param name="Unjoined">Edges that are kept and join nothing.</param>
internal sealed record FeedApplied(long Added, long Changed, long Removed, long Ignored, IReadOnlyList<string>? Ids, long Unjoined = 0);

/// <summary>A feed as it is held, or as it was before anything was sent.</summary>
internal sealed record FeedHeld(
    string Name, long Version, string? AsOf, byte[] Digest, long Entries, DateTimeOffset At, string Actor, byte[]? AuditHash, long Settled, Guid? Recompute)
{
    public static FeedHeld None(string name) => new(name, 0, null, [], 0, default, "", null, 0, null);
}

/// <summary>One of the three feeds on its way in: staged outside any lock, then checked against what is held and applied. A transaction throughout.</summary>
internal abstract class FeedChange
{
    private const int MaxEntries = 2_000_000;

    // Between a publisher's clock and ours, and for a date without a time zone.
    private static readonly TimeSpan ClockSkew = TimeSpan.FromDays(1);

    /// <summary>What the feed says of itself; known once it is staged.</summary>
    public abstract string? AsOf { get; }

    /// <summary>Where the feed says of when it is, or should; null: its age decides nothing.</summary>
    public virtual string? AsOfAt => null;

    /// <summary>What was staged.</summary>
    public long Entries { get; protected set; }

    /// <exception cref="FeedException">The feed cannot be taken.</exception>
    public abstract Task StageAsync(NpgsqlConnection connection, Stream feed, CancellationToken cancellation);

    /// <exception cref="FeedException">The feed is of a day to come: every one until then would be older than it.</exception>
    public void RefuseFuture(DateTimeOffset now)
    {
        if (AsOfAt is { } at && FeedValues.Moment(AsOf) > now + ClockSkew)
        {
            throw new FeedException(at, $"is in the future: {AsOf}");
        }
    }

    /// <returns>Why it does not replace what is held.</returns>
    public virtual Task<Refusal?> CheckAsync(NpgsqlConnection connection, string tenant, FeedHeld held, CancellationToken cancellation) => Task.FromResult<Refusal?>(null);

    public abstract Task<FeedApplied> ApplyAsync(NpgsqlConnection connection, string tenant, DateTimeOffset now, CancellationToken cancellation);

    /// <summary>Entries of the feed after it was applied.</summary>
    public virtual Task<long> CountAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation) => Task.FromResult(Entries);

    protected void Count(string at)
    {
        if (++Entries > MaxEntries)
        {
            throw new FeedException(at, $"is one entry too many: {MaxEntries} are taken");
        }
    }

    protected static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation, params NpgsqlParameter[] values)
    {
        await using var command = Command(connection, sql, values);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    protected static NpgsqlCommand Command(NpgsqlConnection connection, string sql, params NpgsqlParameter[] values)
    {
        var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 600 };
        foreach (var value in values)
        {
            command.Parameters.Add(value);
        }

        return command;
    }

    protected static async Task RefuseRepeatedAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = Command(connection, FeedSql.Repeated);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        if (await reader.ReadAsync(cancellation))
        {
            throw new FeedException(reader.GetString(0), $"names {reader.GetString(1)} again");
        }
    }

    protected static async Task<FeedApplied> AppliedAsync(NpgsqlCommand command, long ignored, CancellationToken cancellation)
    {
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return new FeedApplied(
            reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), ignored, reader.FieldCount < 4 || reader.IsDBNull(3) ? null : reader.GetFieldValue<string[]>(3));
    }

    /// <summary>A set that is replaced as a whole: an older one, one of nobody knows when, an empty one and one that lost more than half are not taken for granted.</summary>
    protected Refusal? CheckSet(FeedHeld held, long entries, bool older, string? asOf) => (held, entries) switch
    {
        _ when asOf is null && held.AsOf is not null && AsOfAt is { } at => new Refusal(
            FindingProblems.FeedUnreadable, $"The feed has no date, the one held is of {held.AsOf}; force=true takes it all the same.", [new FieldError(at, "must say of when the feed is")]),
        _ when older => new Refusal(FindingProblems.FeedOlder, $"The feed is of {asOf}, the one held is of {held.AsOf}; force=true takes it all the same."),
        (_, 0) => new Refusal(FindingProblems.FeedShrunk, "The feed holds no entry; force=true takes it all the same."),
        _ when entries < held.Entries / 2 =>
            new Refusal(FindingProblems.FeedShrunk, $"The feed holds {entries} entries, the one held {held.Entries}; force=true takes it all the same."),
        _ => null,
    };
}

internal sealed class EpssChange : FeedChange
{
    private readonly EpssFeed _feed = new();

    public override string? AsOf => _feed.AsOf;

    public override string AsOfAt => _feed.AsOfAt;

    public override async Task StageAsync(NpgsqlConnection connection, Stream feed, CancellationToken cancellation)
    {
        await ExecuteAsync(connection, FeedSql.StageEpss, cancellation);
        await using (var copy = await connection.BeginBinaryImportAsync(FeedSql.CopyEpss, cancellation))
        {
            await foreach (var row in _feed.ReadAsync(feed, cancellation))
            {
                Count(row.At);
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(row.At, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Cve, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Score, NpgsqlDbType.Real, cancellation);
                await (row.Percentile is { } percentile ? copy.WriteAsync(percentile, NpgsqlDbType.Real, cancellation) : copy.WriteNullAsync(cancellation));
            }

            await copy.CompleteAsync(cancellation);
        }

        await ExecuteAsync(connection, FeedSql.Analyze, cancellation);
        await RefuseRepeatedAsync(connection, cancellation);
    }

    public override Task<Refusal?> CheckAsync(NpgsqlConnection connection, string tenant, FeedHeld held, CancellationToken cancellation) =>
        Task.FromResult(CheckSet(held, Entries, FeedValues.Moment(AsOf) < FeedValues.Moment(held.AsOf), AsOf));

    public override async Task<FeedApplied> ApplyAsync(NpgsqlConnection connection, string tenant, DateTimeOffset now, CancellationToken cancellation)
    {
        await using var command = Command(connection, FeedSql.ApplyEpss, new NpgsqlParameter<string> { TypedValue = tenant });
        return await AppliedAsync(command, ignored: 0, cancellation);
    }
}

/// <param name="json">The catalog as JSON; otherwise CSV.</param>
internal sealed class KevChange(bool json) : FeedChange
{
    private readonly KevFeed _feed = new();
    private DateOnly? _latest;
    private string? _latestAt;

    public override string? AsOf => _feed.AsOf ?? (json ? null : _latest?.ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture));

    public override string AsOfAt => _feed.AsOfAt ?? _latestAt ?? FeedException.LinePointer(1);

    public override async Task StageAsync(NpgsqlConnection connection, Stream feed, CancellationToken cancellation)
    {
        await ExecuteAsync(connection, FeedSql.StageKev, cancellation);
        await using (var copy = await connection.BeginBinaryImportAsync(FeedSql.CopyKev, cancellation))
        {
            await foreach (var row in _feed.ReadAsync(feed, json, new ReportContext { SecretKey = default }, cancellation))
            {
                Count(row.At);
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(row.At, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Cve, NpgsqlDbType.Text, cancellation);
                await (row.Added is { } added ? copy.WriteAsync(added, NpgsqlDbType.Date, cancellation) : copy.WriteNullAsync(cancellation));
                await (row.Due is { } due ? copy.WriteAsync(due, NpgsqlDbType.Date, cancellation) : copy.WriteNullAsync(cancellation));
                await copy.WriteAsync(row.Ransomware, NpgsqlDbType.Boolean, cancellation);
                if (row.Added is { } day && !(day <= _latest))
                {
                    (_latest, _latestAt) = (day, row.At);
                }
            }

            await copy.CompleteAsync(cancellation);
        }

        await ExecuteAsync(connection, FeedSql.Analyze, cancellation);
        await RefuseRepeatedAsync(connection, cancellation);
    }

    /// <summary>The CSV names no date of its own: it is older when its latest addition is.</summary>
    public override async Task<Refusal?> CheckAsync(NpgsqlConnection connection, string tenant, FeedHeld held, CancellationToken cancellation)
    {
        if (_feed.AsOf is { } asOf)
        {
            return CheckSet(held, Entries, FeedValues.Moment(asOf) < FeedValues.Moment(held.AsOf), asOf);
        }

        await using var command = Command(connection, FeedSql.LatestKev, new NpgsqlParameter<string> { TypedValue = tenant });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        var older = !reader.IsDBNull(0) && !reader.IsDBNull(1) && reader.GetFieldValue<DateOnly>(1) < reader.GetFieldValue<DateOnly>(0);
        return CheckSet(held, Entries, older, AsOf);
    }

    public override async Task<FeedApplied> ApplyAsync(NpgsqlConnection connection, string tenant, DateTimeOffset now, CancellationToken cancellation)
    {
        FeedApplied applied;
        await using (var command = Command(connection, FeedSql.ApplyKev, new NpgsqlParameter<string> { TypedValue = tenant }))
        {
            applied = await AppliedAsync(command, ignored: 0, cancellation);
        }

        if (applied.Ids is not { Count: <= AliasClusters.MostListed } ids)
        {
            return applied with { Ids = null };
        }

        await using var aliases = Command(
            connection, FeedSql.WithAliases, new NpgsqlParameter<string> { TypedValue = tenant }, new NpgsqlParameter<string[]> { TypedValue = [.. ids] },
            new NpgsqlParameter<int> { TypedValue = AliasClusters.MostListed + 1 });
        var all = ((string[]?)await aliases.ExecuteScalarAsync(cancellation) ?? []).Distinct(StringComparer.Ordinal).ToList();
        return applied with { Ids = all.Count > AliasClusters.MostListed ? null : all };
    }
}

/// <param name="source">Whose edges these are; null: each names its own.</param>
/// <param name="replace">Edges of that source that are stated no more go.</param>
/// <param name="force">Edges that people removed come back.</param>
internal sealed class AliasesChange(AliasClusters clusters, string? source, bool replace, bool force) : FeedChange
{
    private readonly AliasFeed _feed = new(source);

    public override string? AsOf => _feed.AsOf?.ToString("O", System.Globalization.CultureInfo.InvariantCulture);

    public override async Task StageAsync(NpgsqlConnection connection, Stream feed, CancellationToken cancellation)
    {
        await ExecuteAsync(connection, FeedSql.StageAliases, cancellation);
        await using (var copy = await connection.BeginBinaryImportAsync(FeedSql.CopyAliases, cancellation))
        {
            await foreach (var row in _feed.ReadAsync(feed, new ReportContext { SecretKey = default }, cancellation))
            {
                Count("");
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(row.A, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.B, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(row.Source, NpgsqlDbType.Text, cancellation);
                await (row.Since is { } since ? copy.WriteAsync(since.ToUniversalTime(), NpgsqlDbType.TimestampTz, cancellation) : copy.WriteNullAsync(cancellation));
            }

            await copy.CompleteAsync(cancellation);
        }

        await ExecuteAsync(connection, FeedSql.Analyze, cancellation);
    }

    public override Task<Refusal?> CheckAsync(NpgsqlConnection connection, string tenant, FeedHeld held, CancellationToken cancellation) =>
        Task.FromResult(replace && Entries == 0 ? new Refusal(FindingProblems.FeedShrunk, "The feed states no alias; force=true removes all of the source.") : null);

    public override async Task<FeedApplied> ApplyAsync(NpgsqlConnection connection, string tenant, DateTimeOffset now, CancellationToken cancellation)
    {
        var statement = await AliasClusters.BeginAsync(connection, tenant, cancellation);
        if (force)
        {
            await ExecuteAsync(connection, FeedSql.ForgetVetoes, cancellation, new NpgsqlParameter<string> { TypedValue = tenant });
        }

        FeedApplied applied;
        await using (var command = Command(
            connection, FeedSql.ApplyAliases, new NpgsqlParameter<string> { TypedValue = tenant }, new NpgsqlParameter<bool> { TypedValue = replace },
            new NpgsqlParameter<string> { TypedValue = source ?? "" }, new NpgsqlParameter<DateTimeOffset> { TypedValue = now }, new NpgsqlParameter<long> { TypedValue = statement }))
        {
            applied = await AppliedAsync(command, _feed.Ignored, cancellation);
        }

        var change = await clusters.RecomputeAsync(connection, tenant, statement, removed: applied.Removed > 0, cancellation);
        return applied with { Ids = change.Ids, Unjoined = change.Unjoined };
    }

    public override Task<long> CountAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation) => CountEdgesAsync(connection, tenant, cancellation);

    public static async Task<long> CountEdgesAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation)
    {
        await using var command = Command(connection, FeedSql.CountAliases, new NpgsqlParameter<string> { TypedValue = tenant });
        return (long)(await command.ExecuteScalarAsync(cancellation) ?? 0L);
    }
}

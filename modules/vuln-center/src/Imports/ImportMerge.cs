using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Feeds;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Groups;

namespace Wave16.VulnCenter.Imports;

/// <summary>One staged report, for one service.</summary>
/// <param name="Results">Raw results that were read for it; a merge that finds another number in staging does nothing.</param>
internal sealed record StagedScan(
    string Tenant, Guid Import, Guid Scan, string Service, string Source, string Tool, string? ToolVersion, string Format, ScanScope Scope, string? ScopeFilter,
    string? Failure, long Results, byte[] ReportDigest, DateTimeOffset StartedAt, string Actor, int RuleSet, bool WithItems);

internal sealed record MergeResult(ScanResult Scan, IReadOnlyList<MergedItem> Items);

/// <param name="Ordinal">Place in the report, across its services.</param>
internal sealed record MergedItem(int Ordinal, ImportedItem Item);

/// <summary>What the audit log says of a scan; <paramref name="Digest"/> is over <c>finding:version:change</c> lines in id order.</summary>
internal sealed record ScanAudit(string Digest, string Report, int RuleSet, ScanResult Result);

/// <summary>
/// Merges a staged report into the findings of its service: one transaction, under an advisory lock on (tenant, service)
/// that is held for it alone, in a number of statements that does not depend on the number of results.
/// </summary>
internal sealed class ImportMerge(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SetSave tail,
    [FromKeyedServices(VulnCenterModule.ModuleName)] OutboxSignal outbox,
    [FromKeyedServices(VulnCenterModule.ModuleName)] Jobs jobs,
    VulnCenterMetrics metrics,
    TimeProvider clock)
{
    // What a scan that shows a finding does to its status is asked of the rules, once: the same switch decides here and in the grain.
    private static readonly short[] Reopening = [.. Enum.GetValues<FindingStatus>().Where(ReopensWhenSeen).Select(status => (short)status)];
    private static readonly short[] Surfacing =
        [.. Enum.GetValues<FindingStatus>().Where(status => FindingRules.Surfaces(Severity.Critical, status)).Select(status => (short)status)];

    private static readonly short[] Drifting = [.. Drift.Kinds.Select(kind => (short)kind)];
    private static readonly short[] Tracked = [.. Drift.Tracked.Select(status => (short)status)];

    /// <summary>Repeating it is harmless: a scan that is recorded is not merged again.</summary>
    /// <param name="guard">Called last in the transaction (it locks the job's row, which <paramref name="progress"/> writes): proves that this attempt is still the current one.</param>
    /// <param name="progress">Called as steps end, outside the database.</param>
    public async Task<MergeResult> MergeAsync(StagedScan scan, Func<NpgsqlConnection, Task> guard, Func<ImportProgress, Task> progress, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await ExecuteAsync(connection, MergeSql.Lock, cancellation, scan.Tenant, scan.Service);
        var locked = clock.GetTimestamp();
        if (await RecordedAsync(connection, scan, cancellation) is { } recorded)
        {
            await ExecuteAsync(connection, MergeSql.Unstage, cancellation, scan.Import, scan.Service, scan.Source);
            await guard(connection);
            await transaction.CommitAsync(cancellation);
            return recorded;
        }

        var now = clock.GetUtcNow().ToUniversalTime();
        await ExecuteAsync(connection, MergeSql.Candidates, cancellation, scan.Tenant, scan.Service, scan.Source, scan.Import);
        await ExecuteAsync(connection, MergeSql.JoinByHash, cancellation);
        await ExecuteAsync(connection, MergeSql.Match, cancellation, scan.Import, scan.Service, scan.Source);
        await ExecuteAsync(connection, MergeSql.Analyze, cancellation);
        await DriftAsync(connection, scan, cancellation);
        await ExecuteAsync(connection, MergeSql.Touched, cancellation, scan.Tenant, Reopening, Surfacing, (short)Severity.Critical, (short)FindingStatus.Open);
        var counts = await CountAsync(connection, scan, cancellation);
        var result = new ScanResult(
            scan.Scan, scan.Service, scan.Source, scan.Scope, scan.Results, counts.New, counts.Matched, counts.Reopened, counts.Rejected, counts.Changed);
        if (result.Observations != result.New + result.Matched + result.Reopened + result.Rejected)
        {
            throw new InvalidOperationException($"Scan {scan.Scan}: {result.Observations} results were read, but {counts} are staged; nothing was merged.");
        }

        await progress(new ImportProgress(result.Observations, result.Observations, 0));
        var leaf = Leaf(scan, result, counts.Digest, now);
        var hash = AuditLeaf.Hash(AuditLeaf.Canonical(leaf));
        await ExecuteAsync(connection, MergeSql.InsertFindings, cancellation,
            scan.Tenant, scan.Service, scan.Source, (short)FindingStatus.Open, now, hash, (short)Severity.Critical, FindingRules.Surfaces(Severity.Critical, FindingStatus.Open));
        await ExecuteAsync(connection, MergeSql.ForgetKeys, cancellation, scan.Tenant);
        await ExecuteAsync(connection, MergeSql.InsertKeys, cancellation, scan.Tenant, scan.Service, scan.Source);
        await ExecuteAsync(connection, MergeSql.UpdateFindings, cancellation, scan.Tenant, (short)FindingStatus.Open, now, hash);
        await ExecuteAsync(connection, MergeSql.InsertObservations, cancellation,
            scan.Tenant, scan.Scan, now, (short)Outcome.New, (short)Outcome.Matched, (short)Outcome.Reopened, scan.RuleSet);
        await ExecuteAsync(connection, MergeSql.InsertRejections, cancellation,
            scan.Tenant, scan.Import, scan.Service, scan.Source, scan.Scan, now, (short)Outcome.Rejected, scan.RuleSet);
        await ExecuteAsync(connection, MergeSql.InsertTransitions, cancellation, scan.Tenant, now, scan.Actor, (short)FindingStatus.Open, scan.Scan);
        await ExecuteAsync(connection, MergeSql.Seen, cancellation, scan.Tenant, scan.Scan, now);
        await ScanFeeds.AfterMergeAsync(connection, jobs, scan.Tenant, scan.Source, now, cancellation);
        await Regrouping.AfterMergeAsync(connection, scan.Tenant, scan.Service, scan.Source, cancellation);
        var events = await EventsAsync(connection, scan, now, cancellation);
        await tail.WriteEventsAsync(connection, scan.Tenant, now, events, cancellation);
        IReadOnlyList<MergedItem> items = scan.WithItems ? await ItemsAsync(connection, cancellation) : [];
        await ExecuteAsync(connection, MergeSql.InsertScan, cancellation,
            scan.Tenant, scan.Scan, scan.Import, scan.Service, scan.Source, scan.Tool, scan.ToolVersion, scan.Format, (short)scan.Scope, scan.ScopeFilter,
            scan.Failure, scan.ReportDigest, scan.StartedAt.ToUniversalTime(), now,
            (int)result.New, (int)result.Matched, (int)result.Reopened, (int)result.Rejected, (int)result.FindingsChanged,
            scan.WithItems ? JsonSerializer.Serialize(items, VulnCenterJson.Default.IReadOnlyListMergedItem) : null);
        await tail.WriteAsync(connection, leaf, cancellation);
        await ExecuteAsync(connection, MergeSql.Unstage, cancellation, scan.Import, scan.Service, scan.Source);
        await guard(connection);
        await transaction.CommitAsync(cancellation);
        metrics.Merged(result, clock.GetElapsedTime(locked));
        outbox.Committed(leaf with { Events = [.. leaf.Events, .. events.Select(e => e.Event)] });
        await progress(new ImportProgress(result.Observations, result.Observations, result.Observations));
        return new MergeResult(result, items);
    }

    private static async Task<MergeResult?> RecordedAsync(NpgsqlConnection connection, StagedScan scan, CancellationToken cancellation)
    {
        await using var command = Command(
            connection, MergeSql.Recorded, scan.Tenant, scan.Scan, scan.Service, scan.Source, scan.ReportDigest, (short)scan.Scope, scan.StartedAt.ToUniversalTime(),
            scan.ScopeFilter, !scan.WithItems);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            return null;
        }

        var id = reader.GetGuid(0);
        var (created, matched, reopened, rejected, changed) = (reader.GetInt32(1), reader.GetInt32(2), reader.GetInt32(3), reader.GetInt32(4), reader.GetInt32(5));
        var all = (long)created + matched + reopened + rejected;
        IReadOnlyList<MergedItem> items = reader.IsDBNull(6) ? [] : JsonSerializer.Deserialize(reader.GetString(6), VulnCenterJson.Default.IReadOnlyListMergedItem) ?? [];
        return new MergeResult(id == scan.Scan
            ? new ScanResult(id, scan.Service, scan.Source, scan.Scope, all, created, matched, reopened, rejected, changed)
            : new ScanResult(id, scan.Service, scan.Source, scan.Scope, all, 0, all - rejected, 0, rejected, 0), items);
    }

    private static async Task DriftAsync(NpgsqlConnection connection, StagedScan scan, CancellationToken cancellation)
    {
        var filter = scan.ScopeFilter?.TrimEnd('/');
        await ExecuteAsync(connection, MergeSql.Evidence, cancellation,
            scan.Tenant, scan.Service, scan.Source, Drifting, Tracked, scan.ScopeFilter, scan.Failure is null, (short)FindingKind.Secret, scan.Scope == ScanScope.Complete);
        await ExecuteAsync(connection, MergeSql.JoinFreely, cancellation);
        await ExecuteAsync(connection, MergeSql.AnalyzeEvidence, cancellation);
        await ExecuteAsync(connection, MergeSql.Drift, cancellation,
            scan.Tenant, scan.Service, scan.Source, Tracked, filter, scan.Scope == ScanScope.Complete, Drift.LineHashes.ToArray(), Drift.CodeKeys.ToArray());
        if (await ExecuteAsync(connection, MergeSql.Adopt, cancellation) > 0)
        {
            // The planner remembers them as new, and would expect next to no findings that exist.
            await ExecuteAsync(connection, MergeSql.Analyze, cancellation);
        }
    }

    private static async Task<MergeCounts> CountAsync(NpgsqlConnection connection, StagedScan scan, CancellationToken cancellation)
    {
        await using var command = Command(connection, MergeSql.Count, scan.Import, scan.Service, scan.Source);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return new MergeCounts(
            reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4), reader.GetInt64(5), reader.GetString(6));
    }

    /// <summary>One leaf covers all findings a scan changed: their ids and versions are in its digest, and it is their next leaf's predecessor.</summary>
    private static EntityChange Leaf(StagedScan scan, ScanResult result, string digest, DateTimeOffset now) => new()
    {
        Tenant = scan.Tenant,
        Kind = "scan",
        Id = scan.Scan.ToString("D"),
        Version = 1,
        At = now,
        Actor = scan.Actor,
        Action = "scan.imported",
        Covers = "finding",
        Details = JsonSerializer.SerializeToElement(
            new ScanAudit(digest, Convert.ToHexStringLower(scan.ReportDigest), scan.RuleSet, result), VulnCenterJson.Default.ScanAudit),
        Events =
        [
            new NewEvent(VulnCenterEvents.ScanImported, JsonSerializer.Serialize(
                new ScanImported(scan.Scan, scan.Service, scan.Source, scan.Scope, result.Observations, result.New, result.Reopened, result.FindingsChanged),
                VulnCenterJson.Default.ScanImported)),
        ],
    };

    private static async Task<IReadOnlyList<EntityEvent>> EventsAsync(NpgsqlConnection connection, StagedScan scan, DateTimeOffset now, CancellationToken cancellation)
    {
        List<EntityEvent> events = [];
        await using var command = Command(connection, MergeSql.Eventful, (short)Severity.Critical, (short)FindingStatus.Open);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var after = new FindingState
            {
                Tenant = scan.Tenant,
                Id = reader.GetGuid(0),
                Version = reader.GetInt64(1),
                Service = scan.Service,
                Source = scan.Source,
                Severity = (Severity)reader.GetInt16(2),
                Status = (FindingStatus)reader.GetInt16(3),
                StatusSince = now,
                Regression = reader.GetBoolean(4),
                Gate = reader.GetBoolean(5),
                AuditHash = [],
            };
            var before = after with { Status = (FindingStatus)reader.GetInt16(6), Gate = reader.GetBoolean(7) };
            events.AddRange(FindingEvents.Of(before, after, scan.Scan).Select((e, i) => new EntityEvent("finding", after.Id.ToString("D"), after.Version, i, e)));
        }

        return events;
    }

    private static async Task<IReadOnlyList<MergedItem>> ItemsAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        List<MergedItem> items = [];
        await using var command = Command(connection, MergeSql.Items, (short)Outcome.New, (short)Outcome.Matched, (short)Outcome.Reopened);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            items.Add(new MergedItem(reader.GetInt32(3), new ImportedItem(reader.GetString(0), (Outcome)reader.GetInt16(1), reader.GetGuid(2))));
        }

        return items;
    }

    private static async Task<int> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation, params object?[] values)
    {
        await using var command = Command(connection, sql, values);
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, params object?[] values)
    {
        var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 600 };
        foreach (var value in values)
        {
            command.Parameters.Add(value is null
                ? new NpgsqlParameter { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text }
                : new NpgsqlParameter { Value = value });
        }

        return command;
    }

    private static bool ReopensWhenSeen(FindingStatus status) => FindingRules.Decide(
        new FindingState
        {
            Tenant = "",
            Id = Guid.Empty,
            Version = 1,
            Service = "",
            Source = "",
            Severity = Severity.Critical,
            Status = status,
            StatusSince = default,
            Regression = false,
            Gate = false,
            AuditHash = [],
        },
        new FindingCommand.SeenInScan(Guid.Empty), default) is FindingDecision.Accepted { State.Status: FindingStatus.Open };

    private sealed record MergeCounts(long Staged, long Rejected, long New, long Matched, long Reopened, long Changed, string Digest);
}

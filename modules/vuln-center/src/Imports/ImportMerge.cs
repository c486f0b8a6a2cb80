using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.Options;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Feeds;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Groups;
using Wave16.VulnCenter.Imports.Formats;
using Wave16.VulnCenter.Policies;

namespace Wave16.VulnCenter.Imports;

/// <summary>One staged report, for one service.</summary>
/// <param name="StartedAt">When the scan began, as far as it is known.</param>
/// <param name="Seen">What was read; a merge that finds another number of results in staging does nothing.</param>
internal sealed record StagedScan(
    string Tenant, Guid Import, string Format, ScanScope Scope, string? ScopeFilter,
    ScanSeen Seen, bool ExpectEmpty, byte[] ReportDigest, DateTimeOffset StartedAt, DateTimeOffset ReceivedAt, string Actor, int RuleSet, bool WithItems)
{
    /// <summary>What a look at the findings and scans there are tells against its closing anything.</summary>
    public string? Obstacle { get; init; }

    /// <summary>Scans of the same source that began later: what they showed last is newer than this.</summary>
    public IReadOnlyList<Guid> Newer { get; init; } = [];

    /// <summary>The caller's word on which host it was of comes before the report's.</summary>
    public string[] Hosts => ScanCoverage.HostOf(ScopeFilter) is null ? [.. Seen.Hosts] : [];

    /// <summary>One of them looked at the same.</summary>
    public bool IsOutdated { get; init; }

    /// <summary>Why it closes nothing although it is said to be complete. "Not scanned" is not "fixed".</summary>
    public string? ClosesNothing => (Scope, Seen) switch
    {
        (ScanScope.Partial, _) => null,
        (_, { Failure: { } failure }) => $"The report says that the scan did not finish: {failure}",
        (_, { Unreadable: > 0 }) => $"{Seen.Unreadable} of its results could not be read.",
        (_, { Hosts.Count: > ReportReading.MaxHosts }) => $"It names more than {ReportReading.MaxHosts} hosts.",
        (_, { Results: 0 }) when !ExpectEmpty => "It shows nothing at all; say expectEmpty=true if that is so.",
        (_, { Results: var all, Dismissed: var dismissed }) when all == dismissed && !ExpectEmpty =>
            "It shows nothing but what it calls no problem; say expectEmpty=true if that is so.",
        _ => Obstacle,
    };

    public bool Closes => Scope == ScanScope.Complete && ClosesNothing is null;
}

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
    FindingKeys keys,
    IOptions<ImportOptions> options,
    ServiceTurns turns,
    ScanFeeds feeds,
    VulnCenterMetrics metrics,
    TimeProvider clock)
{
    // Which findings a scan may change the status of. What it does to each is decided by the rules, as in the grain.
    private static readonly short[] Closed = [(short)FindingStatus.Fixed, (short)FindingStatus.Verified];
    private static readonly short[] Live = [(short)FindingStatus.Open, (short)FindingStatus.Triaged];

    private static readonly short[] Drifting = [.. Drift.Kinds.Select(kind => (short)kind)];
    private static readonly short[] Tracked = [.. Drift.Tracked.Select(status => (short)status)];

    /// <summary>Repeating it is harmless: a scan that is recorded is not merged again.</summary>
    /// <param name="guard">Called last in the transaction (it locks the job's row, which <paramref name="progress"/> writes): proves that this attempt is still the current one.</param>
    /// <param name="progress">Called as steps end, outside the database.</param>
    public async Task<MergeResult> MergeAsync(StagedScan scan, Func<NpgsqlConnection, Task> guard, Func<ImportProgress, Task> progress, CancellationToken cancellation)
    {
        using var turn = await turns.TakeAsync(scan.Tenant, [scan.Seen.Service], cancellation);
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await connection.ExecuteAsync(MergeSql.Lock, cancellation, scan.Tenant, scan.Seen.Service);
        var locked = clock.GetTimestamp();
        if (await RecordedAsync(connection, scan, cancellation) is { } recorded)
        {
            await connection.ExecuteAsync(MergeSql.Unstage, cancellation, scan.Import, scan.Seen.Service, scan.Seen.Source);
            await guard(connection);
            await transaction.CommitAsync(cancellation);
            return recorded;
        }

        var scope = new SourceScope(scan.Tenant, scan.Seen.Service, scan.Seen.Source);
        var recognition = await keys.EnterAsync(connection, scope, scan.Import, scan.RuleSet, scan.Actor, clock.GetUtcNow().ToUniversalTime(), cancellation);
        scan = await PlaceAsync(connection, scan with { RuleSet = recognition.Rules.Version }, cancellation);
        await connection.ExecuteAsync(MatchSql.Candidates, cancellation, scan.Tenant, scan.Seen.Service, scan.Seen.Source, scan.Import);
        await connection.ExecuteAsync(MatchSql.JoinByHash, cancellation);
        await connection.ExecuteAsync(MatchSql.Match, cancellation, scan.Import, scan.Seen.Service, scan.Seen.Source);
        await connection.ExecuteAsync(MatchSql.Dismissed, cancellation, scan.Import, scan.Seen.Service, scan.Seen.Source);
        await connection.ExecuteAsync(MatchSql.Analyze, cancellation);
        await DriftAsync(connection, scan, cancellation);
        await connection.ExecuteAsync(MergeSql.Touched, cancellation, scan.Tenant, Closed, scan.Newer.ToArray(), scan.StartedAt.ToUniversalTime());
        await connection.ExecuteAsync(MergeSql.Past, cancellation);
        scan = await LookAsync(connection, scan, cancellation);
        object?[] coverage =
        [
            scan.Tenant, scan.Seen.Service, scan.Seen.Source, Live, scan.Closes, scan.ScopeFilter, scan.Seen.Images.ToArray(), scan.Seen.KindNumbers, scan.Seen.Category,
            scan.StartedAt.ToUniversalTime(), scan.Hosts,
        ];
        await connection.ExecuteAsync(MergeSql.Gone, cancellation, [.. coverage, scan.RuleSet > 1]);

        // Only now that all that it changes is locked: what was changed until then was changed before.
        var now = clock.GetUtcNow().ToUniversalTime();
        var notJudged = scan.Closes ? await NotJudgedAsync(connection, coverage, cancellation) : null;
        var counts = await CountAsync(connection, scan, cancellation);
        var result = new ScanResult(
            scan.Seen.Scan, scan.Seen.Service, scan.Seen.Source, scan.Scope, scan.Seen.Results, counts.New, counts.Matched, counts.Reopened, counts.Rejected, counts.Changed,
            counts.Fixed, scan.ClosesNothing, notJudged);
        if (result.Observations != result.New + result.Matched + result.Reopened + result.Rejected)
        {
            throw new InvalidOperationException($"Scan {scan.Seen.Scan}: {result.Observations} results were read, but {counts} are staged; nothing was merged.");
        }

        await progress(new ImportProgress(result.Observations, result.Observations, 0));
        var leaf = Leaf(scan, result, counts.Digest, now);
        var hash = AuditLeaf.Hash(AuditLeaf.Canonical(leaf));
        var unjoined = await feeds.BeforeSettlingAsync(connection, scan.Tenant, scan.Seen.Source, now, cancellation);
        var left = await GroupUpkeep.BeforeMergeAsync(connection, scan.Tenant, cancellation);
        var changes = await SettleAsync(connection, scan, now, cancellation);
        await SettledSet.WriteAsync(connection, changes, cancellation);
        await connection.ExecuteAsync(MergeSql.InsertFindings, cancellation, scan.Tenant, scan.Seen.Service, scan.Seen.Source, now, hash);
        await connection.ExecuteAsync(DriftSql.ForgetKeys, cancellation, scan.Tenant);
        await connection.ExecuteAsync(MergeSql.InsertKeys, cancellation, scan.Tenant, scan.Seen.Service, scan.Seen.Source);
        await connection.ExecuteAsync(MergeSql.UpdateFindings, cancellation, scan.Tenant, hash);
        await connection.ExecuteAsync(MergeSql.CloseFindings, cancellation, scan.Tenant, hash);
        await connection.ExecuteAsync(MergeSql.InsertObservations, cancellation,
            scan.Tenant, scan.Seen.Scan, now, (short)Outcome.New, (short)Outcome.Matched, (short)Outcome.Reopened, scan.RuleSet, scan.Seen.Service, scan.Seen.Source);
        await connection.ExecuteAsync(MergeSql.Renumbered, cancellation, scan.Tenant);
        await connection.ExecuteAsync(MergeSql.Returned, cancellation, scan.Tenant);
        await FindingKeys.LeaveAsync(connection, scope, recognition, now, cancellation);
        await connection.ExecuteAsync(MergeSql.InsertRejections, cancellation,
            scan.Tenant, scan.Import, scan.Seen.Service, scan.Seen.Source, scan.Seen.Scan, now, (short)Outcome.Rejected, scan.RuleSet);
        await connection.ExecuteAsync(MergeSql.InsertDismissals, cancellation,
            scan.Tenant, scan.Seen.Service, scan.Seen.Source, scan.Seen.Scan, now, (short)Outcome.Rejected, scan.RuleSet);
        await connection.ExecuteAsync(SettledSet.InsertTransitions, cancellation, scan.Tenant, now, scan.Actor, scan.Seen.Scan);
        await connection.ExecuteAsync(MergeSql.Seen, cancellation, scan.Tenant, scan.Seen.Scan, now, scan.Newer.ToArray());
        await connection.ExecuteAsync(MergeSql.SpokenOf, cancellation, scan.Tenant, scan.StartedAt.ToUniversalTime());
        var overMerged = await connection.ScalarAsync<long>(MergeSql.OverMerged, cancellation,
            scan.Tenant, scan.Seen.Service, scan.Seen.Source, scan.Seen.Scan, now, options.Value.OverMergedRules, options.Value.OverMergedLines);
        await GroupUpkeep.AfterMergeAsync(connection, scan.Tenant, scan.Seen.Service, scan.Seen.Source, left, cancellation);
        var events = EventsOf(changes, scan.Seen.Scan);
        await tail.WriteEventsAsync(connection, scan.Tenant, now, events, cancellation);
        await SetSave.WriteDueAsync(connection, scan.Tenant, DueOf(changes), cancellation);
        IReadOnlyList<MergedItem> items = scan.WithItems ? await ItemsAsync(connection, cancellation) : [];
        await connection.ExecuteAsync(MergeSql.InsertScan, cancellation,
            scan.Tenant, scan.Seen.Scan, scan.Import, scan.Seen.Service, scan.Seen.Source, scan.Seen.Tool, scan.Seen.ToolVersion, scan.Format, (short)scan.Scope, scan.ScopeFilter,
            scan.Seen.Failure, scan.ReportDigest, scan.StartedAt.ToUniversalTime(), now,
            (int)result.New, (int)result.Matched, (int)result.Reopened, (int)result.Rejected, (int)result.FindingsChanged,
            (int)result.FindingsFixed, scan.WithItems ? JsonSerializer.Serialize(items, VulnCenterJson.Default.IReadOnlyListMergedItem) : null,
            scan.ClosesNothing, scan.Seen.Category, scan.Seen.Images.ToArray(), scan.Seen.KindNumbers, scan.Seen.Repository, scan.Seen.Commit, scan.Hosts,
            notJudged is null ? null : JsonSerializer.Serialize(notJudged, VulnCenterJson.Default.NotJudged));
        await tail.WriteAsync(connection, leaf, cancellation);
        await connection.ExecuteAsync(MergeSql.Unstage, cancellation, scan.Import, scan.Seen.Service, scan.Seen.Source);
        await guard(connection);
        // From here on it is merged, and who cancels comes too late.
        await transaction.CommitAsync(CancellationToken.None);
        metrics.Merged(result, clock.GetElapsedTime(locked));
        metrics.OverMerged(overMerged);
        metrics.AliasesUnjoined(unjoined);
        outbox.Committed(leaf with { Events = [.. leaf.Events, .. events.Select(e => e.Event)] });
        await progress(new ImportProgress(result.Observations, result.Observations, result.Observations));

        // While the turn lasts: the next report of the service is the first that needs it.
        await PlannerStatistics.RefreshAsync(connection, scan.Tenant, CancellationToken.None);
        return new MergeResult(result, items);
    }

    private static async Task<MergeResult?> RecordedAsync(NpgsqlConnection connection, StagedScan scan, CancellationToken cancellation)
    {
        await using var command = connection.Statement(MergeSql.Recorded, scan.Tenant, scan.Seen.Scan, scan.Seen.Service, scan.Seen.Source, scan.ReportDigest, (short)scan.Scope, scan.ReceivedAt.ToUniversalTime(),
            scan.ScopeFilter, !scan.WithItems);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            return null;
        }

        var id = reader.GetGuid(0);
        var (created, matched, reopened, rejected, changed) = (reader.GetInt32(1), reader.GetInt32(2), reader.GetInt32(3), reader.GetInt32(4), reader.GetInt32(5));
        var all = (long)created + matched + reopened + rejected;
        var (fixedNow, closesNothing) = (reader.GetInt32(6), reader.Text(7));
        var notJudged = reader.Text(9) is { } left ? JsonSerializer.Deserialize(left, VulnCenterJson.Default.NotJudged) : null;
        IReadOnlyList<MergedItem> items = reader.IsDBNull(8) ? [] : JsonSerializer.Deserialize(reader.GetString(8), VulnCenterJson.Default.IReadOnlyListMergedItem) ?? [];
        return new MergeResult(id == scan.Seen.Scan
            ? new ScanResult(id, scan.Seen.Service, scan.Seen.Source, scan.Scope, all, created, matched, reopened, rejected, changed, fixedNow, closesNothing, notJudged)
            : new ScanResult(id, scan.Seen.Service, scan.Seen.Source, scan.Scope, all, 0, all - rejected, 0, rejected, 0, 0, closesNothing, notJudged), items);
    }

    /// <summary>Where the scan stands among those of its source: what is newer counts, whichever was imported first.</summary>
    private static async Task<StagedScan> PlaceAsync(NpgsqlConnection connection, StagedScan scan, CancellationToken cancellation)
    {
        List<Guid> newer = [];
        var isOutdated = false;
        DateTimeOffset? latest = null;
        await using var command = connection.Statement(MergeSql.Newer, scan.Tenant, scan.Seen.Service, scan.Seen.Source, scan.StartedAt.ToUniversalTime(),
            scan.ScopeFilter, scan.Seen.Images.ToArray(), scan.Seen.KindNumbers, scan.Seen.Category, scan.Hosts);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            newer.Add(reader.GetGuid(0));
            var (overlaps, closes) = (reader.GetBoolean(2), reader.GetBoolean(3));
            isOutdated |= overlaps;
            latest ??= overlaps && closes ? reader.GetFieldValue<DateTimeOffset>(1) : null;
        }

        return scan with
        {
            Newer = newer,
            IsOutdated = isOutdated,
            Obstacle = latest is { } time
                ? string.Create(CultureInfo.InvariantCulture, $"It began at {scan.StartedAt.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}, before the latest complete scan of what it covers, which began at {time.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}.")
                : null,
        };
    }

    /// <summary>A filter that nothing stands in is more often misspelt than empty.</summary>
    private static async Task<StagedScan> LookAsync(NpgsqlConnection connection, StagedScan scan, CancellationToken cancellation)
    {
        if (!scan.Closes || scan.ScopeFilter is not { } filter)
        {
            return scan;
        }

        if (ScanCoverage.HostOf(filter) is { } host && scan.Seen.ListsHosts && !scan.Seen.Hosts.Any(seen => ScanHosts.NameOf(seen) == host))
        {
            return scan with { Obstacle = $"Its scopeFilter is {filter}, and its report names other hosts: {string.Join(", ", scan.Seen.Hosts.Order(StringComparer.Ordinal).Take(10))}." };
        }

        await using var command = connection.Statement(MergeSql.FilterHolds, scan.Tenant, scan.Seen.Service, scan.Seen.Source, filter);
        return await command.ExecuteScalarAsync(cancellation) is true
            ? scan
            : scan with { Obstacle = $"Its scopeFilter is {filter}, within which neither a finding of this source is known nor it shows one." };
    }

    private static async Task<NotJudged?> NotJudgedAsync(NpgsqlConnection connection, object?[] coverage, CancellationToken cancellation)
    {
        await using var command = connection.Statement(MergeSql.NotJudged, coverage);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) && reader.GetInt64(0) is > 0 and var findings
            ? new NotJudged(
                findings, reader.IsDBNull(1) ? [] : [.. reader.GetFieldValue<short[]>(1).Select(kind => (FindingKind)kind)],
                reader.IsDBNull(2) ? [] : [.. reader.GetFieldValue<string?[]>(2).OfType<string>()],
                reader.IsDBNull(3) ? [] : [.. reader.GetFieldValue<string?[]>(3).OfType<string>()])
            : null;
    }

    private static async Task DriftAsync(NpgsqlConnection connection, StagedScan scan, CancellationToken cancellation)
    {
        await connection.ExecuteAsync(DriftSql.Evidence, cancellation,
            scan.Tenant, scan.Seen.Service, scan.Seen.Source, Drifting, Tracked, scan.ScopeFilter, scan.Seen.Failure is null && !scan.IsOutdated, (short)FindingKind.Secret, scan.Scope == ScanScope.Complete);
        await connection.ExecuteAsync(MatchSql.JoinFreely, cancellation);
        await connection.ExecuteAsync(DriftSql.AnalyzeEvidence, cancellation);
        await connection.ExecuteAsync(DriftSql.Drift, cancellation,
            scan.Tenant, scan.Seen.Service, scan.Seen.Source, Tracked, scan.ScopeFilter, scan.Scope == ScanScope.Complete, Drift.LineHashes.ToArray(), Drift.CodeKeys.ToArray());
        await connection.ExecuteAsync(DriftSql.StayApart, cancellation, scan.Tenant);
        if (await connection.ExecuteAsync(DriftSql.Adopt, cancellation) > 0)
        {
            // The planner remembers them as new, and would expect next to no findings that exist.
            await connection.ExecuteAsync(MatchSql.Analyze, cancellation);
        }
    }

    private static async Task<MergeCounts> CountAsync(NpgsqlConnection connection, StagedScan scan, CancellationToken cancellation)
    {
        await using var command = connection.Statement(MergeSql.Count, scan.Import, scan.Seen.Service, scan.Seen.Source);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return new MergeCounts(
            reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4), reader.GetInt64(5), reader.GetInt64(6), reader.GetString(7));
    }

    /// <summary>One leaf covers all findings a scan changed: their ids and versions are in its digest, and it is their next leaf's predecessor.</summary>
    private static EntityChange Leaf(StagedScan scan, ScanResult result, string digest, DateTimeOffset now) => new()
    {
        Tenant = scan.Tenant,
        Kind = "scan",
        Id = scan.Seen.Scan.ToString("D"),
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
                new ScanImported(scan.Seen.Scan, scan.Seen.Service, scan.Seen.Source, scan.Scope, result.Observations, result.New, result.Reopened, result.FindingsChanged, result.FindingsFixed),
                VulnCenterJson.Default.ScanImported)),
        ],
    };

    /// <summary>What the rules make of every finding that the scan made, changed or no longer shows, in id order.</summary>
    private static async Task<List<SettledChange>> SettleAsync(NpgsqlConnection connection, StagedScan scan, DateTimeOffset now, CancellationToken cancellation)
    {
        var policies = (await PolicyStore.ForAsync(connection, scan.Tenant, [scan.Seen.Service], cancellation))[scan.Seen.Service];
        List<SettledChange> changes = [];
        await using var command = connection.Statement(MergeSql.ToSettle, scan.Tenant);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var (isNew, isGone) = (reader.GetBoolean(0), reader.GetBoolean(1));
            changes.Add(isNew
                ? new SettledChange(null, Settlement.Settle(null, Fresh(reader, scan, now), policies, now), "finding.observed")
                : Settled(FindingRow.Read(reader, scan.Tenant, FirstOfFinding), reader, isGone, scan.Seen.Scan, policies, now));
        }

        return changes;
    }

    private const int FirstOfFinding = 11;

    private static FindingState Fresh(NpgsqlDataReader reader, StagedScan scan, DateTimeOffset now) => new()
    {
        Tenant = scan.Tenant,
        Id = reader.GetGuid(2),
        Version = 1,
        Service = scan.Seen.Service,
        Source = scan.Seen.Source,
        // What stands at the gate is compared with it, and of a new finding nothing does: a report has more titles than there is room for.
        Title = "",
        ScanSeverity = (Severity)reader.GetInt16(3),
        ScanSeverityFrom = reader.GetString(4),
        CvssVector = reader.Text(5),
        Severity = (Severity)reader.GetInt16(3),
        SeverityFrom = reader.GetString(4),
        Status = FindingStatus.Open,
        StatusSince = now,
        Epss = reader.Probability(7),
        Kev = reader.GetBoolean(8),
        Exploit = reader.GetBoolean(9),
        Sla = SlaClock.StartedAt(now),
        AuditHash = [],
    };

    private static SettledChange Settled(FindingState before, NpgsqlDataReader reader, bool isGone, Guid scan, FindingPolicies policies, DateTimeOffset now)
    {
        if (isGone)
        {
            return FindingRules.Decide(before, new FindingCommand.GoneFromScan(scan), policies, now) is FindingDecision.Accepted gone
                ? new SettledChange(before, gone.State, gone.Change)
                : throw new InvalidOperationException($"Finding {before.Id} is {before.Status} and was taken for one that a scan can close.");
        }

        var shown = before with
        {
            Title = reader.GetString(10),
            ScanSeverity = (Severity)reader.GetInt16(3),
            ScanSeverityFrom = reader.GetString(4),
            CvssVector = reader.Text(5),
            Epss = reader.Probability(7),
            Kev = reader.GetBoolean(8),
            Exploit = reader.GetBoolean(9),
        };
        return FindingRules.Decide(shown, new FindingCommand.SeenInScan(scan), policies, now) is FindingDecision.Accepted seen
            ? new SettledChange(before, seen.State, seen.Change, reader.Text(6))
            : new SettledChange(
                before, Settlement.Settle(before, shown with { Version = before.Version + 1 }, policies, now),
                reader.IsDBNull(6) ? "finding.updated" : "finding.drifted", reader.Text(6));
    }

    // That a finding is new is what the scan's own event says; one for each would say it 14,000 times.
    private static List<EntityEvent> EventsOf(List<SettledChange> changes, Guid scan) =>
        [.. changes.SelectMany(change => FindingEvents.Of(change.Before ?? change.After with { Gate = false }, change.After, scan)
            .Select((e, i) => new EntityEvent("finding", change.After.Id.ToString("D"), change.After.Version, i, e)))];

    private static List<EntityDue> DueOf(List<SettledChange> changes) =>
        [.. changes.Select(change => FindingClock.Of(change.Before, change.After) is { } due ? new EntityDue(change.After.Id.ToString("D"), due) : null).OfType<EntityDue>()];

    private static async Task<IReadOnlyList<MergedItem>> ItemsAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        List<MergedItem> items = [];
        await using var command = connection.Statement(MergeSql.Items, (short)Outcome.New, (short)Outcome.Matched, (short)Outcome.Reopened);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            items.Add(new MergedItem(reader.GetInt32(3), new ImportedItem(reader.GetString(0), (Outcome)reader.GetInt16(1), reader.GetGuid(2))));
        }

        return items;
    }

    private sealed record MergeCounts(long Staged, long Rejected, long New, long Matched, long Reopened, long Changed, long Fixed, string Digest);
}

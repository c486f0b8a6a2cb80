using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Groups;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Policies;

namespace Wave16.VulnCenter.Dedup;

/// <summary>Observations that are to be a finding of their own.</summary>
/// <param name="CommandId">Repeating it gives the first answer again.</param>
/// <param name="Expected">Version of the finding; null: whichever is current.</param>
internal sealed record UnmergeCommand(
    string Tenant, string Actor, string CommandId, Guid Finding, long? Expected, IReadOnlyList<Guid> Observations, string Reason, bool KeepStatus);

/// <summary>What the audit log says of a split.</summary>
/// <param name="Observations">The first 100.</param>
internal sealed record UnmergeAudit(
    Guid Finding, long Version, Guid NewFinding, int Count, IReadOnlyList<Guid> Observations, IReadOnlyList<string> SeparatedBy, string Reason);

/// <summary>Splits a finding for good: one transaction, under the lock that imports of the service take.</summary>
internal sealed class Unmerging(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SetSave tail,
    [FromKeyedServices(VulnCenterModule.ModuleName)] OutboxSignal outbox,
    FindingKeys keys,
    ServiceTurns turns,
    TimeProvider clock)
{
    private const string EntityKind = "unmerge";
    private const int AuditedObservations = 100;

    public async Task<(Unmerged? Done, Refusal? Refusal)> SplitAsync(UnmergeCommand command, CancellationToken cancellation)
    {
        if (await ScopeAsync(command, cancellation) is not { } scope)
        {
            return (null, new Refusal(ProblemCodes.NotFound.Code, $"There is no finding {command.Finding}."));
        }

        using var turn = await turns.TakeAsync(scope.Tenant, [scope.Service], cancellation);
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await connection.ExecuteAsync(MergeSql.Lock, cancellation, scope.Tenant, scope.Service);
        await connection.ExecuteAsync(SettlingLock.Shared, cancellation, scope.Tenant);
        var fresh = NewId(command);
        if (await connection.ScalarAsync<string>(
            "select answer from platform.command where tenant = $1 and entity = $2 and command_id = $3 order by at limit 1",
            cancellation, command.Tenant, $"{EntityKind}/{fresh:D}", command.CommandId) is { } answer)
        {
            return (JsonSerializer.Deserialize(answer, VulnCenterJson.Default.Unmerged), null);
        }

        var finding = (await connection.ListAsync(UnmergeSql.Finding, row => FindingRow.Read(row, command.Tenant, 0), cancellation, command.Tenant, command.Finding)).Single();
        if (new IfMatch(command.Expected).Check(finding.Version) is { } stale)
        {
            return (null, stale);
        }

        var observations = await connection.ListAsync(UnmergeSql.Observations, ReadObservation, cancellation, command.Tenant, command.Finding);
        if (Check(command, observations) is { } refusal)
        {
            return (null, refusal);
        }

        var now = clock.GetUtcNow().ToUniversalTime();
        var recognition = await keys.EnterAsync(connection, scope, command.Actor, now, cancellation);
        var chosen = command.Observations.ToHashSet();
        var (leaving, staying) = (observations.Where(o => chosen.Contains(o.Id)).ToList(), observations.Where(o => !chosen.Contains(o.Id)).ToList());
        if (await SeparateAsync(connection, scope, finding.Id, fresh, leaving, staying, recognition, now, cancellation) is not { } added)
        {
            return (null, new Refusal(
                FindingProblems.Inseparable, "Nothing in the reports tells these observations from the others: some are the same bytes as one that would stay. Split those together."));
        }

        await connection.ExecuteAsync(
            "update vuln_center.observation set finding = $3, moved = false where tenant = $1 and finding = $2 and id = any ($4)",
            cancellation, command.Tenant, finding.Id, fresh, chosen.ToArray());
        var done = await SaveAsync(connection, command, finding, fresh, leaving, staying, [.. added.SelectMany(refined => refined.Attributes).Distinct()], recognition, now, cancellation);
        await GroupUpkeep.FindingsAsync(connection, scope.Tenant, scope.Service, [finding.Id, fresh], cancellation);
        await transaction.CommitAsync(cancellation);
        outbox.Committed(done.Leaf);
        return (done.Answer, null);
    }

    private async Task<SourceScope?> ScopeAsync(UnmergeCommand command, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return (await connection.ListAsync(
            "select service, source from vuln_center.finding where tenant = $1 and id = $2",
            row => new SourceScope(command.Tenant, row.GetString(0), row.GetString(1)), cancellation, command.Tenant, command.Finding)).SingleOrDefault();
    }

    private static Refusal? Check(UnmergeCommand command, List<SplitObservation> observations)
    {
        var known = observations.ToDictionary(o => o.Id);
        List<FieldError> errors = [.. command.Observations.Index().Where(id => !known.ContainsKey(id.Item)).Select(id => new FieldError($"/observations/{id.Index}", "is not an observation of this finding"))];
        if (errors.Count > 0)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The split is not valid.", errors);
        }

        if (command.Observations.Count == observations.Count)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The split is not valid.", [new FieldError("/observations", "must leave at least one observation with the finding")]);
        }

        return command.Observations.Any(id => known[id].Trait is null)
            ? new Refusal(FindingProblems.IdentityUnknown, "Some of these observations are from before identities were kept, so that nothing can tell them from the others in later reports.")
            : null;
    }

    /// <summary>Null when nothing tells the two sides apart.</summary>
    private static async Task<IReadOnlyList<Refinement>?> SeparateAsync(
        NpgsqlConnection connection, SourceScope scope, Guid finding, Guid fresh, List<SplitObservation> leaving, List<SplitObservation> staying, Recognition recognition,
        DateTimeOffset now, CancellationToken cancellation)
    {
        // What moved away from its place has moved back there when the one that it was taken for leaves.
        var returns = staying.TrueForAll(o => o.Moved);
        var (theirs, mine) = (Keyed(leaving), Keyed(returns ? staying : staying.FindAll(o => !o.Moved)));
        var known = await FindingKeys.KnownAsync(connection, scope, [], mine.Concat(theirs).Select(result => result.Trait), recognition, cancellation);
        var (added, areApart) = Separations.Separate([.. mine.Select(result => result.Trait)], [.. theirs.Select(result => result.Trait)], recognition.Rules, recognition.Refinements);
        if (!areApart)
        {
            return null;
        }

        var had = (await connection.ListAsync(
            "select key from vuln_center.finding_key where tenant = $1 and finding = $2", row => new Sha256Digest(row.GetFieldValue<byte[]>(0)), cancellation, scope.Tenant, finding)).ToHashSet();
        if (added.Count > 0)
        {
            await Separations.SaveAsync(connection, scope, added, now, cancellation);

            // Other rules may have given a key of it to another finding.
            await FindingKeys.GiveWhatTheyHadAsync(connection, scope, known.Without(finding), added, recognition, cancellation);
        }

        await connection.ExecuteAsync(
            "delete from vuln_center.finding_key where tenant = $1 and finding = $2 and key = any ($3)", cancellation,
            scope.Tenant, finding, theirs.SelectMany(result => result.Keys).Select(key => key.Hash.ToBytes()).ToArray());
        await Separations.GiveAsync(connection, scope, finding, returns ? All(mine) : FindingKeys.Refined(mine, recognition, key => key.Ordinal == 0 || had.Contains(key.Hash)), cancellation);
        await Separations.GiveAsync(connection, scope, fresh, All(theirs), cancellation);
        await FindingKeys.GiveTheirBestAsync(connection, scope, known.Without(finding), recognition, cancellation);
        if (returns)
        {
            await connection.ExecuteAsync(
                "update vuln_center.observation set moved = false where tenant = $1 and finding = $2 and id = any ($3)",
                cancellation, scope.Tenant, finding, staying.Select(o => o.Id).ToArray());
        }

        return added;

        IReadOnlyCollection<DedupKey> All(List<(Trait Trait, IReadOnlyList<DedupKey> Keys)> side) =>
            [.. side.SelectMany(result => recognition.Refinements.Refine(result.Keys, result.Trait)).OrderBy(key => key.Ordinal).DistinctBy(key => key.Hash)];

        List<(Trait Trait, IReadOnlyList<DedupKey> Keys)> Keyed(List<SplitObservation> side) =>
            [.. side.Select(o => o.Trait).OfType<Trait>().Select(trait => (trait, recognition.Refinements.KeysOf(trait, recognition.Rules)))];
    }

    private async Task<(Unmerged Answer, EntityChange Leaf)> SaveAsync(
        NpgsqlConnection connection, UnmergeCommand command, FindingState finding, Guid fresh, List<SplitObservation> leaving, List<SplitObservation> staying,
        IReadOnlyList<string> separatedBy, Recognition recognition, DateTimeOffset now, CancellationToken cancellation)
    {
        var staysAs = await FaceAsync(connection, command.Tenant, finding.Id, finding.Id, staying, cancellation);
        var leavesAs = await FaceAsync(connection, command.Tenant, fresh, finding.Id, leaving, cancellation);
        var policies = (await PolicyStore.ForAsync(connection, command.Tenant, [finding.Service], cancellation))[finding.Service];
        var firstSeen = leaving.Min(o => o.At);
        var after = Settlement.Settle(finding, staysAs.Of(finding) with { Version = finding.Version + 1 }, policies, now);
        var born = Settlement.Settle(
            before: null,
            leavesAs.Of(finding) with
            {
                Id = fresh,
                Version = 1,
                Override = null,
                Suppression = null,
                Status = command.KeepStatus ? finding.Status : FindingStatus.Open,
                StatusSince = now,
                Regression = false,
                Gate = false,
                Sla = SlaClock.StartedAt(firstSeen),
            },
            policies, now);
        var answer = new Unmerged(finding.Id, after.Version, fresh, separatedBy);
        var leaf = new EntityChange
        {
            Tenant = command.Tenant,
            Kind = EntityKind,
            Id = fresh.ToString("D"),
            Version = 1,
            At = now,
            Actor = command.Actor,
            Action = "finding.unmerged",
            Covers = "finding",
            Details = JsonSerializer.SerializeToElement(
                new UnmergeAudit(finding.Id, after.Version, fresh, leaving.Count, [.. leaving.Take(AuditedObservations).Select(o => o.Id)], separatedBy, command.Reason),
                VulnCenterJson.Default.UnmergeAudit),
            CommandId = command.CommandId,
            Answer = JsonSerializer.Serialize(answer, VulnCenterJson.Default.Unmerged),
        };
        var hash = await tail.WriteAsync(connection, leaf, cancellation);
        List<SettledChange> changes = [new(finding, after, "finding.unmerged", command.Reason), new(null, born, "finding.unmerged", command.Reason)];
        await SettledSet.WriteAsync(connection, changes, cancellation);
        await connection.ExecuteAsync(UnmergeSql.InsertFinding, cancellation, command.Tenant, finding.Id, fresh, hash, leavesAs.Columns, firstSeen);
        await connection.ExecuteAsync(UnmergeSql.UpdateFinding, cancellation, command.Tenant, finding.Id, hash, staysAs.Columns);
        await connection.ExecuteAsync(UnmergeSql.Seen, cancellation, command.Tenant, finding.Id, fresh);
        await connection.ExecuteAsync(UnmergeSql.NeverMerge, cancellation,
            command.Tenant, finding.Id, fresh, finding.Service, finding.Source, now, command.Actor, command.Reason);
        await connection.ExecuteAsync(UnmergeSql.NeverGroup, cancellation, command.Tenant, finding.Id, fresh);
        await using (var transitions = connection.Statement(SettledSet.InsertTransitions, command.Tenant, now, command.Actor))
        {
            transitions.Parameters.Add(new NpgsqlParameter { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid });
            await transitions.ExecuteNonQueryAsync(cancellation);
        }

        var best = leaving.Select(o => o.Trait is { } trait ? recognition.Refinements.KeysOf(trait, recognition.Rules)[0] : throw new InvalidOperationException("Checked before.")).ToList();
        await connection.ExecuteAsync(UnmergeSql.Decisions, cancellation,
            command.Tenant, fresh, finding.Id, now, (short)Outcome.Unmerged, recognition.Rules.Version, finding.Service, finding.Source, leaving.Select(o => o.Id).ToArray(),
            best.Select(StagedResult.KindOf).ToArray(), best.Select(key => key.Hash.ToBytes()).ToArray(), best.Select(ImportStaging.Fields).ToArray());
        await connection.ExecuteAsync("delete from vuln_center.overmerge where tenant = $1 and finding = $2", cancellation, command.Tenant, finding.Id);
        List<NewEvent> told =
        [
            new NewEvent(VulnCenterEvents.StatusChanged, JsonSerializer.Serialize(
                new FindingStatusChanged(fresh, born.Service, born.Source, From: null, born.Status, born.Severity, Regression: false, Scan: null), VulnCenterJson.Default.FindingStatusChanged)),
            .. FindingEvents.Of(born with { Gate = false }, born, scan: null),
        ];
        List<EntityEvent> events =
        [
            .. FindingEvents.Of(finding, after, scan: null).Select((e, i) => new EntityEvent("finding", finding.Id.ToString("D"), after.Version, i, e)),
            .. told.Select((e, i) => new EntityEvent("finding", fresh.ToString("D"), 1, i, e)),
        ];
        await tail.WriteEventsAsync(connection, command.Tenant, now, events, cancellation);
        await SetSave.WriteDueAsync(connection, command.Tenant, [.. changes.Select(change => FindingClock.Of(change.Before, change.After) is { } due
            ? new EntityDue(change.After.Id.ToString("D"), due)
            : null).OfType<EntityDue>()], cancellation);
        return (answer, leaf with { Events = [.. events.Select(e => e.Event)] });
    }

    /// <summary>What a side looks like: as it did if the finding's face is one of its observations, else as the worst of them.</summary>
    /// <param name="holder">Whose the observations are now.</param>
    private static async Task<Face> FaceAsync(
        NpgsqlConnection connection, string tenant, Guid holder, Guid finding, List<SplitObservation> side, CancellationToken cancellation) =>
        (await connection.ListAsync(
            UnmergeSql.Face,
            row => new Face(row.GetString(0), (Severity)row.GetInt16(1), row.GetString(2), row.Text(3), row.GetBoolean(4), row.Probability(5), row.GetBoolean(6), row.GetString(7)), cancellation,
            tenant, holder, finding, side.Select(o => o.Id).ToArray())).Single();

    // A repeated command makes the same finding, so that its answer is found.
    private static Guid NewId(UnmergeCommand command) =>
        new(SHA256.HashData(Encoding.UTF8.GetBytes($"{EntityKind}/{command.Tenant.Length}:{command.Tenant}/{command.Finding:D}/{command.CommandId}")).AsSpan(0, 16), bigEndian: true);

    private static SplitObservation ReadObservation(NpgsqlDataReader row) => new(
        row.GetGuid(0), row.GetFieldValue<DateTimeOffset>(1), row.GetBoolean(2),
        row.IsDBNull(3) ? null : new Trait(Identities.Read(row.GetString(3)), new Sha256Digest(row.GetFieldValue<byte[]>(4))));

    /// <param name="Columns">Those of the finding that differ, as JSON.</param>
    private sealed record Face(string Columns, Severity Severity, string From, string? Vector, bool Exploit, double? Epss, bool Kev, string Title)
    {
        public FindingState Of(FindingState finding) =>
            finding with { ScanSeverity = Severity, ScanSeverityFrom = From, CvssVector = Vector, Exploit = Exploit, Epss = Epss, Kev = Kev, Title = Title };
    }

    private sealed record SplitObservation(Guid Id, DateTimeOffset At, bool Moved, Trait? Trait);
}

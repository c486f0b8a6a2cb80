using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Policies;

namespace Wave16.VulnCenter.Findings;

/// <summary>
/// Judges findings anew after what they depend on has changed: a policy, a service's profile, a feed. Set-based, a batch a
/// transaction; only those whose severity, gate, decision or deadline comes out differently get a new version. EPSS is
/// volatile: it is written without one.
/// </summary>
internal sealed class Resettlement(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SetSave tail,
    [FromKeyedServices(VulnCenterModule.ModuleName)] OutboxSignal outbox,
    TimeProvider clock)
{
    /// <summary>Rows locked at once.</summary>
    public const int BatchSize = 2_000;

    private static readonly string Locked = $"""
        with f as (
          select * from vuln_center.finding where tenant = $1 and id = any ($2) order by id for update
        ), ids as (
          select f.id, i.name from f, unnest(f.identifiers) as i(name)
        ), {RiskSql.Of}
        select {FindingRow.Columns("f")}, risk.epss, coalesce(risk.kev, false) from f left join risk on risk.id = f.id order by f.id
        """;

    private const string Update = $"""
        update vuln_center.finding f set {SettledSet.Assignments}, audit_hash = $2 from settled s where f.tenant = $1 and f.id = s.id
        """;

    private const string UpdateEpss = """
        update vuln_center.finding f set epss = e.score from unnest($2::uuid[], $3::real[]) as e(id, score) where f.tenant = $1 and f.id = e.id
        """;

    // The planner expects each batch to name most of a feed, and would read all of it, again for the next.
    private const string LookUp = "select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)";

    private const string LockRows = "select from vuln_center.finding where tenant = $1 and id = any ($2) order by id for update";

    /// <summary>Those for which only EPSS comes out differently, and clearly on the same side of what the gate asks for ($3), get it; the others are returned.</summary>
    private const string Rate = $"""
        with f as materialized (
          select id, identifiers, epss, kev from vuln_center.finding where tenant = $1 and id = any ($2)
        ), ids as (
          select f.id, i.name from f, unnest(f.identifiers) as i(name)
        ), {RiskSql.Of}, rated as materialized (
          select f.id, risk.epss,
                 f.kev = coalesce(risk.kev, false) and (
                   $3 is null or greatest(coalesce(f.epss, 0), coalesce(risk.epss, 0)) < $3 - 1e-6 or least(coalesce(f.epss, 0), coalesce(risk.epss, 0)) > $3 + 1e-6) as only_epss
          from f left join risk on risk.id = f.id
          where f.epss is distinct from risk.epss or f.kev <> coalesce(risk.kev, false)
        ), written as (
          update vuln_center.finding u set epss = rated.epss from rated where u.tenant = $1 and u.id = rated.id and rated.only_epss
        )
        select id from rated where not only_epss
        """;

    /// <param name="ids">Of findings, at most <see cref="BatchSize"/>.</param>
    /// <param name="why">For their history: <c>SLA policy 3</c>.</param>
    /// <param name="guard">Called last in the transaction.</param>
    /// <returns>How many got a new version.</returns>
    public async Task<int> SettleAsync(
        string tenant, IReadOnlyCollection<Guid> ids, string actor, string why, Func<NpgsqlConnection, Task> guard, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await ExecuteAsync(connection, SettlingLock.Shared, cancellation, tenant);
        await ExecuteAsync(connection, LookUp, cancellation);
        var (changes, volatiles, now) = await ReadAsync(connection, tenant, ids, why, cancellation);
        if (volatiles.Count > 0)
        {
            await using var update = new NpgsqlCommand(UpdateEpss, connection);
            update.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            update.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. volatiles.Select(finding => finding.Id)] });
            update.Parameters.Add(new NpgsqlParameter<float?[]> { TypedValue = [.. volatiles.Select(finding => (float?)finding.Epss)], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Real });
            await update.ExecuteNonQueryAsync(cancellation);
        }

        if (changes.Count > 0)
        {
            await WriteAsync(connection, tenant, changes, actor, why, now, cancellation);
        }

        await guard(connection);
        await transaction.CommitAsync(cancellation);
        return changes.Count;
    }

    /// <summary>What the feeds say of findings is written where nothing follows from it but EPSS itself, which is nearly everywhere.</summary>
    /// <param name="ids">Of findings, at most <see cref="BatchSize"/>.</param>
    /// <param name="guard">Called last in the transaction.</param>
    /// <returns>Those that have to be judged anew: <see cref="SettleAsync"/>.</returns>
    public async Task<IReadOnlyList<Guid>> RateAsync(string tenant, IReadOnlyCollection<Guid> ids, Func<NpgsqlConnection, Task> guard, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await ExecuteAsync(connection, SettlingLock.Shared, cancellation, tenant);

        // Rows first: a policy that comes after is applied to what is written here, one from before is read here.
        await ExecuteAsync(connection, LookUp, cancellation);
        await ExecuteAsync(connection, LockRows, cancellation, tenant, ids.ToArray());
        var gate = (await PolicyStore.ForAsync(connection, tenant, [""], cancellation))[""].Gate;
        List<Guid> judged = [];
        await using (var command = new NpgsqlCommand(Rate, connection))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. ids] });
            command.Parameters.Add(new NpgsqlParameter { Value = (object?)gate.Epss ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Double });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                judged.Add(reader.GetGuid(0));
            }
        }

        await guard(connection);
        await transaction.CommitAsync(cancellation);
        return judged;
    }

    private async Task WriteAsync(
        NpgsqlConnection connection, string tenant, List<SettledChange> changes, string actor, string why, DateTimeOffset now, CancellationToken cancellation)
    {
        await SettledSet.WriteAsync(connection, changes, cancellation);
        var lines = string.Join('\n', changes.Select(change => $"{change.After.Id:D}:{change.After.Version}:settled"));
        var leaf = new EntityChange
        {
            Tenant = tenant,
            Kind = "settlement",
            Id = Guid.CreateVersion7(now).ToString("D"),
            Version = 1,
            At = now,
            Actor = actor,
            Action = "findings.settled",
            Covers = "finding",
            Details = JsonSerializer.SerializeToElement(
                new SettlementAudit(why, changes.Count, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(lines)))), VulnCenterJson.Default.SettlementAudit),
        };
        await ExecuteAsync(connection, Update, cancellation, tenant, AuditLeaf.Hash(AuditLeaf.Canonical(leaf)));
        await ExecuteAsync(connection, SettledSet.InsertTransitions, cancellation, tenant, now.ToUniversalTime(), actor, DBNull.Value);
        var events = changes.SelectMany(change => FindingEvents.Of(change.Before ?? change.After, change.After, scan: null)
            .Select((e, i) => new EntityEvent("finding", change.After.Id.ToString("D"), change.After.Version, i, e))).ToList();
        await tail.WriteEventsAsync(connection, tenant, now, events, cancellation);
        await SetSave.WriteDueAsync(connection, tenant, [.. changes.Select(change => FindingClock.Of(change.Before, change.After) is { } due
            ? new EntityDue(change.After.Id.ToString("D"), due)
            : null).OfType<EntityDue>()], cancellation);
        await tail.WriteAsync(connection, leaf, cancellation);
        outbox.Committed(leaf with { Events = [.. events.Select(e => e.Event)] });
    }

    private async Task<(List<SettledChange> Changes, List<FindingState> Volatiles, DateTimeOffset Now)> ReadAsync(
        NpgsqlConnection connection, string tenant, IReadOnlyCollection<Guid> ids, string why, CancellationToken cancellation)
    {
        List<FindingState> read = [];
        List<(double? Epss, bool Kev)> risks = [];
        await using (var command = new NpgsqlCommand(Locked, connection))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. ids] });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                read.Add(FindingRow.Read(reader, tenant, 0));
                risks.Add((reader.Probability(FindingRow.Count), reader.GetBoolean(FindingRow.Count + 1)));
            }
        }

        // They are locked now: what was changed until then was changed before.
        var now = clock.GetUtcNow();
        var policies = await PolicyStore.ForAsync(connection, tenant, [.. read.Select(finding => finding.Service).Distinct(StringComparer.Ordinal)], cancellation);
        List<SettledChange> changes = [];
        List<FindingState> volatiles = [];
        foreach (var (before, risk) in read.Zip(risks))
        {
            var rated = before with { Epss = risk.Epss, Kev = risk.Kev };
            var after = Settlement.Settle(before, rated, policies[before.Service], now);
            if (after with { Epss = before.Epss } != before)
            {
                changes.Add(new SettledChange(before, after with { Version = before.Version + 1 }, "finding.settled", why));
            }
            else if (risk.Epss != before.Epss)
            {
                volatiles.Add(after);
            }
        }

        return (changes, volatiles, now);
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation, params object[] values)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        foreach (var value in values)
        {
            command.Parameters.Add(value is DBNull ? new NpgsqlParameter { Value = value, NpgsqlDbType = NpgsqlDbType.Uuid } : new NpgsqlParameter { Value = value });
        }

        await command.ExecuteNonQueryAsync(cancellation);
    }
}

/// <summary>What the audit log says of findings that were judged anew; the digest is over <c>finding:version:settled</c> lines in id order.</summary>
internal sealed record SettlementAudit(string Why, int Findings, string Digest);

using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Summary;

/// <summary>Open findings of one service.</summary>
/// <param name="Tenant">Two tenants may call a service the same. Empty, which no tenant is called: of all services that are not told one by one.</param>
internal sealed record OpenOf(string Tenant, string Service, Severity Severity, FindingStatus Status)
{
    public const string OtherServices = "other";
}

/// <summary>The backlog of all tenants together, as the metrics show it.</summary>
internal sealed record Backlog(
    IReadOnlyDictionary<OpenOf, long> Open,
    IReadOnlyDictionary<(string Days, Severity Severity), long> Ages,
    IReadOnlyDictionary<SlaState, long> Sla,
    long KnownExploited,
    long Suppressed,
    IReadOnlyDictionary<Severity, double> SecondsToFix);

/// <summary>Reads the backlog, and keeps the tables it is read from small.</summary>
internal sealed class BacklogQueries([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, TimeProvider clock)
{
    /// <summary>Services that are told one by one; each is as many series as there are severities and open statuses.</summary>
    public const int MostServices = 100;

    private const int KeysPerFold = 5_000;

    // The rows of a key become one. What others add meanwhile stays for the next time, and two that fold at once fold different rows.
    private static readonly string[] Folds =
    [
        Fold("finding_count", "tenant, service, source, kind, severity, status, suppression, kev, sla", "n"),
        Fold("finding_age", "tenant, service, severity, day", "n"),
        Fold("finding_flow", "tenant, service, day, severity", "opened", "reopened", "closed", "seconds"),
        Fold("advisory_score", "tenant, identifier, epss", "n"),
    ];

    public async Task FoldAsync(CancellationToken cancellation)
    {
        foreach (var fold in Folds)
        {
            var keys = KeysPerFold;
            while (keys == KeysPerFold)
            {
                await using var command = database.DataSource.CreateCommand(fold);
                keys = (int)(await command.ExecuteScalarAsync(cancellation) ?? 0);
            }
        }
    }

    public async Task<Backlog> ReadAsync(CancellationToken cancellation)
    {
        var today = DateOnly.FromDateTime(clock.GetUtcNow().UtcDateTime);
        await using var connection = await database.OpenAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        foreach (var sql in (string[])
        [
            $"""
            with open as (
              select tenant, service, severity, status, sum(n)::bigint as n from vuln_center.finding_count
              where status in (1, 2) and suppression = 0 and $1 is not null group by 1, 2, 3, 4
            ), told as (
              select tenant, service from open group by 1, 2 having sum(n) > 0 order by sum(n) desc, 1, 2 limit {MostServices}
            )
            select coalesce(t.tenant, ''), coalesce(t.service, '{OpenOf.OtherServices}'), severity, status, sum(n)::bigint
            from open left join told t using (tenant, service) group by 1, 2, 3, 4
            """,
            "select severity, case when $1 - day <= 7 then 0 when $1 - day <= 30 then 1 when $1 - day <= 90 then 2 else 3 end, sum(n)::bigint from vuln_center.finding_age where service = '' group by 1, 2",
            "select sla, sum(n)::bigint from vuln_center.finding_count where (status in (1, 2) or sla in (6, 7)) and $1 is not null group by 1",
            """
            select coalesce(sum(n) filter (where kev and suppression = 0), 0)::bigint, coalesce(sum(n) filter (where suppression <> 0), 0)::bigint
            from vuln_center.finding_count where status in (1, 2) and $1 is not null
            """,
            $"""
            select severity, sum(seconds)::float8 / sum(closed) from vuln_center.finding_flow
            where service = '' and day > $1 - {SummaryQueries.FixedWithinDays} group by 1 having sum(closed) > 0
            """,
        ])
        {
            var command = new NpgsqlBatchCommand(sql);
            command.Parameters.Add(new NpgsqlParameter<DateOnly> { TypedValue = today });
            batch.BatchCommands.Add(command);
        }

        // A state that nothing is in is told as 0: a series that is missing looks like one that is not measured.
        Dictionary<OpenOf, long> open = [];
        Tell(open, "", OpenOf.OtherServices);
        var ages = (from days in SummaryQueries.AgeBuckets from severity in Enum.GetValues<Severity>() select (days, severity)).ToDictionary(each => each, _ => 0L);
        var sla = Enum.GetValues<SlaState>().ToDictionary(state => state, _ => 0L);
        Dictionary<Severity, double> fixes = [];
        await using var row = await batch.ExecuteReaderAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            var (tenant, service) = (row.GetString(0), row.GetString(1));
            Tell(open, tenant, service);
            open[new OpenOf(tenant, service, (Severity)row.GetInt16(2), (FindingStatus)row.GetInt16(3))] = row.GetInt64(4);
        }

        await row.NextResultAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            ages[(SummaryQueries.AgeBuckets[row.GetInt32(1)], (Severity)row.GetInt16(0))] = row.GetInt64(2);
        }

        await row.NextResultAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            sla[(SlaState)row.GetInt16(0)] = row.GetInt64(1);
        }

        await row.NextResultAsync(cancellation);
        await row.ReadAsync(cancellation);
        var (exploited, suppressed) = (row.GetInt64(0), row.GetInt64(1));
        await row.NextResultAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            fixes[(Severity)row.GetInt16(0)] = row.GetDouble(1);
        }

        return new Backlog(open, ages, sla, exploited, suppressed, fixes);
    }

    private static void Tell(Dictionary<OpenOf, long> open, string tenant, string service)
    {
        foreach (var severity in Enum.GetValues<Severity>())
        {
            open.TryAdd(new OpenOf(tenant, service, severity, FindingStatus.Open), 0);
            open.TryAdd(new OpenOf(tenant, service, severity, FindingStatus.Triaged), 0);
        }
    }

    private static string Fold(string table, string key, params string[] counts) => $"""
        with fresh as (
          select distinct {key} from vuln_center.{table} where not folded limit {KeysPerFold}
        ), gone as (
          delete from vuln_center.{table} using fresh where {string.Join(" and ", key.Split(", ").Select(column => $"{table}.{column} = fresh.{column}"))}
          returning {table}.*
        ), kept as (
          insert into vuln_center.{table} ({key}, {string.Join(", ", counts)}, folded)
          select {key}, {string.Join(", ", counts.Select(count => $"sum({count})"))}, true from gone
          group by {key} having {string.Join(" or ", counts.Select(count => $"sum({count}) <> 0"))}
        )
        select count(*)::int from fresh
        """;
}

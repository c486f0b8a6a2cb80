using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Summary;

/// <summary>The summary from <c>finding_count</c>, <c>finding_age</c> and <c>finding_flow</c>, as of one moment.</summary>
internal sealed class SummaryQueries([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, TimeProvider clock)
{
    public const int ServicesAtMost = 500;
    public const int WeekCount = 13;
    public const int FixedWithinDays = 90;

    private const int MovedWithinDays = 28;
    private const int MoversEachWay = 10;

    public static readonly IReadOnlyList<string> AgeBuckets = ["0-7", "8-30", "31-90", "90+"];

    // $1 tenant, $2 service or null, $3 today, $4 first day of the first week. One pass: by service and severity what is open,
    // by state the deadlines, and what is marked.
    private const string Counts = """
        select service, severity, sla,
               coalesce(sum(n) filter (where status in (1, 2) and suppression = 0), 0)::bigint,
               coalesce(sum(n) filter (where status in (1, 2) or sla in (6, 7)), 0)::bigint,
               coalesce(sum(n) filter (where status in (1, 2) and suppression = 0 and kev), 0)::bigint,
               coalesce(sum(n) filter (where status in (1, 2) and suppression <> 0), 0)::bigint
        from vuln_center.finding_count
        where tenant = $1 and ($2 is null or service = $2)
        group by grouping sets ((service, severity), (sla), ())
        """;

    private const string Ages = """
        select case when $3 - day <= 7 then 0 when $3 - day <= 30 then 1 when $3 - day <= 90 then 2 else 3 end, severity, sum(n)::bigint
        from vuln_center.finding_age
        where tenant = $1 and service = coalesce($2, '')
        group by 1, 2 having sum(n) > 0
        """;

    private static readonly string Fixes = $"""
        select severity, sum(closed)::bigint, sum(seconds)::float8 from vuln_center.finding_flow
        where tenant = $1 and service = coalesce($2, '') and day > $3 - {FixedWithinDays}
        group by severity having sum(closed) > 0 order by severity desc
        """;

    private const string Flow = """
        select date_trunc('week', day)::date, sum(opened)::bigint, sum(reopened)::bigint, sum(closed)::bigint from vuln_center.finding_flow
        where tenant = $1 and service = coalesce($2, '') and day >= $4
        group by 1
        """;

    private static readonly string Moves = $"""
        select service, sum(opened + reopened)::bigint, sum(closed)::bigint from vuln_center.finding_flow
        where tenant = $1 and service <> '' and ($2 is null or service = $2) and day > $3 - {MovedWithinDays}
        group by service having sum(opened + reopened) <> sum(closed)
        """;

    public async Task<FindingSummary> ReadAsync(string tenant, string? service, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        var today = DateOnly.FromDateTime(now.UtcDateTime);
        var monday = today.AddDays(-(((int)today.DayOfWeek + 6) % 7));
        var firstWeek = monday.AddDays(-7 * (WeekCount - 1));
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, cancellation);
        await using var batch = new NpgsqlBatch(connection);
        foreach (var sql in (string[])[Counts, Ages, Fixes, Flow, Moves])
        {
            var command = new NpgsqlBatchCommand(sql);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(OptionalParameter.Text(service));
            command.Parameters.Add(new NpgsqlParameter<DateOnly> { TypedValue = today });
            command.Parameters.Add(new NpgsqlParameter<DateOnly> { TypedValue = firstWeek });
            batch.BatchCommands.Add(command);
        }

        await using var row = await batch.ExecuteReaderAsync(cancellation);
        Dictionary<string, Dictionary<Severity, long>> counts = new(StringComparer.Ordinal);
        var sla = Enum.GetValues<SlaState>().ToDictionary(FindingFilter.KebabCase, _ => 0L, StringComparer.Ordinal);
        var (exploited, suppressed) = (0L, 0L);
        while (await row.ReadAsync(cancellation))
        {
            if (!row.IsDBNull(2))
            {
                sla[FindingFilter.KebabCase((SlaState)row.GetInt16(2))] = row.GetInt64(4);
            }
            else if (row.IsDBNull(0))
            {
                (exploited, suppressed) = (row.GetInt64(5), row.GetInt64(6));
            }
            else if (row.GetInt64(3) > 0)
            {
                if (!counts.TryGetValue(row.GetString(0), out var severities))
                {
                    counts[row.GetString(0)] = severities = [];
                }

                severities.Add((Severity)row.GetInt16(1), row.GetInt64(3));
            }
        }

        var ages = AgeBuckets.Select(_ => new Dictionary<Severity, long>()).ToList();
        await row.NextResultAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            ages[row.GetInt32(0)].Add((Severity)row.GetInt16(1), row.GetInt64(2));
        }

        List<TimeToFix> fixes = [];
        await row.NextResultAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            fixes.Add(new TimeToFix((Severity)row.GetInt16(0), row.GetInt64(1), Math.Round(row.GetDouble(2) / row.GetInt64(1) / 86_400, 2)));
        }

        Dictionary<DateOnly, WeekFlow> weeks = [];
        await row.NextResultAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            var week = row.GetFieldValue<DateOnly>(0);
            weeks.Add(week, new WeekFlow(week, row.GetInt64(1), row.GetInt64(2), row.GetInt64(3)));
        }

        List<ServiceMove> moves = [];
        await row.NextResultAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            moves.Add(new ServiceMove(row.GetString(0), row.GetInt64(1), row.GetInt64(2)));
        }

        return new FindingSummary(
            now,
            service,
            counts.Values.Sum(severities => severities.Values.Sum()),
            exploited,
            suppressed,
            BySeverity(counts.Values.SelectMany(severities => severities).GroupBy(count => count.Key, count => count.Value).ToDictionary(each => each.Key, each => each.Sum())),
            counts.Count,
            [.. Worst(counts).Take(ServicesAtMost).Select(each => new ServiceBacklog(each.Key, each.Value.Values.Sum(), BySeverity(each.Value)))],
            [.. AgeBuckets.Zip(ages, (days, severities) => new AgeBucket(days, severities.Values.Sum(), BySeverity(severities)))],
            fixes,
            [.. Enumerable.Range(0, WeekCount).Select(week => firstWeek.AddDays(7 * week)).Select(week => weeks.GetValueOrDefault(week) ?? new WeekFlow(week, 0, 0, 0))],
            sla,
            Movers(moves));
    }

    private static IEnumerable<KeyValuePair<string, Dictionary<Severity, long>>> Worst(Dictionary<string, Dictionary<Severity, long>> counts) =>
        Enum.GetValues<Severity>().OrderDescending()
            .Aggregate(counts.OrderBy(_ => 0), (order, severity) => order.ThenByDescending(each => each.Value.GetValueOrDefault(severity)))
            .ThenBy(each => each.Key, StringComparer.Ordinal);

    private static IReadOnlyList<ServiceMove> Movers(List<ServiceMove> moves)
    {
        var ordered = moves.OrderByDescending(move => move.Opened - move.Closed).ThenBy(move => move.Service, StringComparer.Ordinal).ToList();
        return [.. ordered.Where(move => move.Opened > move.Closed).Take(MoversEachWay), .. ordered.Where(move => move.Opened < move.Closed).TakeLast(MoversEachWay)];
    }

    private static Dictionary<string, long> BySeverity(Dictionary<Severity, long> counts) =>
        counts.OrderByDescending(count => count.Key).ToDictionary(count => FindingFilter.KebabCase(count.Key), count => count.Value, StringComparer.Ordinal);
}

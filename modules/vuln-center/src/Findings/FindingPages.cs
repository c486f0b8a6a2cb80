using System.Data;
using System.Globalization;
using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>Where a page of findings ended: the keyset of its order.</summary>
internal sealed record FindingPosition(short Severity, DateTimeOffset FirstSeen, Guid Id, float? Epss = null);

/// <summary>What a page may cost before another way to it is tried. Measured; not a setting.</summary>
internal sealed record PageEffort
{
    /// <summary>Up to so many expected matches are gathered first.</summary>
    public int FewMatches { get; init; } = 5_000;

    /// <summary>Matches that are sorted at most, while there is a hope to meet enough of them in order.</summary>
    public int GatherAtMost { get; init; } = 20_000;

    /// <summary>And when there is none.</summary>
    public int SortAtMost { get; init; } = 200_000;

    /// <summary>Findings that are looked at, in order, before the matches are gathered.</summary>
    public int WalkAtMost { get; init; } = 5_000;

    /// <summary>For every so many findings of a page.</summary>
    public int ShortPage { get; init; } = 100;

    /// <summary>As <see cref="FewMatches"/> and <see cref="WalkAtMost"/>, where the index says it all and no finding is read.</summary>
    public int FewToSkim { get; init; } = 1_500;

    public int SkimAtMost { get; init; } = 40_000;

    /// <summary>Findings that are looked at to learn how many match, where the planner cannot know.</summary>
    public int Sample { get; init; } = 1_000;

    /// <summary>Scores of one advisory's findings that are walked one after the other.</summary>
    public int ScoresAtMost { get; init; } = 50;
}

/// <summary>
/// Which findings are on a page. Where an index holds the matches in the order of the list, it is read from the page's
/// beginning. Else either few match, and they are gathered and sorted, or many do, and the order is walked until it has shown
/// enough of them. Which it is, the planner only guesses (words that always or never stand together, what is rare among the
/// oldest …), so both have an end, and the other one is tried then.
/// </summary>
internal sealed class FindingPages([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, PageEffort effort)
{
    // A word that is everywhere wants another plan than a rare one, and a prepared statement would have one for both. What is
    // switched off counts as so dear that the server would compile the plan, for longer than it runs.
    private const string Planning = """
        select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', $1, true),
               set_config('enable_sort', $1, true), set_config('enable_indexscan', $2, true), set_config('enable_indexonlyscan', $2, true)
        """;

    /// <summary>The findings of a page, each with its position, as of one moment.</summary>
    public async Task<IReadOnlyList<(Finding Finding, FindingPosition Position)>> ListAsync(
        FindingFilter filter, FindingPosition? after, int limit, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellation);
        await WalkAsync(connection, cancellation);
        await AddAliasesAsync(connection, filter, cancellation);
        var page = new Page(connection, effort, filter, after, limit);
        var rows = await FindingQueries.ReadAsync(connection, filter.Tenant, await page.IdsAsync(cancellation), cancellation);
        await transaction.CommitAsync(cancellation);
        return rows;
    }

    /// <summary>An advisory has other names; they are those that alias feeds and reports gave.</summary>
    public static async Task AddAliasesAsync(NpgsqlConnection connection, FindingFilter filter, CancellationToken cancellation)
    {
        if (filter.Identifier is not { } identifier)
        {
            return;
        }

        await using var command = new NpgsqlCommand("""
            select a.id from vuln_center.alias_cluster a
            where a.tenant = $1 and a.cluster = (select b.cluster from vuln_center.alias_cluster b where b.tenant = $1 and b.id = $2)
            """, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = filter.Tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = identifier });
        List<string> identifiers = [identifier];
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            identifiers.Add(reader.GetString(0));
        }

        filter.Alias([.. identifiers.Distinct(StringComparer.Ordinal)]);
    }

    /// <summary>From here on in this transaction, what matches is gathered from all indexes that say something of it, whatever the planner believes.</summary>
    public static Task GatherAsync(NpgsqlConnection connection, CancellationToken cancellation) => PlanAsync(connection, "on", "off", cancellation);

    /// <summary>From here on, indexes are read in their order.</summary>
    private static Task WalkAsync(NpgsqlConnection connection, CancellationToken cancellation) => PlanAsync(connection, "off", "on", cancellation);

    private static async Task PlanAsync(NpgsqlConnection connection, string bitmaps, string orders, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(Planning, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = bitmaps });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = orders });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <param name="Lanes">Each in the order of an index, together in <paramref name="Order"/> once merged.</param>
    private sealed record Block(IReadOnlyList<string> Lanes, string Order)
    {
        /// <summary>Each lane is in order and has an end: only so the planner merges them without reading any to its end.</summary>
        public string Merged(string? fits, string rest, int limit)
        {
            var end = string.Create(CultureInfo.InvariantCulture, $"order by {Order} limit {limit}");
            var columns = fits is null ? "f.id, f.first_seen, f.epss" : $"f.id, f.first_seen, f.epss, coalesce({fits}, false) as fits";
            return $"({string.Join("\nunion all\n", Lanes.Select(lane => $"(select {columns} from vuln_center.finding f where {lane}{rest} {end})"))}) f {end}";
        }
    }

    private sealed class Page(NpgsqlConnection connection, PageEffort effort, FindingFilter filter, FindingPosition? after, int limit)
    {
        private readonly List<Block> _blocks = [];
        private readonly string _order = filter.Sort switch
        {
            FindingSort.Severity => "f.severity desc, f.first_seen, f.id",
            FindingSort.Age => "f.first_seen, f.id",
            FindingSort.Newest => "f.first_seen desc, f.id desc",
            FindingSort.Epss => "f.epss desc nulls last, f.first_seen, f.id",
            _ => throw new ArgumentOutOfRangeException(nameof(filter)),
        };

        private string _beyond = "true";

        // Of the last walk that was given up.
        private int _hits;

        public async Task<Guid[]> IdsAsync(CancellationToken cancellation)
        {
            Divide();
            if (filter.Rest is null)
            {
                return await WalkAsync(atMost: null, cancellation) ?? [];
            }

            var expected = await ExpectedAsync(cancellation);
            if (filter.Identifiers is { } identifiers)
            {
                var scores = await ScoresAsync(identifiers, cancellation);
                expected = Math.Min(expected, scores.Sum(score => score.Findings));
                if (filter.Sort == FindingSort.Epss && scores.Count <= effort.ScoresAtMost)
                {
                    DivideByScore(scores.Select(score => score.Epss));
                }
            }

            var few = expected <= (filter.Carried ? effort.FewToSkim : effort.FewMatches);
            var atMost = (filter.Carried ? effort.SkimAtMost : effort.WalkAtMost) * Math.Max(1, limit / effort.ShortPage);
            if (few && filter.Unforeseen)
            {
                if (await WalkAsync(effort.Sample, cancellation) is { } soon)
                {
                    return soon;
                }

                // At the rate of the sample a longer walk would show a page.
                few = _hits * (long)atMost < (long)limit * effort.Sample;
            }

            return (few ? await GatherAsync(effort.GatherAtMost, cancellation) : null)
                ?? await WalkAsync(atMost, cancellation)
                ?? await GatherAsync(effort.SortAtMost, cancellation)
                ?? await WalkAsync(atMost: null, cancellation)
                ?? [];
        }

        /// <summary>
        /// What comes after the position, as parts of the order one after the other, and as one condition. Severity descends
        /// where the others ascend, so no single comparison of rows says it.
        /// </summary>
        private void Divide()
        {
            if (filter.Sort == FindingSort.Epss)
            {
                DivideByEpss();
                return;
            }

            var beyond = "true";
            if (after is not null)
            {
                beyond = $"(f.first_seen, f.id) {(filter.Sort == FindingSort.Newest ? '<' : '>')} ({Seen(after)}, {Id(after)})";
            }

            if (filter.Sort != FindingSort.Severity)
            {
                _beyond = beyond;
                _blocks.Add(new Block(
                    [.. from severity in filter.Severities from status in filter.Statuses select Lane(status, severity, beyond)],
                    _order));
                return;
            }

            if (after is not null)
            {
                _beyond = $"(f.severity < {Text(after.Severity)} or f.severity = {Text(after.Severity)} and {beyond})";
            }

            foreach (var severity in filter.Severities.Where(severity => after is null || severity <= after.Severity))
            {
                var rest = after?.Severity == severity ? beyond : "true";
                _blocks.Add(new Block([.. filter.Statuses.Select(status => Lane(status, severity, rest))], "f.first_seen, f.id"));
            }
        }

        private void DivideByEpss()
        {
            List<string> parts = after is null ? ["true"] : [];
            if (after is not null)
            {
                var beyond = $"(f.first_seen, f.id) > ({Seen(after)}, {Id(after)})";
                if (after.Epss is { } epss)
                {
                    var score = filter.Add(new NpgsqlParameter<float> { TypedValue = epss });
                    parts.AddRange([$"f.epss = {score} and {beyond}", $"f.epss < {score}", "f.epss is null"]);
                    _beyond = $"(f.epss = {score} and {beyond} or f.epss < {score} or f.epss is null)";
                }
                else
                {
                    _beyond = $"f.epss is null and {beyond}";
                    parts.Add(_beyond);
                }
            }

            _blocks.AddRange(parts.Select(part => new Block([$"{filter.Leading} and {part}"], _order)));
        }

        /// <summary>Each score's findings by age: what has another score is not walked through.</summary>
        private void DivideByScore(IEnumerable<float?> scores)
        {
            _blocks.Clear();
            foreach (var score in scores.OrderByDescending(score => score ?? -1))
            {
                if (after is null || (score ?? -1) < (after.Epss ?? -1))
                {
                    _blocks.Add(new Block([$"{filter.Leading} and {Scored(score)}"], _order));
                }
                else if (score == after.Epss)
                {
                    _blocks.Add(new Block([$"{filter.Leading} and {Scored(score)} and (f.first_seen, f.id) > ({Seen(after)}, {Id(after)})"], _order));
                }
            }

            string Scored(float? score) => score is { } given ? $"f.epss = {filter.Add(new NpgsqlParameter<float> { TypedValue = given })}" : "f.epss is null";
        }

        /// <summary>
        /// Findings of one advisory have its score, or that of a worse one that they name too: few. Those that name two of
        /// <paramref name="identifiers"/> count twice.
        /// </summary>
        private async Task<List<(float? Epss, long Findings)>> ScoresAsync(string identifiers, CancellationToken cancellation)
        {
            await using var command = Command($"""
                select nullif(epss, -1), sum(n)::bigint from vuln_center.advisory_score where tenant = $1 and identifier = any ({identifiers}) group by 1 having sum(n) > 0
                """);
            List<(float?, long)> scores = [];
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                scores.Add((reader.IsDBNull(0) ? null : reader.GetFloat(0), reader.GetInt64(1)));
            }

            return scores;
        }

        private string Lane(short status, short severity, string beyond) => $"{filter.Leading} and f.status = {Text(status)} and f.severity = {Text(severity)} and {beyond}";

        /// <returns>Null when <paramref name="atMost"/> findings had been looked at and the page was not full.</returns>
        private async Task<Guid[]?> WalkAsync(int? atMost, CancellationToken cancellation)
        {
            List<Guid> ids = [];
            var left = atMost;
            foreach (var block in _blocks.Where(block => block.Lanes.Count > 0))
            {
                if (ids.Count == limit)
                {
                    break;
                }

                var (hits, looked) = left is { } most
                    ? await LookAsync(block, limit - ids.Count, most, cancellation)
                    : ([.. await TakeAsync(block, limit - ids.Count, cancellation)], 0);
                ids.AddRange(hits);
                left -= looked;
                if (ids.Count < limit && left <= 0)
                {
                    _hits = ids.Count;
                    return null;
                }
            }

            return [.. ids];
        }

        private async Task<Guid[]> TakeAsync(Block block, int count, CancellationToken cancellation)
        {
            var rest = filter.Rest is { } filtered ? $" and {filtered}" : "";
            await using var command = Command($"select array(select f.id from {block.Merged(fits: null, rest, count)})");
            return (Guid[]?)await command.ExecuteScalarAsync(cancellation) ?? [];
        }

        private async Task<(List<Guid> Hits, int Looked)> LookAsync(Block block, int count, int atMost, CancellationToken cancellation)
        {
            await using var command = Command($"""
                select f.id, f.fits, f.looked
                from (
                  select f.id, f.fits, row_number() over ()::int as looked, lead(f.id) over () is null as ends
                  from (select f.id, f.fits from {block.Merged(filter.Rest, rest: "", atMost)}) f) f
                where f.fits or f.ends limit {Text(count)}
                """);
            List<Guid> hits = [];
            var looked = 0;
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                looked = reader.GetInt32(2);
                if (reader.GetBoolean(1))
                {
                    hits.Add(reader.GetGuid(0));
                }
            }

            return (hits, looked);
        }

        /// <returns>Null when there are too many to sort.</returns>
        private async Task<Guid[]?> GatherAsync(int atMost, CancellationToken cancellation)
        {
            await FindingPages.GatherAsync(connection, cancellation);
            await using var command = Command($"""
                with hit as materialized (
                  select f.id, f.severity, f.first_seen, f.epss from vuln_center.finding f
                  where {filter.Where}{filter.Gathered} and {_beyond}
                  limit {Text(atMost + 1)}
                )
                select case when (select count(*) from hit) <= {Text(atMost)} then array(select f.id from hit f order by {_order} limit {Text(limit)}) end
                """);
            var ids = await command.ExecuteScalarAsync(cancellation) as Guid[];
            await FindingPages.WalkAsync(connection, cancellation);
            return ids;
        }

        private async Task<double> ExpectedAsync(CancellationToken cancellation)
        {
            await using var command = Command($"explain (format json) select from vuln_center.finding f where {filter.Where}");
            using var plan = JsonDocument.Parse((string?)await command.ExecuteScalarAsync(cancellation) ?? throw new InvalidOperationException("No plan."));
            return plan.RootElement[0].GetProperty("Plan").GetProperty("Plan Rows").GetDouble();
        }

        private NpgsqlCommand Command(string sql)
        {
            var command = new NpgsqlCommand(sql, connection);
            filter.AddTo(command);
            return command;
        }

        private string Seen(FindingPosition position) => filter.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = position.FirstSeen.ToUniversalTime() });

        private string Id(FindingPosition position) => filter.Add(new NpgsqlParameter<Guid> { TypedValue = position.Id });

        private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
    }
}

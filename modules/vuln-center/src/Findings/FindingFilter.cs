using System.Globalization;
using System.Text;
using Npgsql;
using NpgsqlTypes;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

internal enum FindingSort
{
    Severity,
    Age,
    Newest,
    Epss,
}

/// <summary>A validated filter: conditions over <c>vuln_center.finding f</c> with their parameters; $1 is the tenant.</summary>
internal sealed class FindingFilter
{
    private static readonly short[] Live = [(short)FindingStatus.Open, (short)FindingStatus.Triaged];
    private static readonly short[] Closed = [(short)FindingStatus.Fixed, (short)FindingStatus.Verified];

    // What the indexes carry beside what they begin with and their order.
    private static readonly string[] WithAge = ["epss"];
    private static readonly string[] WithEpss = ["kind", "severity", "status", "suppression", "kev", "first_seen", "epss"];

    private readonly List<Way> _paths = [];
    private readonly List<string> _lane = [];
    private readonly List<Condition> _rest = [];
    private readonly List<string> _gathered = [];
    private readonly List<string> _counted = ["c.tenant = $1"];
    private readonly List<NpgsqlParameter> _parameters = [];
    private NpgsqlParameter? _identifiers;
    private bool _countable = true;

    public FindingFilter(string tenant, FindingSort sort)
    {
        (Tenant, Sort) = (tenant, sort);
        Add(new NpgsqlParameter<string> { TypedValue = tenant });
    }

    public string Tenant { get; }

    public FindingSort Sort { get; }

    /// <summary>Ascending.</summary>
    public IReadOnlyList<short> Statuses { get; set; } = [.. Live, .. Closed];

    /// <summary>Worst first.</summary>
    public IReadOnlyList<short> Severities { get; set; } = [.. Enum.GetValues<Severity>().Select(severity => (short)severity).OrderDescending()];

    /// <summary>The advisory that is asked for; its aliases count too once they are known.</summary>
    public string? Identifier { get; private set; }

    /// <summary>How many match is not to be had from the planner: it knows nothing of the beginnings of words, nor of deadlines.</summary>
    public bool Unforeseen { get; private set; }

    public string Where => And(["f.tenant = $1", .. _paths.Select(path => path.Condition.Sql), .. _lane, .. _rest.Select(condition => condition.Sql), .. Lanes.Select(lane => lane.Sql)]);

    /// <summary>What an index that holds the order of the list begins with.</summary>
    public string Leading => And(["f.tenant = $1", .. Path is { } path ? [path.Condition.Sql] : (string[])[], .. _lane]);

    /// <summary>What is left to filter in that order; null when all of it matches.</summary>
    public string? Rest => Filtered is { Count: > 0 } rest ? And(rest.Select(condition => condition.Sql)) : null;

    /// <summary>That index says all of <see cref="Rest"/>: no finding is read to filter it.</summary>
    public bool Carried => Filtered.TrueForAll(condition => (Sort == FindingSort.Epss ? WithEpss : Path is null ? WithAge : []).Contains(condition.Column));

    /// <summary>What <see cref="Where"/> says already, in the words of the indexes over arrays and words.</summary>
    public string Gathered => string.Concat(_gathered.Select(condition => $" and {condition}"));

    /// <summary>$n of the advisory and its aliases; null when none is asked for.</summary>
    public string? Identifiers { get; private set; }

    /// <summary>The same over <c>vuln_center.finding_count c</c>; null when the counts do not say.</summary>
    public string? Counted => _countable ? $"{string.Join(" and ", _counted)} and c.status in ({List(Statuses)}) and c.severity in ({List(Severities)})" : null;

    private IEnumerable<Condition> Lanes => [new($"f.status in ({List(Statuses)})", "status"), new($"f.severity in ({List(Severities)})", "severity")];

    // One of the paths leads to an index that holds its matches in order, the one that tends to have fewest; the others are left to filter.
    private Way? Path => _paths.Where(path => path.ByEpss || Sort != FindingSort.Epss).OrderBy(path => path.Rank).FirstOrDefault();

    private List<Condition> Filtered =>
    [
        .. _paths.Where(path => path != Path).Select(path => path.Condition), .. _rest,
        .. Sort != FindingSort.Epss || (Statuses.Count == 4 && Severities.Count == 7) ? [] : Lanes,
    ];

    /// <summary>Copies, since a parameter belongs to one command.</summary>
    public void AddTo(NpgsqlCommand command)
    {
        foreach (var parameter in _parameters)
        {
            command.Parameters.Add(parameter.Clone());
        }
    }

    /// <summary>$n for a value that is not a condition of its own.</summary>
    public string Add(NpgsqlParameter parameter)
    {
        _parameters.Add(parameter);
        return "$" + _parameters.Count.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>Finds by any of them.</summary>
    public void Alias(string[] identifiers) => (_identifiers ?? throw new InvalidOperationException("No advisory is asked for.")).Value = identifiers;

    internal static string KebabCase<T>(T value)
        where T : struct, Enum => System.Text.Json.JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());

    public void Equal(int rank, string column, string? value)
    {
        if (value is not null)
        {
            var equals = $"{column} = {Add(new NpgsqlParameter<string> { TypedValue = Stored(value) })}";
            _paths.Add(new(rank, new($"f.{equals}", column), ByEpss: true));
            _counted.Add($"c.{equals}");
        }
    }

    public void Kinds(short[]? kinds)
    {
        if (kinds is null)
        {
            return;
        }

        // Written out: the planner must see that a kind is not the one that finding_by_kind leaves out.
        var among = $"kind in ({List(kinds)})";
        _counted.Add($"c.{among}");
        if (kinds is [> (short)FindingKind.Sca])
        {
            _paths.Add(new(5, new($"f.{among}", "kind")));
        }
        else
        {
            _rest.Add(new($"f.{among}", "kind"));
        }
    }

    public void Component(string? value)
    {
        if (value is null)
        {
            return;
        }

        _countable = false;
        var stored = Add(new NpgsqlParameter<string> { TypedValue = Stored(value) });
        if (value.StartsWith("pkg:", StringComparison.OrdinalIgnoreCase))
        {
            _rest.Add(new($"f.component_key = {stored}"));
        }
        else
        {
            _paths.Add(new(1, new($"f.component = {stored}", "component"), ByEpss: true));
        }
    }

    public void Cve(string? id)
    {
        if (id is null)
        {
            return;
        }

        Identifier = Stored(id);
        _identifiers = new NpgsqlParameter { Value = new[] { Identifier }, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text };
        var ids = Add(_identifiers);
        Identifiers = ids;
        Mix($"f.identifiers && {ids}");
        _gathered.Add($"{Arrays} @> array[$1] and {Arrays} && {ids}");
    }

    public void Environment(string? environment)
    {
        if (environment is not null)
        {
            var value = Add(new NpgsqlParameter<string> { TypedValue = Stored(environment) });
            Mix($"f.environments @> array[{value}]");
            _gathered.Add($"{Arrays} @> array[$1, {value}]");
        }
    }

    public void Kev(bool? kev)
    {
        if (kev is { } known)
        {
            _counted.Add(known ? "c.kev" : "not c.kev");
            if (known)
            {
                _paths.Add(new(3, new(KnownExploited, "kev")));
            }
            else
            {
                _rest.Add(new("not f.kev", "kev"));
            }
        }
    }

    // finding_by_kev says it without a look at the finding, finding_by_epss begins there.
    public void Likelier(string comparison, float probability)
    {
        _countable = false;
        var likelier = $"f.epss {comparison} {Add(new NpgsqlParameter<float> { TypedValue = probability })}";
        if (Sort == FindingSort.Epss || Path?.Condition.Sql == KnownExploited)
        {
            _lane.Add(likelier);
        }
        else
        {
            _rest.Add(new(likelier, "epss"));
        }
    }

    public void Suppressed(bool? suppressed, short[]? kinds)
    {
        if (suppressed is { } set)
        {
            _rest.Add(new(set ? "f.suppression is not null" : "f.suppression is null", "suppression"));
            _counted.Add(set ? "c.suppression <> 0" : "c.suppression = 0");
        }

        if (kinds is not null)
        {
            _counted.Add($"c.suppression in ({List(kinds)})");
            _rest.Add(new($"f.suppression in ({List(kinds)})", "suppression"));
        }
    }

    public void Sla(short[]? states)
    {
        if (states is null)
        {
            return;
        }

        _counted.Add($"c.sla in ({List(states)})");
        Statuses = [.. Statuses.Intersect((short[])[.. states.Any(MayBeLive) ? Live : [], .. states.Any(MayBeClosed) ? Closed : []])];
        var standing = $"vuln_center.sla_state(f.sla_policy, f.status, f.sla_paused_at, f.sla_warned_at, f.sla_breached_at) in ({List(states)})";
        if (states.Length == 1 && !MayBeClosed(states[0]))
        {
            _paths.Add(new(6, new(standing)));
        }
        else
        {
            Unforeseen = true;
            _rest.Add(new(standing));
        }

        static bool MayBeLive(short state) => (SlaState)state is not (SlaState.Met or SlaState.Missed);

        static bool MayBeClosed(short state) => (SlaState)state is SlaState.None or SlaState.Met or SlaState.Missed;
    }

    public void Assignee(string? assignee)
    {
        if (assignee is not null)
        {
            Mix($"f.assignee = {Add(new NpgsqlParameter<string> { TypedValue = Stored(assignee) })}");
        }
    }

    public void Mixed(string column, short[]? values)
    {
        if (values is not null)
        {
            Mix($"f.{column} in ({List(values)})");
        }
    }

    // Age is part of every order but that by EPSS.
    public void SeenBefore(DateTimeOffset now, TimeSpan age)
    {
        _countable = false;
        var seen = $"f.first_seen <= {Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = (now - age).ToUniversalTime() })}";
        if (Sort == FindingSort.Epss)
        {
            _rest.Add(new(seen, "first_seen"));
        }
        else
        {
            _lane.Add(seen);
        }
    }

    public void Text(string? q)
    {
        var words = (q ?? "").Split([.. (q ?? "").Where(c => !char.IsLetterOrDigit(c)).Distinct()], StringSplitOptions.RemoveEmptyEntries);
        if (words.Length > 0)
        {
            var text = string.Join(" & ", words.Select((word, i) => i == words.Length - 1 && Begins(word) ? $"{word}:*" : word));
            var query = $"to_tsquery('simple', {Add(new NpgsqlParameter<string> { TypedValue = text })})";
            var tenant = Add(new NpgsqlParameter<string> { TypedValue = $"'{Tenant.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("'", "''", StringComparison.Ordinal)}'" });
            Unforeseen = true;
            Mix($"f.words @@ {query}");
            _gathered.Add($"(array_to_tsvector(array[f.tenant]) || f.words) @@ ({tenant}::tsquery && {query})");
        }
    }

    // Two letters of an alphabet begin a large part of all words.
    private static bool Begins(string word) => word.Length > 2 || !Ascii.IsValid(word);

    private const string KnownExploited = "f.kev";

    private const string Arrays = "(array_prepend(f.tenant, f.identifiers) || f.environments)";

    private void Mix(string condition)
    {
        _rest.Add(new(condition));
        _countable = false;
    }

    private static string Stored(string value) => value.Replace("\0", "\uFFFD", StringComparison.Ordinal);

    private static string And(IEnumerable<string> conditions) => string.Join(" and ", conditions);

    private static string List(IReadOnlyCollection<short> values) =>
        values.Count == 0 ? "null" : string.Join(", ", values.Select(value => value.ToString(CultureInfo.InvariantCulture)));

    /// <param name="Rank">The path with the lowest is taken.</param>
    /// <param name="ByEpss">There is an index in that order too.</param>
    private sealed record Way(int Rank, Condition Condition, bool ByEpss = false);

    /// <param name="Sql">Over <c>f</c>.</param>
    /// <param name="Column">The only one that it needs, where an index may carry it.</param>
    private readonly record struct Condition(string Sql, string? Column = null);
}

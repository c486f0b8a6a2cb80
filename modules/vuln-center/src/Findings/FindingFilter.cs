using System.ComponentModel;
using System.Globalization;
using Microsoft.AspNetCore.Mvc;
using Npgsql;
using NpgsqlTypes;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>Query parameters of <c>GET /findings</c>, as they stand in the address.</summary>
internal sealed record FindingQuery(
    [property: FromQuery(Name = "service"), Description("Exact name of the service.")] string? Service,
    [property: FromQuery(Name = "severity"), Description("One or more, comma-separated: critical, high, medium, low, info, none, unknown.")] string? Severity,
    [property: FromQuery(Name = "status"), Description("One or more, comma-separated: open, triaged, fixed, verified.")] string? Status,
    [property: FromQuery(Name = "source"), Description("Scanner or human source: trivy, codeql, red-team.")] string? Source,
    [property: FromQuery(Name = "kind"), Description("One or more, comma-separated: sca, sast, dast, secret, config, license.")] string? Kind,
    [property: FromQuery(Name = "component"), Description("Exact name of the component, or its package URL without a version: pkg:npm/lodash.")] string? Component,
    [property: FromQuery(Name = "cve"), Description("An advisory id: CVE, GHSA or any other. Findings that name an alias of it count too.")] string? Cve,
    [property: FromQuery(Name = "env"), Description("An affected environment.")] string? Env,
    [property: FromQuery(Name = "kev"), Description("true: known to be exploited, by CISA's catalog; false: not.")] string? Kev,
    [property: FromQuery(Name = "minEpss"), Description("Probability of exploitation at least this, 0 to 1. `epss>=0.5` and `epss>0.5`, written as they stand here, do the same; the latter without 0.5 itself.")] string? MinEpss,
    [property: FromQuery(Name = "ssvc"), Description("One or more, comma-separated: track, track-star, attend, act.")] string? Ssvc,
    [property: FromQuery(Name = "suppressed"), Description("true: set aside now; false: not.")] string? Suppressed,
    [property: FromQuery(Name = "suppression"), Description("One or more, comma-separated: false-positive, risk-accepted.")] string? Suppression,
    [property: FromQuery(Name = "sla"), Description("Where the deadline stands. One or more, comma-separated: none, running, warned, breached, paused, met, missed.")] string? Sla,
    [property: FromQuery(Name = "assignee"), Description("Exact name of the assignee.")] string? Assignee,
    [property: FromQuery(Name = "q"), Description("Words in title, rule or component; the last one may be a beginning.")] string? Q,
    [property: FromQuery(Name = "minAge"), Description("First seen at least this long ago: 30d, 12h. `age>30` (days, written as it stands here) does the same.")] string? MinAge,
    [property: FromQuery(Name = "sort"), Description("severity (default: worst first, then oldest), age (oldest first), newest, epss (likeliest first, those without a score last).")] string? Sort,
    [property: FromQuery(Name = "facets"), Description("true: count the matches by severity, status, source, kind and service.")] bool? Facets);

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
    private static readonly HashSet<string> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        "service", "severity", "status", "source", "kind", "component", "cve", "env", "kev", "minEpss", "ssvc", "suppressed", "suppression", "sla", "assignee",
        "q", "minAge", "sort", "facets", "limit", "cursor",
    };

    private static readonly HashSet<string> Lists = new(StringComparer.OrdinalIgnoreCase) { "severity", "status", "kind", "ssvc", "suppression", "sla" };

    private const int MaxQueryLength = 500;

    private static readonly TimeSpan MaxAge = TimeSpan.FromDays(36_500);

    private static readonly short[] Live = [(short)FindingStatus.Open, (short)FindingStatus.Triaged];
    private static readonly short[] Closed = [(short)FindingStatus.Fixed, (short)FindingStatus.Verified];

    private readonly List<(int Rank, string Condition)> _paths = [];
    private readonly List<string> _lane = [];
    private readonly List<string> _rest = [];
    private readonly List<string> _gathered = [];
    private readonly List<string> _counted = ["c.tenant = $1"];
    private readonly List<NpgsqlParameter> _parameters = [];
    private NpgsqlParameter? _identifiers;
    private bool _countable = true;

    private FindingFilter(string tenant, FindingSort sort)
    {
        (Tenant, Sort) = (tenant, sort);
        Add(new NpgsqlParameter<string> { TypedValue = tenant });
    }

    public string Tenant { get; }

    public FindingSort Sort { get; }

    /// <summary>Ascending.</summary>
    public IReadOnlyList<short> Statuses { get; private set; } = [.. Live, .. Closed];

    /// <summary>Worst first.</summary>
    public IReadOnlyList<short> Severities { get; private set; } = [.. Enum.GetValues<Severity>().Select(severity => (short)severity).OrderDescending()];

    /// <summary>The advisory that is asked for; its aliases count too once they are known.</summary>
    public string? Identifier { get; private set; }

    public string Where => And(["f.tenant = $1", .. _paths.Select(path => path.Condition), .. _lane, .. _rest, .. Lanes]);

    /// <summary>What an index that holds the order of the list begins with.</summary>
    public string Leading => And(["f.tenant = $1", .. Path, .. _lane]);

    /// <summary>What is left to filter in that order; null when all of it matches.</summary>
    public string? Rest => Filtered is { Count: > 0 } rest ? And(rest) : null;

    /// <summary>What <see cref="Where"/> says already, in the words of the indexes over arrays and words.</summary>
    public string Gathered => string.Concat(_gathered.Select(condition => $" and {condition}"));

    /// <summary>The same over <c>vuln_center.finding_count c</c>; null when the counts do not say.</summary>
    public string? Counted => _countable ? $"{string.Join(" and ", _counted)} and c.status in ({List(Statuses)}) and c.severity in ({List(Severities)})" : null;

    private IEnumerable<string> Lanes => [$"f.status in ({List(Statuses)})", $"f.severity in ({List(Severities)})"];

    private IEnumerable<string> Path => Sort == FindingSort.Epss ? [] : _paths.OrderBy(path => path.Rank).Take(1).Select(path => path.Condition);

    private List<string> Filtered => Sort == FindingSort.Epss
        ? [.. _paths.Select(path => path.Condition), .. _rest, .. Statuses.Count == 4 && Severities.Count == 7 ? [] : Lanes]
        : [.. _paths.OrderBy(path => path.Rank).Skip(1).Select(path => path.Condition), .. _rest];

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

    public static (FindingFilter? Filter, Refusal? Refusal) Parse(string tenant, FindingQuery query, IQueryCollection raw, DateTimeOffset now)
    {
        List<FieldError> errors = [];
        var sort = query.Sort?.ToLowerInvariant() switch
        {
            null or "severity" or "-severity" => FindingSort.Severity,
            "age" or "-age" => FindingSort.Age,
            "newest" => FindingSort.Newest,
            "epss" or "-epss" => FindingSort.Epss,
            _ => Bad<FindingSort>("sort", "must be severity, age, newest or epss"),
        };
        var filter = new FindingFilter(tenant, sort);
        filter.Equal(2, "service", query.Service);
        filter.Equal(4, "source", query.Source);
        filter.Severities = Chosen<Severity>("severity", query.Severity)?.OrderDescending().ToArray() ?? filter.Severities;
        filter.Statuses = Chosen<FindingStatus>("status", query.Status)?.Order().ToArray() ?? filter.Statuses;
        filter.Kinds(Chosen<FindingKind>("kind", query.Kind));
        filter.Component(query.Component);
        filter.Cve(query.Cve?.Trim().ToUpperInvariant());
        filter.Environment(query.Env);
        filter.Kev(Flag("kev", query.Kev));
        filter.Mixed("ssvc", Chosen<SsvcDecision>("ssvc", query.Ssvc));
        filter.Suppressed(Flag("suppressed", query.Suppressed), Chosen<SuppressionKind>("suppression", query.Suppression));
        filter.Sla(Chosen<SlaState>("sla", query.Sla));
        filter.Assignee(query.Assignee);
        if (query.Q is { Length: > MaxQueryLength })
        {
            Bad<int>("q", $"must be at most {MaxQueryLength} characters");
        }
        else
        {
            filter.Text(query.Q);
        }

        if (query.MinAge is { } minAge)
        {
            filter.SeenBefore(now, Age("minAge", minAge));
        }

        if (query.MinEpss is { } minEpss)
        {
            filter.Likelier(">=", Probability("minEpss", minEpss));
        }

        foreach (var (name, value) in raw)
        {
            if (name.StartsWith("age>", StringComparison.OrdinalIgnoreCase))
            {
                // The mission writes age>30 as it stands: '=' splits it differently for > and >=.
                var days = name.Length > 4 ? name[4..].TrimStart('=') : value.ToString();
                filter.SeenBefore(now, Age("age>", days));
            }
            else if (name.StartsWith("epss>", StringComparison.OrdinalIgnoreCase))
            {
                var orEqual = name.Length == 5 || name[5] == '=';
                filter.Likelier(orEqual ? ">=" : ">", Probability("epss>", name.Length > 5 ? name[5..].TrimStart('=') : value.ToString()));
            }
            else if (!Known.Contains(name))
            {
                errors.Add(FieldError.Query(name, "is not a parameter of this list"));
            }
            else if (value.Count > 1 && !Lists.Contains(name))
            {
                errors.Add(FieldError.Query(name, "must be given once"));
            }
        }

        return errors.Count == 0
            ? (filter, null)
            : (null, new Refusal(ProblemCodes.Invalid.Code, "The filter is not valid.", errors));

        T? Bad<T>(string parameter, string reason)
        {
            errors.Add(FieldError.Query(parameter, reason));
            return default;
        }

        short[]? Chosen<T>(string parameter, string? given)
            where T : struct, Enum
        {
            if (given is null)
            {
                return null;
            }

            var names = given.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            var known = Enum.GetValues<T>().ToDictionary(KebabCase, value => Convert.ToInt16(value, CultureInfo.InvariantCulture), StringComparer.OrdinalIgnoreCase);
            if (names.Length == 0 || !names.All(known.ContainsKey))
            {
                Bad<int>(parameter, $"must be one or more of {string.Join(", ", known.Keys)}");
                return null;
            }

            return [.. names.Select(name => known[name]).Distinct()];
        }

        bool? Flag(string parameter, string? given) => given?.ToLowerInvariant() switch
        {
            null => null,
            "true" => true,
            "false" => false,
            _ => Bad<bool?>(parameter, "must be true or false"),
        };

        float Probability(string parameter, string text) =>
            float.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var probability) && probability is >= 0 and <= 1
                ? probability
                : Bad<float>(parameter, "must be a probability from 0 to 1, as in 0.5");

        TimeSpan Age(string parameter, string text)
        {
            var (number, unit) = text.EndsWith('h') ? (text[..^1], TimeSpan.FromHours(1)) : (text.EndsWith('d') ? text[..^1] : text, TimeSpan.FromDays(1));
            return double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var count) && count <= MaxAge / unit
                ? count * unit
                : Bad<TimeSpan>(parameter, "must be a number of days, as in 30 or 30d, or of hours, as in 12h; a hundred years at most");
        }
    }

    internal static string KebabCase<T>(T value)
        where T : struct, Enum => System.Text.Json.JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());

    // One of the paths leads to an index that holds its matches in order, the one that tends to have fewest; the others are left to filter.
    private void Equal(int rank, string column, string? value)
    {
        if (value is not null)
        {
            var equals = $"{column} = {Add(new NpgsqlParameter<string> { TypedValue = Stored(value) })}";
            _paths.Add((rank, $"f.{equals}"));
            _counted.Add($"c.{equals}");
        }
    }

    private void Kinds(short[]? kinds)
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
            _paths.Add((5, $"f.{among}"));
        }
        else
        {
            _rest.Add($"f.{among}");
        }
    }

    private void Component(string? value)
    {
        if (value is null)
        {
            return;
        }

        _countable = false;
        var stored = Add(new NpgsqlParameter<string> { TypedValue = Stored(value) });
        if (value.StartsWith("pkg:", StringComparison.OrdinalIgnoreCase))
        {
            _rest.Add($"f.component_key = {stored}");
        }
        else
        {
            _paths.Add((1, $"f.component = {stored}"));
        }
    }

    private void Cve(string? id)
    {
        if (id is null)
        {
            return;
        }

        Identifier = Stored(id);
        _identifiers = new NpgsqlParameter { Value = new[] { Identifier }, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text };
        var ids = Add(_identifiers);
        Mix($"f.identifiers && {ids}");
        _gathered.Add($"{Arrays} @> array[$1] and {Arrays} && {ids}");
    }

    private void Environment(string? environment)
    {
        if (environment is not null)
        {
            var value = Add(new NpgsqlParameter<string> { TypedValue = Stored(environment) });
            Mix($"f.environments @> array[{value}]");
            _gathered.Add($"{Arrays} @> array[$1, {value}]");
        }
    }

    private void Kev(bool? kev)
    {
        if (kev is { } known)
        {
            _counted.Add(known ? "c.kev" : "not c.kev");
            if (known)
            {
                _paths.Add((3, KnownExploited));
            }
            else
            {
                _rest.Add("not f.kev");
            }
        }
    }

    // finding_by_kev says it without a look at the finding, finding_by_epss begins there.
    private void Likelier(string comparison, float probability)
    {
        _countable = false;
        var likelier = $"f.epss {comparison} {Add(new NpgsqlParameter<float> { TypedValue = probability })}";
        (Sort == FindingSort.Epss || Path.Contains(KnownExploited) ? _lane : _rest).Add(likelier);
    }

    private void Suppressed(bool? suppressed, short[]? kinds)
    {
        if (suppressed is { } set)
        {
            _rest.Add(set ? "f.suppression is not null" : "f.suppression is null");
            _counted.Add(set ? "c.suppression <> 0" : "c.suppression = 0");
        }

        if (kinds is not null)
        {
            _counted.Add($"c.suppression in ({List(kinds)})");
            _rest.Add($"f.suppression in ({List(kinds)})");
        }
    }

    private void Sla(short[]? states)
    {
        if (states is null)
        {
            return;
        }

        _rest.Add($"({string.Join(" or ", states.Select(state => Standing((SlaState)state)))})");
        _counted.Add($"c.sla in ({List(states)})");
        if (!states.Contains((short)SlaState.None))
        {
            var open = Array.Exists(states, state => (SlaState)state is not (SlaState.Met or SlaState.Missed));
            var closed = Array.Exists(states, state => (SlaState)state is SlaState.Met or SlaState.Missed);
            Statuses = [.. Statuses.Intersect((short[])[.. open ? Live : [], .. closed ? Closed : []])];
        }
    }

    private static string Standing(SlaState state) => state switch
    {
        SlaState.None => "f.sla_policy is null",
        SlaState.Running => $"{Running} and f.sla_paused_at is null and f.sla_breached_at is null and f.sla_warned_at is null",
        SlaState.Warned => $"{Running} and f.sla_paused_at is null and f.sla_breached_at is null and f.sla_warned_at is not null",
        SlaState.Breached => $"{Running} and f.sla_paused_at is null and f.sla_breached_at is not null",
        SlaState.Paused => $"{Running} and f.sla_paused_at is not null",
        SlaState.Met => "f.sla_policy is not null and f.status in (3, 4) and f.sla_breached_at is null",
        SlaState.Missed => "f.sla_policy is not null and f.status in (3, 4) and f.sla_breached_at is not null",
        _ => throw new ArgumentOutOfRangeException(nameof(state)),
    };

    private const string Running = "f.sla_policy is not null and f.status in (1, 2)";

    private void Assignee(string? assignee)
    {
        if (assignee is not null)
        {
            Mix($"f.assignee = {Add(new NpgsqlParameter<string> { TypedValue = Stored(assignee) })}");
        }
    }

    private void Mixed(string column, short[]? values)
    {
        if (values is not null)
        {
            Mix($"f.{column} in ({List(values)})");
        }
    }

    // Age is part of every order but that by EPSS.
    private void SeenBefore(DateTimeOffset now, TimeSpan age)
    {
        _countable = false;
        (Sort == FindingSort.Epss ? _rest : _lane).Add($"f.first_seen <= {Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = (now - age).ToUniversalTime() })}");
    }

    private void Text(string? q)
    {
        var words = (q ?? "").Split([.. (q ?? "").Where(c => !char.IsLetterOrDigit(c)).Distinct()], StringSplitOptions.RemoveEmptyEntries);
        if (words.Length > 0)
        {
            var text = string.Join(" & ", words.Select((word, i) => i == words.Length - 1 ? $"{word}:*" : word));
            var query = $"to_tsquery('simple', {Add(new NpgsqlParameter<string> { TypedValue = text })})";
            var tenant = Add(new NpgsqlParameter<string> { TypedValue = $"'{Tenant.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("'", "''", StringComparison.Ordinal)}'" });
            Mix($"f.words @@ {query}");
            _gathered.Add($"(array_to_tsvector(array[f.tenant]) || f.words) @@ ({tenant}::tsquery && {query})");
        }
    }

    private const string KnownExploited = "f.kev";

    private const string Arrays = "(array_prepend(f.tenant, f.identifiers) || f.environments)";

    private void Mix(string condition)
    {
        _rest.Add(condition);
        _countable = false;
    }

    private static string Stored(string value) => value.Replace("\0", "\uFFFD", StringComparison.Ordinal);

    private static string And(IEnumerable<string> conditions) => string.Join(" and ", conditions);

    private static string List(IReadOnlyCollection<short> values) =>
        values.Count == 0 ? "null" : string.Join(", ", values.Select(value => value.ToString(CultureInfo.InvariantCulture)));
}

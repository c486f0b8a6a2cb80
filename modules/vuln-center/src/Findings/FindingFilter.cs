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
    [property: FromQuery(Name = "component"), Description("Exact name of the component.")] string? Component,
    [property: FromQuery(Name = "cve"), Description("An advisory id: CVE, GHSA or any other.")] string? Cve,
    [property: FromQuery(Name = "env"), Description("An affected environment.")] string? Env,
    [property: FromQuery(Name = "q"), Description("Words in title, rule or component; the last one may be a beginning.")] string? Q,
    [property: FromQuery(Name = "minAge"), Description("First seen at least this long ago: 30d, 12h. `age>30` (days, written as it stands here) does the same.")] string? MinAge,
    [property: FromQuery(Name = "sort"), Description("severity (default: worst first, then oldest), age (oldest first), newest.")] string? Sort,
    [property: FromQuery(Name = "facets"), Description("true: count the matches by severity, status, source, kind and service.")] bool? Facets);

internal enum FindingSort
{
    Severity,
    Age,
    Newest,
}

/// <summary>A validated filter: conditions over <c>vuln_center.finding f</c> with their parameters; $1 is the tenant.</summary>
internal sealed class FindingFilter
{
    private static readonly HashSet<string> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        "service", "severity", "status", "source", "kind", "component", "cve", "env", "q", "minAge", "sort", "facets", "limit", "cursor",
    };

    private static readonly HashSet<string> Lists = new(StringComparer.OrdinalIgnoreCase) { "severity", "status", "kind" };

    private const int MaxQueryLength = 500;

    private static readonly TimeSpan MaxAge = TimeSpan.FromDays(36_500);

    private readonly List<string> _conditions = ["f.tenant = $1"];
    private readonly List<NpgsqlParameter> _parameters = [];

    private FindingFilter(string tenant, FindingSort sort)
    {
        Sort = sort;
        Add(new NpgsqlParameter<string> { TypedValue = tenant });
    }

    public FindingSort Sort { get; }

    public string Where => string.Join(" and ", _conditions);

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

    public void And(string condition) => _conditions.Add(condition);

    public static (FindingFilter? Filter, Refusal? Refusal) Parse(string tenant, FindingQuery query, IQueryCollection raw, DateTimeOffset now)
    {
        List<FieldError> errors = [];
        var sort = query.Sort?.ToLowerInvariant() switch
        {
            null or "severity" or "-severity" => FindingSort.Severity,
            "age" or "-age" => FindingSort.Age,
            "newest" => FindingSort.Newest,
            _ => Bad<FindingSort>("sort", "must be severity, age or newest"),
        };
        var filter = new FindingFilter(tenant, sort);
        filter.Equal("f.service", query.Service);
        filter.AnyOf("f.severity", Names<Severity>("severity", query.Severity));
        filter.AnyOf("f.status", Names<FindingStatus>("status", query.Status));
        filter.AnyOf("f.kind", Names<FindingKind>("kind", query.Kind));
        filter.Equal("f.source", query.Source);
        filter.Equal("f.component", query.Component);
        filter.Holds("f.identifiers", query.Cve?.Trim().ToUpperInvariant());
        filter.Holds("f.environments", query.Env);
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

        foreach (var (name, value) in raw)
        {
            if (name.StartsWith("age>", StringComparison.OrdinalIgnoreCase))
            {
                // The mission writes age>30 as it stands: '=' splits it differently for > and >=.
                var days = name.Length > 4 ? name[4..].TrimStart('=') : value.ToString();
                filter.SeenBefore(now, Age("age>", days));
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

        short[] Names<T>(string parameter, string? given)
            where T : struct, Enum
        {
            if (given is null)
            {
                return [];
            }

            var names = given.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            var known = Enum.GetValues<T>().ToDictionary(KebabCase, value => Convert.ToInt16(value, CultureInfo.InvariantCulture), StringComparer.OrdinalIgnoreCase);
            if (names.Length == 0 || !names.All(known.ContainsKey))
            {
                Bad<int>(parameter, $"must be one or more of {string.Join(", ", known.Keys)}");
                return [];
            }

            return [.. names.Select(name => known[name])];
        }

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

    private void Equal(string column, string? value)
    {
        if (value is not null)
        {
            And($"{column} = {Add(new NpgsqlParameter<string> { TypedValue = value.Replace("\0", "\uFFFD", StringComparison.Ordinal) })}");
        }
    }

    private void AnyOf(string column, short[] values)
    {
        if (values.Length == 1)
        {
            And($"{column} = {Add(new NpgsqlParameter<short> { TypedValue = values[0] })}");
        }
        else if (values.Length > 1)
        {
            And($"{column} = any ({Add(new NpgsqlParameter<short[]> { TypedValue = values })})");
        }
    }

    private void Holds(string column, string? value)
    {
        if (value is not null)
        {
            And($"{column} @> {Add(new NpgsqlParameter<string[]> { TypedValue = [value.Replace("\0", "\uFFFD", StringComparison.Ordinal)], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text })}");
        }
    }

    private void SeenBefore(DateTimeOffset now, TimeSpan age) =>
        And($"f.first_seen <= {Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = (now - age).ToUniversalTime() })}");

    private void Text(string? q)
    {
        var words = (q ?? "").Split([.. (q ?? "").Where(c => !char.IsLetterOrDigit(c)).Distinct()], StringSplitOptions.RemoveEmptyEntries);
        if (words.Length > 0)
        {
            var text = string.Join(" & ", words.Select((word, i) => i == words.Length - 1 ? $"{word}:*" : word));
            And($"f.words @@ to_tsquery('simple', {Add(new NpgsqlParameter<string> { TypedValue = text })})");
        }
    }
}

using System.ComponentModel;
using System.Globalization;
using Microsoft.AspNetCore.Mvc;
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
    [property: FromQuery(Name = "q"), Description("Words in title, rule or component, all of them; the last one may be a beginning of three letters or more.")] string? Q,
    [property: FromQuery(Name = "minAge"), Description("First seen at least this long ago: 30d, 12h. `age>30` (days, written as it stands here) does the same.")] string? MinAge,
    [property: FromQuery(Name = "sort"), Description("severity (default: worst first, then oldest), age (oldest first), newest, epss (likeliest first, those without a score last).")] string? Sort,
    [property: FromQuery(Name = "facets"), Description("true: count the matches by severity, status, source, kind and service.")] bool? Facets)
{
    private static readonly HashSet<string> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        "service", "severity", "status", "source", "kind", "component", "cve", "env", "kev", "minEpss", "ssvc", "suppressed", "suppression", "sla", "assignee",
        "q", "minAge", "sort", "facets", "limit", "cursor",
    };

    private static readonly HashSet<string> Lists = new(StringComparer.OrdinalIgnoreCase) { "severity", "status", "kind", "ssvc", "suppression", "sla" };

    private const int MaxQueryLength = 500;

    private static readonly TimeSpan MaxAge = TimeSpan.FromDays(36_500);

    /// <summary>The filter that the parameters ask for, or each that cannot be read with the reason.</summary>
    public (FindingFilter? Filter, Refusal? Refusal) Read(string tenant, IQueryCollection raw, DateTimeOffset now)
    {
        List<FieldError> errors = [];
        var sort = Sort?.ToLowerInvariant() switch
        {
            null or "severity" or "-severity" => FindingSort.Severity,
            "age" or "-age" => FindingSort.Age,
            "newest" => FindingSort.Newest,
            "epss" or "-epss" => FindingSort.Epss,
            _ => Bad<FindingSort>("sort", "must be severity, age, newest or epss"),
        };
        var filter = new FindingFilter(tenant, sort);
        filter.Equal(2, "service", Service);
        filter.Equal(4, "source", Source);
        filter.Severities = Chosen<Severity>("severity", Severity)?.OrderDescending().ToArray() ?? filter.Severities;
        filter.Statuses = Chosen<FindingStatus>("status", Status)?.Order().ToArray() ?? filter.Statuses;
        filter.Kinds(Chosen<FindingKind>("kind", Kind));
        filter.Component(Component);
        filter.Cve(Cve?.Trim().ToUpperInvariant());
        filter.Environment(Env);
        filter.Kev(Flag("kev", Kev));
        filter.Mixed("ssvc", Chosen<SsvcDecision>("ssvc", Ssvc));
        filter.Suppressed(Flag("suppressed", Suppressed), Chosen<SuppressionKind>("suppression", Suppression));
        filter.Sla(Chosen<SlaState>("sla", Sla));
        filter.Assignee(Assignee);
        if (Q is { Length: > MaxQueryLength })
        {
            Bad<int>("q", $"must be at most {MaxQueryLength} characters");
        }
        else
        {
            filter.Text(Q);
        }

        if (MinAge is { } minAge)
        {
            filter.SeenBefore(now, Age("minAge", minAge));
        }

        if (MinEpss is { } minEpss)
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
            var known = Enum.GetValues<T>().ToDictionary(FindingFilter.KebabCase, value => Convert.ToInt16(value, CultureInfo.InvariantCulture), StringComparer.OrdinalIgnoreCase);
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
            return double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var count) && count >= 0 && count <= MaxAge / unit
                ? count * unit
                : Bad<TimeSpan>(parameter, "must be a number of days, as in 30 or 30d, or of hours, as in 12h; a hundred years at most");
        }
    }
}

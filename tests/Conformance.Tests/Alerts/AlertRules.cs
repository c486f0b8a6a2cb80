using System.Globalization;

namespace Wave16.Conformance.Tests.Alerts;

/// <summary>A rule of Prometheus: one that records a series, or one that alerts.</summary>
internal abstract record Rule(IReadOnlyList<string> Expression)
{
    public sealed record Recorded(string Series, string Objective, IReadOnlyList<string> Expression) : Rule(Expression);

    public sealed record Alerting(string Name, Urgency Severity, string? For, string Summary, string Runbook, IReadOnlyList<string> Expression) : Rule(Expression);
}

/// <summary>
/// The rules that watch a module's service levels. What counts requests alerts by how fast it spends its error budget, over a long window
/// that tells enough to act on and a short one that ends the alert soon after the trouble: Google's Site Reliability Workbook, chapter 5,
/// "Multiwindow, Multi-Burn-Rate Alerts", with its numbers for 30 days. A gauge alerts when it is over its threshold for a while.
/// </summary>
internal static class AlertRules
{
    // Burn rate: 1 spends the budget in exactly the objective's window. 14.4 for an hour is 2 % of it, 6 for six hours 5 %, 1 for three days 10 %.
    private static readonly Burn[] Fast = [new("1h", "5m", 14.4m), new("6h", "30m", 6m)];
    private static readonly Burn[] Slow = [new("3d", "6h", 1m)];

    public static IReadOnlyList<Rule.Recorded> Recorded(ServiceLevels levels) =>
    [
        .. from objective in levels.Objectives
           where objective.Indicator is Indicator.Requests or Indicator.Latency
           from window in (string[])["5m", "30m", "1h", "6h", "3d"]
           select new Rule.Recorded($"slo:sli_error:ratio_rate{window}", objective.Name, Ratio(levels.Service, objective.Indicator, window)),
        .. from alert in levels.Alerts
           where alert.AtLeast is not null
           from window in (string[])["1h", "6h", "3d"]
           select new Rule.Recorded($"slo:sli_error:increase{window}", alert.Objective.Name, [Bad(levels.Service, alert.Objective.Indicator, "increase", window)]),
    ];

    public static IReadOnlyList<Rule.Alerting> Alerting(ServiceLevels levels) => [.. levels.Alerts.SelectMany(alert => Alerting(levels, alert))];

    private static IEnumerable<Rule.Alerting> Alerting(ServiceLevels levels, Alert alert)
    {
        var runbook = $"modules/{levels.Service}/docs/{alert.Runbook}";
        Rule.Alerting One(IReadOnlyList<string> expression) => new(alert.Name, alert.Severity, alert.For, alert.Summary, runbook, expression);

        if (alert.Silence)
        {
            // Every process has it, whether it is asked for anything or not.
            yield return One([$"absent(dotnet_process_memory_working_set_bytes{{job=\"{levels.Service}\"}})"]);
            yield break;
        }

        switch (alert.Objective.Indicator)
        {
            case Indicator.Age age:
                yield return One([$"max({Name(age.Metric)}_seconds{{{Labels($"module=\"{levels.Service}\"", age.Filter)}}}) > {Number(age.Threshold)}"]);
                break;
            case Indicator.Share share:
                yield return One(
                [
                    $"max({Name(share.Metric)}{{job=\"{levels.Service}\", {share.Bad}}})",
                    $"  / clamp_min(sum(max by ({share.By}) ({Name(share.Total)}{{job=\"{levels.Service}\"}})), 1) > {Number(alert.Objective.Budget)}",
                ]);
                break;
            default:
                yield return One(Burning(levels, alert, alert.Severity is Urgency.Page ? Fast : [.. Fast, .. Slow]));
                if (alert.Severity is Urgency.Page)
                {
                    yield return new Rule.Alerting(
                        $"{alert.Name}Budget", Urgency.Ticket, For: null, $"{alert.Summary}; slowly, and for days", runbook, Burning(levels, alert, Slow));
                }

                break;
        }
    }

    private static List<string> Burning(ServiceLevels levels, Alert alert, IReadOnlyList<Burn> burns)
    {
        var of = $"{{service=\"{levels.Service}\", objective=\"{alert.Objective.Name}\"}}";
        var lines = new List<string>();
        foreach (var burn in burns)
        {
            var limit = Number(burn.Rate * alert.Objective.Budget);
            lines.AddRange(
            [
                lines.Count == 0 ? "(" : "or (",
                $"  slo:sli_error:ratio_rate{burn.Long}{of} > {limit}",
                $"  and slo:sli_error:ratio_rate{burn.Short}{of} > {limit}",
                .. alert.AtLeast is { } least ? (string[])[$"  and slo:sli_error:increase{burn.Long}{of} >= {least}"] : [],
                ")",
            ]);
        }

        return lines;
    }

    private static List<string> Ratio(string service, Indicator indicator, string window) =>
        [Bad(service, indicator, "rate", window), $"  / {All(service, indicator, "rate", window)}"];

    /// <summary>No series where nothing was ever bad, and so no alert. A sum of what is good would be missing when everything is bad.</summary>
    private static string Bad(string service, Indicator indicator, string function, string window) => indicator switch
    {
        Indicator.Requests requests => Sum(function, $"{Name(requests.Metric)}_seconds_count", Labels($"job=\"{service}\"", requests.Bad), window),
        Indicator.Latency latency =>
            $"({All(service, latency, function, window)} - {Sum(function, $"{Name(latency.Metric)}_seconds_bucket", Labels($"job=\"{service}\"", latency.Filter, $"le=\"{Number(latency.Bucket)}\""), window)})",
        _ => throw new ArgumentOutOfRangeException(nameof(indicator)),
    };

    private static string All(string service, Indicator indicator, string function, string window) =>
        Sum(function, $"{Name(indicator.Metric)}_seconds_count", Labels($"job=\"{service}\"", (indicator as Indicator.Latency)?.Filter), window);

    private static string Sum(string function, string series, string labels, string window) => $"sum({function}({series}{{{labels}}}[{window}]))";

    private static string Labels(params ReadOnlySpan<string?> matchers)
    {
        var said = new List<string>();
        foreach (var matcher in matchers)
        {
            if (matcher is not null)
            {
                said.Add(matcher);
            }
        }

        return string.Join(", ", said);
    }

    /// <summary>As Prometheus shows it, before the suffix of its unit.</summary>
    private static string Name(string metric) => metric.Replace('.', '_');

    private static string Number(IFormattable value) => value.ToString(value is decimal ? "0.#########" : null, CultureInfo.InvariantCulture);

    private sealed record Burn(string Long, string Short, decimal Rate);
}

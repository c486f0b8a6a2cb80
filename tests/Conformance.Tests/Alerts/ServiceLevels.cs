using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Wave16.Conformance.Tests.Alerts;

/// <summary>
/// How an objective is measured. Metrics are named as the code names them (<c>http.server.request.duration</c>); conditions are label
/// matchers of PromQL (<c>destination = "safety-console"</c>).
/// </summary>
internal abstract record Indicator(string Metric)
{
    /// <summary>Requests among all requests; bad is what has the label.</summary>
    public sealed record Requests(string Metric, string Bad) : Indicator(Metric);

    /// <summary>Requests that took longer than a bucket of the histogram, which is at most the objective's own threshold. Seconds.</summary>
    public sealed record Latency(string Metric, double Threshold, double Bucket, string? Filter) : Indicator(Metric);

    /// <summary>A gauge of seconds that should stay below the threshold.</summary>
    public sealed record Age(string Metric, double Threshold, string? Filter) : Indicator(Metric);

    /// <summary>Things in a bad state among all open things, both gauges that one replica reports; the second is summed over <paramref name="By"/>.</summary>
    public sealed record Share(string Metric, string Bad, string Total, string By) : Indicator(Metric);
}

/// <param name="Target">Per cent of what is good.</param>
internal sealed record Objective(string Name, double Target, Indicator Indicator)
{
    /// <summary>The share that may be bad: 0.001 for 99.9 %.</summary>
    public decimal Budget => (100 - (decimal)Target) / 100;
}

internal enum Urgency
{
    /// <summary>Somebody is woken.</summary>
    Page,

    /// <summary>Somebody looks on the next working day.</summary>
    Ticket,
}

/// <param name="Silence">Not the objective is missed, but nothing is measured at all.</param>
/// <param name="For">How long, as Prometheus writes it (<c>5m</c>); null where the rule's own windows say it.</param>
/// <param name="AtLeast">Bad requests in the longer window from which on a rate means something.</param>
internal sealed record Alert(string Name, Objective Objective, bool Silence, Urgency Severity, string? For, int? AtLeast, string Summary, string Runbook);

/// <summary>A module's <c>docs/slo.yaml</c>.</summary>
/// <param name="Window">What the objectives are counted over, as Prometheus writes it (<c>30d</c>).</param>
internal sealed partial record ServiceLevels(string Service, string Window, IReadOnlyList<Objective> Objectives, IReadOnlyList<Alert> Alerts)
{
    public static ServiceLevels Read(string module) => Parse(YamlFile.Read(Repository.InModule(module, "docs", "slo.yaml")));

    /// <exception cref="FormatException">What it says is incomplete or contradicts itself.</exception>
    public static ServiceLevels Parse(JsonElement yaml)
    {
        var objectives = yaml.GetProperty("objectives").EnumerateArray().Select(ObjectiveOf).ToList();
        var alerts = yaml.GetProperty("alerts").EnumerateArray().Select(alert => AlertOf(alert, objectives)).ToList();
        if (objectives.FirstOrDefault(objective => alerts.TrueForAll(alert => alert.Objective != objective)) is { } unwatched)
        {
            throw new FormatException($"{unwatched.Name} has no alert.");
        }

        return new ServiceLevels(Text(yaml, "service"), Text(yaml, "window"), objectives, alerts);
    }

    private static Objective ObjectiveOf(JsonElement yaml)
    {
        var (name, indicator) = (Text(yaml, "name"), yaml.GetProperty("indicator"));
        var metric = Text(indicator, "metric");
        return new Objective(name, Number(yaml, "target"), Text(indicator, "kind") switch
        {
            "requests" => new Indicator.Requests(metric, Matcher(indicator, "bad")),
            "latency" when Number(indicator, "bucket_seconds") <= Number(indicator, "threshold_seconds") =>
                new Indicator.Latency(metric, Number(indicator, "threshold_seconds"), Number(indicator, "bucket_seconds"), Filter(indicator)),
            "latency" => throw new FormatException($"{name}: the bucket is above the threshold, and would count slow requests as fast."),
            "age" => new Indicator.Age(metric, Number(indicator, "threshold_seconds"), Filter(indicator)),
            "share" => new Indicator.Share(metric, Matcher(indicator, "bad"), Text(indicator.GetProperty("total"), "metric"), Text(indicator.GetProperty("total"), "by")),
            var other => throw new FormatException($"{name}: {other} is no kind of indicator."),
        });
    }

    private static Alert AlertOf(JsonElement yaml, List<Objective> objectives)
    {
        var (name, watched) = (Text(yaml, "name"), Text(yaml, "objective"));
        var objective = objectives.Find(objective => objective.Name == watched) ?? throw new FormatException($"{name}: there is no objective {watched}.");
        var silence = yaml.TryGetProperty("kind", out var kind) && (kind.GetString() == "silence" ? true : throw new FormatException($"{name}: {kind} is no kind of alert."));
        var burns = !silence && objective.Indicator is Indicator.Requests or Indicator.Latency;
        var pending = yaml.TryGetProperty("for", out var value) ? value.GetString() : null;
        var atLeast = yaml.TryGetProperty("at_least", out var least) ? least.GetInt32() : (int?)null;
        if (burns == pending is not null)
        {
            throw new FormatException(burns ? $"{name}: the windows of a burn rate say for how long." : $"{name} does not say for how long.");
        }

        if (!burns && atLeast is not null)
        {
            throw new FormatException($"{name} counts no requests.");
        }

        return new Alert(name, objective, silence, Enum.Parse<Urgency>(Text(yaml, "severity"), ignoreCase: true), pending, atLeast, Text(yaml, "summary"), Text(yaml, "runbook"));
    }

    private static string? Filter(JsonElement indicator) => indicator.TryGetProperty("filter", out _) ? Matcher(indicator, "filter") : null;

    private static string Matcher(JsonElement yaml, string member) => MatcherForm().Match(Text(yaml, member)) is { Success: true } matcher
        ? $"{matcher.Groups["label"]}{matcher.Groups["operator"]}{matcher.Groups["value"]}"
        : throw new FormatException($"{Text(yaml, member)} is no label matcher.");

    private static string Text(JsonElement yaml, string member) => yaml.GetProperty(member).ToString();

    private static double Number(JsonElement yaml, string member) => double.Parse(Text(yaml, member), CultureInfo.InvariantCulture);

    [GeneratedRegex("""^(?<label>[a-z_]+) *(?<operator>=~|!~|!=|=) *(?<value>"[^"]*")$""", RegexOptions.ExplicitCapture)]
    private static partial Regex MatcherForm();
}

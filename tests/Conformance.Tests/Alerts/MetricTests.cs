using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Wave16.ServiceDefaults;
using Wave16.Standalone;
using Wave16.Testing;

namespace Wave16.Conformance.Tests.Alerts;

/// <summary>What alerts, dashboards and the workbook ask for is what the modules report.</summary>
public sealed partial class MetricTests(Hosts hosts)
{
    public static TheoryData<string> Modules => [.. StandaloneHost.Modules.Select(module => module.Name)];

    public static TheoryData<string> Boards =>
    [
        .. Directory.EnumerateFiles(Path.Combine(Repository.Root, "infra", "dashboards"), "*.json")
            .Concat(Directory.EnumerateFiles(Path.Combine(Repository.Root, "infra", "azure", "workbooks"), "*.json"))
            .Select(path => Path.GetRelativePath(Repository.Root, path).Replace('\\', '/')).Order(StringComparer.Ordinal),
    ];

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_series_an_alert_selects_is_scraped_from_the_module_with_its_labels(string module)
    {
        var levels = ServiceLevels.Read(module);
        var (scraped, _) = await ScrapeAsync(module);

        var selectors = AlertRules.Recorded(levels).Concat<Rule>(AlertRules.Alerting(levels))
            .SelectMany(rule => rule.Expression).SelectMany(line => Selector().Matches(line)).Select(match => match.Value)
            .Where(selector => !selector.StartsWith("slo:", StringComparison.Ordinal)).Distinct(StringComparer.Ordinal).ToList();

        Assert.NotEmpty(selectors);
        Assert.DoesNotContain(selectors, selector => !IsScraped(scraped, selector));
        Assert.False(IsScraped(scraped, """http_server_request_duration_seconds_count{service_name="planted"}"""));
        Assert.False(IsScraped(scraped, """http_server_request_duration_seconds_bucket{le="0.3"}"""));
        Assert.False(IsScraped(scraped, """no_such_metric{job="planted"}"""));
    }

    [Theory]
    [MemberData(nameof(Boards))]
    public async Task Every_metric_of_a_dashboard_or_workbook_is_reported_or_recorded(string board)
    {
        var expressions = Expressions(JsonSerializer.Deserialize<JsonElement>(await File.ReadAllTextAsync(Path.Combine(Repository.Root, board), TestContext.Current.CancellationToken))).ToList();
        var known = await KnownAsync();

        Assert.NotEmpty(expressions);
        Assert.All(expressions, expression => Assert.NotEmpty(PromQl.Series(expression)));
        Assert.Empty(expressions.SelectMany(PromQl.Series).Except(known, StringComparer.Ordinal));
    }

    [Fact]
    public async Task What_our_own_instruments_are_called_in_prometheus_is_what_a_scrape_calls_them()
    {
        var (text, predicted) = await ScrapeAsync(StandaloneHost.Modules[0].Name);
        var scraped = text.Split('\n')
            .Where(line => line.Contains("otel_scope_name=\"Wave16.", StringComparison.Ordinal)).Select(line => line[..line.IndexOf('{', StringComparison.Ordinal)])
            .ToHashSet(StringComparer.Ordinal);

        Assert.True(scraped.Count >= 10, string.Join(", ", scraped));
        Assert.Empty(scraped.Except(predicted, StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("""sum by (job) (rate(a_total{job="x", b=~"c{2}"}[5m])) / on (job) group_left (d) e > 0.5""", "a_total", "e")]
    [InlineData("""max(slo:sli:ratio_rate5m{s="by"}) and absent(up) or vector_of_mine offset 5m""", "slo:sli:ratio_rate5m", "up", "vector_of_mine")]
    [InlineData("label_values(outbox_lag_seconds, module)", "outbox_lag_seconds")]
    [InlineData("histogram_quantile(0.95, sum by (le) (rate(h_bucket[$__rate_interval])))", "h_bucket")]
    public void The_series_of_an_expression_are_told_from_its_functions_and_labels(string expression, params string[] series) =>
        Assert.Equal(series.Order(StringComparer.Ordinal), PromQl.Series(expression).Order(StringComparer.Ordinal));

    private async Task<HashSet<string>> KnownAsync()
    {
        var known = new HashSet<string>(StringComparer.Ordinal);
        foreach (var module in StandaloneHost.Modules.Select(module => module.Name))
        {
            var (scraped, predicted) = await ScrapeAsync(module);
            // Of our own also what has not happened yet: a dead letter, a fix.
            known.UnionWith(predicted);
            known.UnionWith(scraped.Split('\n').Where(line => line.Contains('{', StringComparison.Ordinal)).Select(line => line[..line.IndexOf('{', StringComparison.Ordinal)]));
            known.UnionWith(AlertRules.Recorded(ServiceLevels.Read(module)).Select(rule => rule.Series));
        }

        return known;
    }

    /// <summary>Everywhere a board keeps PromQL: panels' targets, variables, and the queries of a workbook, which are JSON in JSON.</summary>
    private static IEnumerable<string> Expressions(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Array => element.EnumerateArray().SelectMany(Expressions),
        JsonValueKind.Object => element.EnumerateObject().SelectMany(member => member switch
        {
            { Name: "expr" or "queryText" } => [member.Value.GetString() ?? ""],
            { Name: "query", Value.ValueKind: JsonValueKind.String } when member.Value.GetString() is { } text =>
                text.StartsWith('{') ? Expressions(JsonSerializer.Deserialize<JsonElement>(text)) : text.StartsWith("label_values", StringComparison.Ordinal) ? [text] : [],
            _ => Expressions(member.Value),
        }),
        _ => [],
    };

    /// <summary>One sample of the metric has every label of the selector, and an equal value where it asks for one. The scraper itself adds <c>job</c>.</summary>
    private static bool IsScraped(string scraped, string selector)
    {
        var name = selector[..selector.IndexOf('{', StringComparison.Ordinal)];
        var labels = Label().Matches(selector).Where(label => label.Groups["name"].Value != "job").ToList();
        return scraped.Split('\n').Any(sample => sample.StartsWith(name + '{', StringComparison.Ordinal) && labels.TrueForAll(label =>
            sample.Contains(label.Groups["operator"].Value == "=" ? label.Value : label.Groups["name"].Value + "=\"", StringComparison.Ordinal)));
    }

    private async Task<(string Scraped, HashSet<string> Predicted)> ScrapeAsync(string module)
    {
        await using var running = await RunningModules.StartAsync(
            [Hosts.Find(module)],
            [
                KeyValuePair.Create<string, string?>($"ConnectionStrings:{module}-db", await hosts.DatabaseAsync()),
                KeyValuePair.Create<string, string?>("Metrics:Prometheus", "true"),
            ],
            TestContext.Current.CancellationToken);
        using var client = await running.ClientAsync("scraped", TestContext.Current.CancellationToken, [.. ModuleSample.Of(module).Roles, Access.Service]);
        // Seen by the metrics only once there was one.
        using var anonymous = running.Anonymous();
        using var refused = await anonymous.GetAsync(new Uri(ModuleSample.Of(module).List, UriKind.Relative), TestContext.Current.CancellationToken);
        using var read = await client.GetAsync(new Uri(ModuleSample.Of(module).List, UriKind.Relative), TestContext.Current.CancellationToken);
        read.EnsureSuccessStatusCode();
        return (await client.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken), [.. Predicted()]);
    }

    /// <summary>
    /// Names of the series of our meters' instruments after the Prometheus exporter's rules (OpenTelemetry specification, compatibility/prometheus_and_openmetrics.md):
    /// units as words, <c>_total</c> for counters, the three series of a histogram.
    /// </summary>
    private static IEnumerable<string> Predicted()
    {
        // Other hosts may publish at the same time.
        var instruments = new ConcurrentQueue<Instrument>();
        using var listener = new MeterListener { InstrumentPublished = (instrument, _) => instruments.Enqueue(instrument) };
        listener.Start();
        foreach (var instrument in instruments.Where(instrument => instrument.Meter.Name.StartsWith("Wave16.", StringComparison.Ordinal)))
        {
            var name = instrument.Name.Replace('.', '_') + (instrument.Unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" });
            var kind = instrument.GetType().Name;
            foreach (var suffix in kind.StartsWith("Histogram", StringComparison.Ordinal) ? ["_bucket", "_sum", "_count"] : kind.Contains("Counter", StringComparison.Ordinal) ? (string[])["_total"] : [""])
            {
                yield return name + suffix;
            }
        }
    }

    [GeneratedRegex(@"[a-z_:0-9]+\{[^}]*\}", RegexOptions.ExplicitCapture)]
    private static partial Regex Selector();

    [GeneratedRegex(@"(?<name>[a-z_]+)(?<operator>=~|!~|!=|=)""[^""]*""", RegexOptions.ExplicitCapture)]
    private static partial Regex Label();
}

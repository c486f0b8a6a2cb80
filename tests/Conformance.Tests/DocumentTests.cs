using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Wave16.ServiceDefaults;
using Wave16.Standalone;
using Wave16.Testing;
using YamlDotNet.Serialization;

namespace Wave16.Conformance.Tests;

/// <summary>A module's documents are all there, and what they name exists.</summary>
public sealed partial class DocumentTests(Hosts hosts)
{
    private static readonly string[] Expected =
    [
        "README.md", "docs-hub.yaml", "openapi.json",
        "docs/runbook.md", "docs/diagram.mmd", "docs/onboarding.md", "docs/threats.md", "docs/slo.yaml", "docs/schema.txt",
    ];

    public static TheoryData<string> Modules => [.. StandaloneHost.Modules.Select(module => module.Name)];

    [Theory]
    [MemberData(nameof(Modules))]
    public void Every_document_is_there_and_says_something(string module) => Assert.Empty(
        from document in Expected
        let file = new FileInfo(Repository.InModule(module, document))
        where !file.Exists || file.Length == 0
        select document);

    [Theory]
    [MemberData(nameof(Modules))]
    public void The_documentation_hub_lists_documents_that_exist_and_exactly_the_documented_operations(string module)
    {
        var hub = Yaml(Repository.InModule(module, "docs-hub.yaml"));
        Assert.Equal(module, Text(hub, "service"));
        Assert.DoesNotContain(
            hub.GetProperty("docs").EnumerateObject().Select(document => document.Value.GetString() ?? "").Append(Text(hub.GetProperty("spec"), "openapi")),
            path => !Path.Exists(Repository.InModule(module, path)));
        var document = JsonSerializer.Deserialize<JsonElement>(File.ReadAllText(Repository.InModule(module, "openapi.json")));
        Assert.Equal(
            OpenApiDocument.Operations(document).Select(operation => Text(operation.Definition, "operationId")).Order(StringComparer.Ordinal),
            hub.GetProperty("endpoints").EnumerateArray().Select(endpoint => Text(endpoint, "operation")).Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_service_level_is_measured_by_a_metric_the_module_has(string module)
    {
        await hosts.AloneAsync(module);
        var instruments = Instruments();
        var objectives = Yaml(Repository.InModule(module, "docs", "slo.yaml")).GetProperty("objectives").EnumerateArray().ToList();
        Assert.NotEmpty(objectives);
        Assert.All(objectives, objective => Assert.InRange(objective.GetProperty("target").GetDouble(), 50, 100));
        Assert.Empty(objectives.Select(objective => Text(objective.GetProperty("indicator"), "metric")).Except(instruments));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public void Every_service_level_has_an_alert_that_watches_it_and_leads_to_the_runbook(string module)
    {
        var levels = Yaml(Repository.InModule(module, "docs", "slo.yaml"));
        var rules = Yaml(Path.Combine(Repository.Root, "infra", "alerts", $"{module}.yaml"));
        Assert.Empty(AlertFaults(module, levels, rules, File.ReadAllText(Repository.InModule(module, "docs", "runbook.md"))));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task Every_series_an_alert_selects_is_scraped_from_the_module(string module)
    {
        var rules = Yaml(Path.Combine(Repository.Root, "infra", "alerts", $"{module}.yaml"));
        var scraped = await ScrapeAsync(module);

        var selectors = rules.GetProperty("groups").EnumerateArray().SelectMany(group => group.GetProperty("rules").EnumerateArray())
            .SelectMany(rule => Selector().Matches(Text(rule, "expr"))).ToList();

        Assert.NotEmpty(selectors);
        Assert.DoesNotContain(selectors, selector => !IsScraped(scraped, selector.Value));
        Assert.False(IsScraped(scraped, """http_server_request_duration_seconds_count{service_name="planted"}"""));
        Assert.False(IsScraped(scraped, """no_such_metric{job="planted"}"""));
    }

    /// <summary>One sample of the metric has every label of the selector, and an equal value where it asks for one. The scraper itself adds <c>job</c>.</summary>
    private static bool IsScraped(string scraped, string selector)
    {
        var name = selector[..selector.IndexOf('{', StringComparison.Ordinal)];
        var labels = Label().Matches(selector).Where(label => label.Groups["name"].Value != "job").ToList();
        return scraped.Split('\n').Any(sample => sample.StartsWith(name + '{', StringComparison.Ordinal) && labels.TrueForAll(label =>
            sample.Contains(label.Groups["operator"].Value == "=" ? label.Value : label.Groups["name"].Value + "=\"", StringComparison.Ordinal)));
    }

    private async Task<string> ScrapeAsync(string module)
    {
        await using var running = await RunningModules.StartAsync(
            [Hosts.Find(module)],
            [
                KeyValuePair.Create<string, string?>($"ConnectionStrings:{module}-db", await hosts.DatabaseAsync()),
                KeyValuePair.Create<string, string?>("Metrics:Prometheus", "true"),
            ],
            TestContext.Current.CancellationToken);
        using var client = await running.ClientAsync("scraped", TestContext.Current.CancellationToken, [.. ModuleSample.Of(module).Roles, Access.Service]);
        using var read = await client.GetAsync(new Uri(ModuleSample.Of(module).List, UriKind.Relative), TestContext.Current.CancellationToken);
        read.EnsureSuccessStatusCode();
        return await client.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken);
    }

    [Fact]
    public void A_level_without_an_alert_a_rule_that_watches_something_else_and_a_dead_runbook_link_are_found()
    {
        var levels = JsonSerializer.Deserialize<JsonElement>("""
            {"objectives":[{"name":"fast","indicator":{"metric":"a.duration"}},{"name":"forgotten","indicator":{"metric":"a.lag"}}],
             "alerts":[{"name":"Slow","objective":"fast","runbook":"runbook.md#slow"},{"name":"Missing","objective":"fast","runbook":"runbook.md#slow"}]}
            """);
        var rules = JsonSerializer.Deserialize<JsonElement>("""
            {"groups":[{"rules":[{"alert":"Slow","expr":"b_duration_seconds > 1","annotations":{"runbook":"modules/planted/docs/runbook.md#elsewhere"}},
                                 {"alert":"Orphan","expr":"up","annotations":{"runbook":"modules/planted/docs/runbook.md#slow"}}]}]}
            """);
        Assert.Equal(
            [
                "forgotten has no alert", "Slow does not watch a.duration", "Slow leads to modules/planted/docs/runbook.md#elsewhere", "Missing has no rule",
                "the runbook says nothing of Slow", "the runbook says nothing of Missing", "Orphan is of no service level",
            ],
            AlertFaults("planted", levels, rules, "## Errors\n"));
    }

    private static IEnumerable<string> AlertFaults(string module, JsonElement levels, JsonElement rules, string runbook)
    {
        var objectives = levels.GetProperty("objectives").EnumerateArray().ToDictionary(objective => Text(objective, "name"), objective => Text(objective.GetProperty("indicator"), "metric"));
        var alerts = levels.GetProperty("alerts").EnumerateArray().ToList();
        var byName = rules.GetProperty("groups").EnumerateArray().SelectMany(group => group.GetProperty("rules").EnumerateArray()).ToDictionary(rule => Text(rule, "alert"));
        var sections = Heading().Matches(runbook).Select(heading => Slug(heading.Groups["text"].Value)).ToHashSet(StringComparer.Ordinal);
        foreach (var name in objectives.Keys.Except(alerts.Select(alert => Text(alert, "objective"))))
        {
            yield return $"{name} has no alert";
        }

        foreach (var alert in alerts)
        {
            var (name, metric, target) = (Text(alert, "name"), objectives[Text(alert, "objective")], $"modules/{module}/docs/{Text(alert, "runbook")}");
            if (!byName.TryGetValue(name, out var rule))
            {
                yield return $"{name} has no rule";
                continue;
            }

            if (!Text(rule, "expr").Contains(metric.Replace('.', '_'), StringComparison.Ordinal))
            {
                yield return $"{name} does not watch {metric}";
            }

            if (Text(rule.GetProperty("annotations"), "runbook") is var led && led != target)
            {
                yield return $"{name} leads to {led}";
            }
        }

        foreach (var alert in alerts.Where(alert => !sections.Contains(Text(alert, "runbook").Split('#')[^1])))
        {
            yield return $"the runbook says nothing of {Text(alert, "name")}";
        }

        foreach (var name in byName.Keys.Except(alerts.Select(alert => Text(alert, "name"))))
        {
            yield return $"{name} is of no service level";
        }
    }

    private static HashSet<string> Instruments()
    {
        // Other hosts may publish at the same time.
        var names = new ConcurrentDictionary<string, bool>(StringComparer.Ordinal);
        using var listener = new MeterListener { InstrumentPublished = (instrument, _) => names.TryAdd(instrument.Name, true) };
        listener.Start();
        return [.. names.Keys];
    }

    private static JsonElement Yaml(string path)
    {
        var values = new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().Build().Deserialize(File.ReadAllText(path));
        return JsonSerializer.Deserialize<JsonElement>(new SerializerBuilder().JsonCompatible().Build().Serialize(values));
    }

    private static string Text(JsonElement element, string member) => element.GetProperty(member).GetString() ?? "";

    private static string Slug(string heading) => heading.Trim().ToLower(CultureInfo.InvariantCulture).Replace(' ', '-');

    [GeneratedRegex(@"[a-z_]+\{[^}]*\}", RegexOptions.ExplicitCapture)]
    private static partial Regex Selector();

    [GeneratedRegex(@"(?<name>[a-z_]+)(?<operator>=~|!~|!=|=)""[^""]*""", RegexOptions.ExplicitCapture)]
    private static partial Regex Label();

    [GeneratedRegex("^#+ (?<text>.+)$", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Heading();
}

using System.Text.Json;
using System.Text.RegularExpressions;
using Wave16.Standalone;

namespace Wave16.Conformance.Tests.Alerts;

/// <summary>The alert rules under <c>infra/</c> are the ones that the modules' service levels ask for.</summary>
public sealed partial class AlertRuleTests
{
    public static TheoryData<string> Modules => [.. StandaloneHost.Modules.Select(module => module.Name)];

    [Theory]
    [MemberData(nameof(Modules))]
    public void The_rules_of_prometheus_are_those_of_the_service_levels(string module) =>
        Repository.IsSnapshot(Path.Combine(Repository.Root, "infra", "alerts", $"{module}.yaml"), AlertFiles.Prometheus(ServiceLevels.Read(module)));

    [Theory]
    [MemberData(nameof(Modules))]
    public void The_rules_of_azure_monitor_are_those_of_the_service_levels(string module) =>
        Repository.IsSnapshot(Path.Combine(Repository.Root, "infra", "azure", "alerts", $"{module}.bicep"), AlertFiles.Bicep(ServiceLevels.Read(module)));

    [Fact]
    public void There_are_rules_of_no_other_service_and_azure_gets_those_of_each()
    {
        var modules = StandaloneHost.Modules.Select(module => module.Name).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(modules, Files("alerts", "*.yaml"));
        Assert.Equal(modules, Files(Path.Combine("azure", "alerts"), "*.bicep"));
        Repository.IsSnapshot(Path.Combine(Repository.Root, "infra", "azure", "alerts.bicep"), AlertFiles.Bicep(modules));
        Assert.Contains("'alerts.bicep'", File.ReadAllText(Path.Combine(Repository.Root, "infra", "azure", "main.bicep")), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public void Every_alert_leads_to_a_section_of_the_runbook_that_names_it(string module) =>
        Assert.Empty(Unexplained(ServiceLevels.Read(module), File.ReadAllText(Repository.InModule(module, "docs", "runbook.md"))));

    [Fact]
    public void An_alert_of_which_the_runbook_says_nothing_or_which_leads_elsewhere_is_found() => Assert.Equal(
        ["Silent", "Old"],
        Unexplained(
            Levels("""{"name":"Bad","objective":"fine","severity":"page","runbook":"runbook.md#errors","summary":"s"},{"name":"Silent","objective":"fine","kind":"silence","for":"5m","severity":"page","runbook":"runbook.md#gone","summary":"s"},{"name":"Old","objective":"late","severity":"page","for":"1m","runbook":"runbook.md#errors","summary":"s"}"""),
            "# Runbook\n\n## Errors\n\n`Bad`: errors.\n\n## Other\n\n`Old`: late.\n"));

    [Fact]
    public void A_page_asks_for_two_windows_of_a_fast_burn_and_its_ticket_for_days_of_a_slow_one()
    {
        var rules = AlertRules.Alerting(Levels("""{"name":"Bad","objective":"fine","severity":"page","at_least":7,"runbook":"runbook.md#errors","summary":"s"}, """ + Late));

        Assert.Equal([("Bad", Urgency.Page), ("BadBudget", Urgency.Ticket), ("Late", Urgency.Page)], rules.Select(rule => (rule.Name, rule.Severity)));
        Assert.Equal(
            """
            (
              slo:sli_error:ratio_rate1h{service="planted", objective="fine"} > 0.0144
              and slo:sli_error:ratio_rate5m{service="planted", objective="fine"} > 0.0144
              and slo:sli_error:increase1h{service="planted", objective="fine"} >= 7
            )
            or (
              slo:sli_error:ratio_rate6h{service="planted", objective="fine"} > 0.006
              and slo:sli_error:ratio_rate30m{service="planted", objective="fine"} > 0.006
              and slo:sli_error:increase6h{service="planted", objective="fine"} >= 7
            )
            """.ReplaceLineEndings("\n"),
            string.Join('\n', rules[0].Expression));
        Assert.Equal("  slo:sli_error:ratio_rate3d{service=\"planted\", objective=\"fine\"} > 0.001", rules[1].Expression[1]);
        Assert.Equal("""max(a_lag_seconds{module="planted"}) > 60""", Assert.Single(rules[2].Expression));
    }

    [Fact]
    public void Everything_that_is_recorded_is_used_and_everything_that_is_used_is_recorded()
    {
        foreach (var levels in StandaloneHost.Modules.Select(module => ServiceLevels.Read(module.Name)))
        {
            var recorded = AlertRules.Recorded(levels).Select(rule => $"{rule.Series}{{service=\"{levels.Service}\", objective=\"{rule.Objective}\"}}").ToList();
            var used = AlertRules.Alerting(levels).SelectMany(rule => rule.Expression).SelectMany(line => RecordedSeries().Matches(line)).Select(match => match.Value).ToHashSet(StringComparer.Ordinal);
            Assert.Equal(recorded.Count, recorded.Distinct(StringComparer.Ordinal).Count());
            Assert.Equal(used.Order(StringComparer.Ordinal), recorded.Order(StringComparer.Ordinal));
        }
    }

    [Theory]
    [InlineData("""{"name":"Bad","objective":"fine","severity":"page","for":"5m","runbook":"r","summary":"s"}""", "windows")]
    [InlineData("""{"name":"Bad","objective":"fine","severity":"page","runbook":"r","summary":"s"}""", "late has no alert")]
    [InlineData("""{"name":"Late","objective":"late","severity":"page","runbook":"r","summary":"s"}""", "for how long")]
    [InlineData("""{"name":"Late","objective":"late","severity":"page","for":"1m","at_least":3,"runbook":"r","summary":"s"}""", "counts no requests")]
    [InlineData("""{"name":"Late","objective":"gone","severity":"page","for":"1m","runbook":"r","summary":"s"}""", "no objective gone")]
    public void Service_levels_that_contradict_themselves_are_refused(string alerts, string why) =>
        Assert.Contains(why, Assert.Throws<FormatException>(() => Levels(alerts)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_bucket_above_the_threshold_is_refused() => Assert.Throws<FormatException>(() => ServiceLevels.Parse(JsonSerializer.Deserialize<JsonElement>("""
        {"service":"planted","window":"30d","alerts":[],
         "objectives":[{"name":"fast","target":99,"indicator":{"kind":"latency","metric":"a.duration","threshold_seconds":0.3,"bucket_seconds":0.5}}]}
        """)));

    private const string Late = """{"name":"Late","objective":"late","severity":"page","for":"1m","runbook":"runbook.md#late","summary":"s"}""";

    private static ServiceLevels Levels(string alerts) => ServiceLevels.Parse(JsonSerializer.Deserialize<JsonElement>($$$"""
        {"service":"planted","window":"30d","alerts":[{{{alerts}}}],"objectives":[
          {"name":"fine","target":99.9,"indicator":{"kind":"requests","metric":"a.duration","bad":"status =~ \"5..\""}},
          {"name":"late","target":99,"indicator":{"kind":"age","metric":"a.lag","threshold_seconds":60}}]}
        """));

    private static IEnumerable<string> Unexplained(ServiceLevels levels, string runbook)
    {
        var sections = Section().Matches(runbook).ToDictionary(
            section => section.Groups["heading"].Value.Trim().ToLowerInvariant().Replace(' ', '-'), section => section.Groups["text"].Value, StringComparer.Ordinal);
        return from rule in AlertRules.Alerting(levels)
               where !rule.Name.EndsWith("Budget", StringComparison.Ordinal)
               where !sections.TryGetValue(rule.Runbook.Split('#')[^1], out var section) || !section.Contains($"`{rule.Name}`", StringComparison.Ordinal)
               select rule.Name;
    }

    private static List<string> Files(string folder, string pattern) =>
        [.. Directory.EnumerateFiles(Path.Combine(Repository.Root, "infra", folder), pattern).Select(path => Path.GetFileNameWithoutExtension(path)).Order(StringComparer.Ordinal)];

    [GeneratedRegex("^## (?<heading>.+)\n(?<text>(?:(?!## ).*\n?)*)", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Section();

    [GeneratedRegex(@"slo:[a-z_]+:[a-z0-9_]+\{[^}]*\}")]
    private static partial Regex RecordedSeries();
}

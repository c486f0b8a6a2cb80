using System.Diagnostics.Metrics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Testing;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Findings;

namespace Wave16.VulnCenter.Tests.Summary;

public sealed partial class BacklogMetricsTests(PostgresFixture postgres)
{
    [Fact]
    public async Task The_meter_shows_the_backlog_of_all_tenants_and_what_is_open_by_service()
    {
        var (module, database) = await StartAsync();
        await using var _ = module;
        var now = DateTimeOffset.UtcNow;
        await SeededFinding.InsertAsync(database, "measured-a", [new SeededFinding { Severity = Severity.Critical, Kev = true, FirstSeen = now.AddDays(-40), Sla = SlaState.Breached }]);
        await SeededFinding.InsertAsync(database, "measured-b",
        [
            new SeededFinding { Severity = Severity.Critical, Status = FindingStatus.Triaged, FirstSeen = now },
            new SeededFinding { Severity = Severity.Critical, FirstSeen = now.AddDays(-41) },
            new SeededFinding { Suppression = SuppressionKind.RiskAccepted, FirstSeen = now, Sla = SlaState.Paused },
            new SeededFinding { Status = FindingStatus.Fixed, FirstSeen = now, Sla = SlaState.Met },
        ]);

        var shown = await UntilAsync(module, values => values.GetValueOrDefault("findings.suppressed") == 1);

        Assert.Equal(1, shown["findings.open/tenant=measured-a/service=shop-api/severity=critical/status=open"]);
        Assert.Equal(1, shown["findings.open/tenant=measured-b/service=shop-api/severity=critical/status=open"]);
        Assert.Equal(1, shown["findings.open/tenant=measured-b/service=shop-api/severity=critical/status=triaged"]);
        Assert.Equal(0, shown["findings.open/tenant=measured-b/service=shop-api/severity=low/status=open"]);
        Assert.Equal(0, shown["findings.open/tenant=/service=other/severity=critical/status=open"]);
        Assert.Equal(2, shown["findings.aging/bucket=31-90/severity=critical"]);
        Assert.Equal(1, shown["findings.aging/bucket=0-7/severity=critical"]);
        Assert.Equal(1, shown["findings.sla/state=breached"]);
        Assert.Equal(1, shown["findings.sla/state=paused"]);
        Assert.Equal(1, shown["findings.sla/state=met"]);
        Assert.Equal(1, shown["findings.kev"]);
        Assert.All(shown.Keys, key => Assert.Matches(TagNames(), key));
    }

    [Fact]
    public async Task The_services_with_the_most_are_told_one_by_one_and_the_rest_together()
    {
        var (module, database) = await StartAsync();
        await using var _ = module;
        SeededFinding Of(int service, Severity severity) => new() { Service = $"service-{service:D3}", Severity = severity, FirstSeen = DateTimeOffset.UtcNow };
        await SeededFinding.InsertAsync(database, "many", Enumerable.Range(0, 203).Select(i => Of(i % 103, Severity.High)).Append(Of(102, Severity.Low)));

        var shown = await UntilAsync(module, values => values.Count(value => value.Key.StartsWith("findings.open/", StringComparison.Ordinal) && value.Value > 0) > 100);

        var open = shown.Where(value => value.Key.StartsWith("findings.open/", StringComparison.Ordinal)).ToDictionary();
        var services = open.Keys.Where(key => key.Contains("/tenant=many/", StringComparison.Ordinal)).Select(key => key.Split('/')[2]).ToHashSet(StringComparer.Ordinal);
        Assert.Equal(204, open.Values.Sum());
        Assert.Equal(100, services.Count);
        // As many as the first hundred have, and its name comes after theirs.
        Assert.DoesNotContain("service=service-102", services);
        Assert.Equal((3, 1), ((int)open["findings.open/tenant=/service=other/severity=high/status=open"], (int)open["findings.open/tenant=/service=other/severity=low/status=open"]));
    }

    [Fact]
    public async Task Every_metric_of_the_dashboard_is_one_that_a_scrape_shows()
    {
        var (module, database) = await StartAsync();
        await using var _ = module;
        using var client = await module.ClientAsync("dashboard", TestContext.Current.CancellationToken, "operator", "service");
        await client.ImportAsync("trivy", "shop-api", await File.ReadAllBytesAsync(VulnCenterCalls.Fixture("trivy-shop-api.json"), TestContext.Current.CancellationToken));
        var finding = (await client.FindingsAsync("?limit=1")).Items[0];
        foreach (var status in (string[])["triaged", "fixed"])
        {
            using var moved = await client.MoveAsync(finding.Id, new { status, reason = "done" }, "*");
            moved.EnsureSuccessStatusCode();
        }

        await UntilAsync(module, values => values.Keys.Any(key => key.StartsWith("findings.time_to_fix", StringComparison.Ordinal)));
        var scraped = await client.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken);
        using var dashboard = JsonDocument.Parse(await File.ReadAllTextAsync(
            VulnCenterCalls.Fixture("../../../infra/dashboards/vuln-center.json"), TestContext.Current.CancellationToken));
        var expressions = dashboard.RootElement.GetProperty("panels").EnumerateArray()
            .SelectMany(panel => panel.GetProperty("targets").EnumerateArray()).Select(target => target.GetProperty("expr").GetString() ?? "").ToList();
        var names = expressions.SelectMany(expression => MetricName().Matches(expression)).Select(match => match.Groups["name"].Value).Distinct(StringComparer.Ordinal).ToList();

        Assert.True(names.Count >= 8, string.Join(", ", names));
        Assert.DoesNotContain(names, name => !scraped.Contains($"\n{name}{{", StringComparison.Ordinal) && !scraped.Contains($"\n{name} ", StringComparison.Ordinal));
        Assert.All(expressions, expression => Assert.Matches(MetricName(), expression));
    }

    private async Task<(RunningModules Module, string Database)> StartAsync()
    {
        // A store of its own: of the processes on one, only one counts.
        var database = await postgres.CreateDatabaseAsync(TestContext.Current.CancellationToken);
        return (await RunningModules.StartAsync(
            [new VulnCenterModule()],
            [
                KeyValuePair.Create<string, string?>("ConnectionStrings:vuln-center-db", database),
                KeyValuePair.Create<string, string?>("Metrics:Prometheus", "true"),
                KeyValuePair.Create<string, string?>("VulnCenter:Backlog:RefreshSeconds", "1"),
            ],
            TestContext.Current.CancellationToken), database);
    }

    /// <summary>Looks at the module's own gauges until they show what is waited for.</summary>
    private static async Task<Dictionary<string, double>> UntilAsync(RunningModules module, Func<Dictionary<string, double>, bool> shown)
    {
        var factory = module.Services.GetRequiredService<IMeterFactory>();
        Dictionary<string, double> values = new(StringComparer.Ordinal);
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, each) =>
        {
            if (instrument.Meter.Name == "Wave16.VulnCenter" && ReferenceEquals(instrument.Meter.Scope, factory) && instrument.IsObservable)
            {
                each.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Keep(instrument, value, tags));
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Keep(instrument, value, tags));
        listener.Start();
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        do
        {
            await look.WaitForNextTickAsync(TestContext.Current.CancellationToken);
            values.Clear();
            listener.RecordObservableInstruments();
        }
        while (!shown(values));

        return values;

        void Keep(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var name = instrument.Name;
            foreach (var (tag, of) in tags)
            {
                name += $"/{tag}={of}";
            }

            values[name] = value;
        }
    }

    [GeneratedRegex(@"\A[a-z_.]+(/(severity|status|bucket|state)=[a-z0-9+-]+|(?<=findings\.open)/tenant=[a-z-]*/service=[a-z-]+)*\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex TagNames();

    // Every metric in the dashboard has a selector, so that functions and labels are none.
    [GeneratedRegex(@"(?<name>[a-z_]+)\{", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex MetricName();
}

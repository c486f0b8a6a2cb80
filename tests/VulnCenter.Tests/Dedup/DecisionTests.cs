using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Wave16.VulnCenter.Contracts;
using static Wave16.VulnCenter.Tests.Dedup.DedupCalls;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>The decision log and the over-merge alarm, over real HTTP and PostgreSQL.</summary>
public sealed class DecisionTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static readonly DedupKeyRule ToolIdOnly = new("tool-id", [FindingKind.Sast], ["path", "fingerprint"]);

    [Fact]
    public async Task Every_raw_result_has_its_decision_and_pages_hold_each_once()
    {
        using var client = await host.Module.ClientAsync("decisions", TestContext.Current.CancellationToken, "operator");
        using var auditor = await host.Module.ClientAsync("decisions", TestContext.Current.CancellationToken, "auditor");
        using var stranger = await host.Module.ClientAsync("decisions-stranger", TestContext.Current.CancellationToken, "auditor");
        var first = await client.ShowAsync([.. Enumerable.Range(0, 25).Select(i => Sast("R1", $"f{i}.cs", 1, "x()")), """{"title":"no rule","kind":"sast"}"""]);
        var second = await client.ImportAsync("generic", "another", Report(Sast("R1", "f1.cs", 1, "x()")), "&source=pentest");

        List<DecisionEntry> all = [];
        for (string? cursor = ""; cursor is not null;)
        {
            var page = await auditor.GetAsync<DecisionPage>($"/findings/decisions?limit=10{(cursor.Length == 0 ? "" : $"&cursor={Uri.EscapeDataString(cursor)}")}");
            Assert.InRange(page.Items.Count, 1, 10);
            all.AddRange(page.Items);
            cursor = page.Next;
        }

        Assert.Equal(27, all.Count);
        Assert.Equal(27, all.Select(entry => (entry.Scan, entry.Pointer)).Distinct().Count());
        Assert.Equal(all.OrderByDescending(entry => entry.At).Select(entry => entry.At), all.Select(entry => entry.At));
        Assert.Equal(("another", "pentest", second.Scans[0].Scan), (all[0].Service, all[0].Source, all[0].Scan));
        var scan = first.Scans[0].Scan;
        Assert.Equal(26, (await auditor.GetAsync<DecisionPage>($"/findings/decisions?scan={scan}&limit=100")).Items.Count);
        var rejected = Assert.Single((await auditor.GetAsync<DecisionPage>("/findings/decisions?outcome=rejected")).Items);
        Assert.Equal((Service, Outcome.Rejected, null), (rejected.Service, rejected.Outcome, rejected.Finding));
        Assert.Equal(26, (await auditor.GetAsync<DecisionPage>($"/findings/decisions?service={Service}&outcome=new,rejected&limit=100")).Items.Count);
        Assert.Single((await auditor.GetAsync<DecisionPage>("/findings/decisions?source=pentest")).Items);
        Assert.Single((await auditor.GetAsync<DecisionPage>($"/findings/decisions?finding={all[0].Finding}")).Items);
        Assert.Equal(27, (await auditor.GetAsync<DecisionPage>($"/findings/decisions?from=2000-01-01T00:00:00Z&limit=100")).Items.Count);
        Assert.Empty((await auditor.GetAsync<DecisionPage>("/findings/decisions?to=2000-01-01T00:00:00Z")).Items);
        Assert.Empty((await stranger.GetAsync<DecisionPage>($"/findings/decisions?scan={scan}")).Items);
    }

    [Theory]
    [InlineData("?outcome=gone", "?outcome")]
    [InlineData("?from=2000-01-01T00:00:00", "?from")]
    [InlineData("?finding=x", "?finding")]
    [InlineData("?colour=red", "?colour")]
    [InlineData("?scan=00000000-0000-0000-0000-000000000000&scan=00000000-0000-0000-0000-000000000000", "?scan")]
    public async Task A_bad_parameter_is_named(string query, string pointer)
    {
        using var client = await host.OperatorAsync("decisions-refused");
        using var answer = await client.GetAsync(new Uri($"/findings/decisions{query}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains($"\"{pointer}\"", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_that_takes_in_different_rules_or_many_lines_is_listed_and_counted_once_until_it_is_split()
    {
        using var client = await host.OperatorAsync("overmerged");
        var counted = new ConcurrentDictionary<string, long>(StringComparer.Ordinal);
        var factory = host.Module.Services.GetRequiredService<IMeterFactory>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, each) =>
        {
            if (instrument is { Name: "dedup.overmerged", Meter.Name: "Wave16.VulnCenter" } && ReferenceEquals(instrument.Meter.Scope, factory))
            {
                each.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((instrument, count, _, _) => counted.AddOrUpdate(instrument.Name, count, (_, sum) => sum + count));
        listener.Start();
        await client.ChangeRulesAsync(ToolIdOnly, Position);
        string[] report =
        [
            Sast("R1", "a.cs", 1, "x()", """{"id":"rules"}"""), Sast("R2", "a.cs", 1, "x()", """{"id":"rules"}"""),
            .. Enumerable.Range(1, 10).Select(line => Sast("R1", "b.cs", line, $"x{line}()", """{"id":"lines"}""")),
            .. Enumerable.Range(1, 9).Select(line => Sast("R1", "c.cs", line, $"x{line}()", """{"id":"few"}""")),
            Sast("R1", "d.cs", 1, "x()", """{"id":"one"}"""),
        ];
        var first = await client.ShowAsync(report);
        await client.ShowAsync(report);

        var listed = (await client.GetAsync<OverMergePage>("/findings/overmerged")).Items;
        Assert.Equal([(1, 10, 10), (2, 1, 2)], listed.Select(item => (item.Rules, item.Lines, item.Observations)).Order());
        Assert.All(listed, item => Assert.Equal((Service, Source, "tool-id:id", first.Scans[0].Scan), (item.Service, item.Source, item.KeyKind, item.Scan)));
        Assert.Equal(2L, counted["dedup.overmerged"]);
        var page = await client.GetAsync<OverMergePage>("/findings/overmerged?limit=1");
        Assert.Equal(listed[1], Assert.Single((await client.GetAsync<OverMergePage>($"/findings/overmerged?limit=1&cursor={Uri.EscapeDataString(page.Next ?? "")}")).Items));
        Assert.Empty((await client.GetAsync<OverMergePage>("/findings/overmerged?service=another")).Items);

        var torn = listed.Single(item => item.Rules == 2);
        var unmerged = await client.UnmergeAsync(torn.Finding, identity => identity.Rule == "R2");
        var again = await client.ShowAsync(report);

        Assert.Equal(["rule"], unmerged.SeparatedBy);
        Assert.Equal((0L, 0L), (again.New, again.FindingsChanged));
        Assert.Equal(10, Assert.Single((await client.GetAsync<OverMergePage>("/findings/overmerged")).Items).Lines);
        await client.ChangeRulesAsync([.. (await client.GetAsync<DedupRules>($"/findings/dedup-rules/{Source}")).Default]);
        Assert.Empty((await client.GetAsync<OverMergePage>("/findings/overmerged")).Items);
    }
}

using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Neighbours;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Reporting;

namespace Wave16.VulnCenter.Tests.Reporting;

public sealed class ExportTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_service_is_exported_when_it_was_scanned_and_when_a_finding_moves()
    {
        using var client = await host.OperatorAsync("exports");
        using var neighbours = new HttpClient { BaseAddress = host.Neighbours };
        neighbours.DefaultRequestHeaders.Add("Tenant-Id", "exports");
        var finding = await client.ImportOneAsync("shop/api: eu", "critical");
        var source = Uri.EscapeDataString("vuln-center:shop/api: eu");
        await UntilAsync(neighbours, $"/control-plane/tenants/exports/exports/{source}", export => export.GetProperty("items")[0].GetProperty("gate").GetString() == "blocked");
        await UntilAsync(neighbours, $"/program-graph/graphs/{source}", graph => graph.GetProperty("graph").GetProperty("nodes").TryGetProperty($"finding:{finding.Id}", out _));
        foreach (var step in (object[])[new { status = "triaged" }, new { status = "fixed", reason = "r" }])
        {
            using var moved = await client.MoveAsync(finding.Id, step, "*");
            moved.EnsureSuccessStatusCode();
        }

        var export = await UntilAsync(neighbours, $"/control-plane/tenants/exports/exports/{source}", export => export.GetProperty("items")[0].GetProperty("gate").GetString() == "clear");
        await UntilAsync(
            neighbours, $"/program-graph/graphs/{source}",
            graph => graph.GetProperty("graph").GetProperty("nodes").GetProperty($"finding:{finding.Id}").GetProperty("metadata").GetProperty("status").GetString() == "fixed");
        Assert.Equal((1, 1L), (export.GetProperty("items").GetArrayLength(), export.GetProperty("items")[0].GetProperty("counts").GetProperty("critical").GetProperty("fixed").GetInt64()));
    }

    [Fact]
    public async Task A_thousand_events_of_what_one_export_has_told_are_that_one_export()
    {
        using var client = await host.OperatorAsync("told");
        await client.ImportOneAsync("shop", "critical");
        List<string> exports = [];
        var answer = HttpStatusCode.ServiceUnavailable;
        var export = Export(async content =>
        {
            exports.Add(await content.ReadAsStringAsync(Cancellation));
            return answer;
        });

        Assert.IsNotType<DeliveryOutcome.Delivered>(await export.DeliverAsync(Changed("told"), Cancellation));
        answer = HttpStatusCode.OK;
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 1_000).Select(_ => export.DeliverAsync(Changed("told"), Cancellation)));

        Assert.All(outcomes, outcome => Assert.IsType<DeliveryOutcome.Delivered>(outcome));
        Assert.Equal(2, exports.Count);
        Assert.Equal(exports[0], exports[1]);
    }

    [Fact]
    public async Task What_changes_while_an_export_is_under_way_is_told_by_one_more()
    {
        using var client = await host.OperatorAsync("under-way");
        var finding = await client.ImportOneAsync("shop", "critical");
        List<string> exports = [];
        var (sent, go) = (new TaskCompletionSource(), new TaskCompletionSource());
        var export = Export(async content =>
        {
            exports.Add(await content.ReadAsStringAsync(Cancellation));
            sent.TrySetResult();
            await go.Task.WaitAsync(Cancellation);
            return HttpStatusCode.OK;
        });
        var first = export.DeliverAsync(Changed("under-way"), Cancellation);
        await sent.Task.WaitAsync(Cancellation);
        using var moved = await client.MoveAsync(finding.Id, new { status = "triaged" }, "*");
        moved.EnsureSuccessStatusCode();
        var others = Enumerable.Range(0, 100).Select(_ => export.DeliverAsync(Changed("under-way"), Cancellation)).ToList();

        go.SetResult();
        var outcomes = await Task.WhenAll([first, .. others]);

        Assert.All(outcomes, outcome => Assert.IsType<DeliveryOutcome.Delivered>(outcome));
        Assert.Equal([0, 1], exports.Select(Triaged));
    }

    [Fact]
    public async Task Many_changes_while_a_neighbour_is_down_are_told_by_one_export_when_it_is_back_or_by_one_after_that_which_was_under_way()
    {
        const int all = 20;
        using var client = await host.OperatorAsync("coalesced");
        using var neighbours = new HttpClient { BaseAddress = host.Neighbours };
        await FaultAsync(neighbours, """{"status":503}""");
        var report = JsonSerializer.SerializeToUtf8Bytes(new
        {
            schemaVersion = "1",
            source = "red-team",
            findings = Enumerable.Range(0, all).Select(i => new { rule = $"RT-{i}", title = "t", kind = "config", severity = "critical", resource = "orders" }),
        });
        await client.ImportAsync("generic", "shop-api", report);
        await Task.WhenAll((await client.FindingsAsync("?limit=100")).Items.Select(async finding =>
        {
            using var moved = await client.MoveAsync(finding.Id, new { status = "triaged" }, "*");
            moved.EnsureSuccessStatusCode();
        }));
        var waiting = await PendingAsync();
        await FaultAsync(neighbours, "{}");
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (await PendingAsync() > 0)
        {
            await look.WaitForNextTickAsync(Cancellation);
        }

        var told = (await neighbours.GetFromJsonAsync<JsonElement>("/neighbours/program-graph/received?limit=1000", Cancellation)).GetProperty("items").EnumerateArray()
            .Where(call => call.GetProperty("path").GetString()?.Contains("shop-api", StringComparison.Ordinal) == true && call.GetProperty("status").ToString() is "200" or "201")
            .Select(call => Triaged(call.GetProperty("body").GetString() ?? "")).ToList();
        Assert.True(waiting > all, $"{waiting} waited");
        // One that was refused is sent again as it was written: where that is older than the last of the changes, another one tells the rest.
        Assert.Equal(told[0] == all ? [all] : [told[0], all], told);
    }

    [Fact]
    public async Task An_export_may_take_longer_than_other_calls()
    {
        using var client = await host.OperatorAsync("slow-export");
        using var neighbours = new HttpClient { BaseAddress = host.Neighbours };
        // More than one attempt of a client of ours may take.
        await FaultAsync(neighbours, """{"latencyMs":6000}""");
        await client.ImportOneAsync("slow-api", "low");
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (await host.ScalarAsync<long>("select count(*) from platform.delivery where tenant = 'slow-export' and destination = 'program-graph'") > 0)
        {
            await look.WaitForNextTickAsync(Cancellation);
        }

        await FaultAsync(neighbours, "{}");
        var tried = (await neighbours.GetFromJsonAsync<JsonElement>("/neighbours/program-graph/received?limit=1000", Cancellation)).GetProperty("items").EnumerateArray()
            .Count(call => call.GetProperty("path").GetString()?.Contains("slow-api", StringComparison.Ordinal) == true);
        Assert.Equal(1, tried);
    }

    [Fact]
    public async Task A_neighbour_that_is_configured_later_is_told_once_how_everything_stands()
    {
        using var neighbours = new HttpClient { BaseAddress = host.Neighbours };
        neighbours.DefaultRequestHeaders.Add("Tenant-Id", "late");
        var nobody = ((string[])["control-plane", "program-graph", "safety-console"]).Select(name => KeyValuePair.Create<string, string?>($"Neighbours:{name}:Url", ""));
        var (before, database) = await host.StartAloneAsync(settings: nobody);
        Guid standing, suppressed;
        await using (before)
        {
            using var client = await before.ClientAsync("late", Cancellation, "operator");
            standing = (await client.ImportOneAsync("late-api", "critical")).Id;
            suppressed = (await client.ImportOneAsync("late-web", "critical")).Id;
            await UntilAsync(database, "select count(*) from platform.delivery where destination <> 'safety-console'");
            // As if retention had given up what waited for safety-console, long ago.
            await ExecuteAsync(database, "delete from platform.delivery");
        }

        var (after, _) = await host.StartAloneAsync(database);
        await using (after)
        {
            using var client = await after.ClientAsync("late", Cancellation, "operator");
            await UntilAsync(neighbours, "/control-plane/tenants/late/exports/vuln-center%3Alate-api", export => export.GetProperty("items")[0].GetProperty("gate").GetString() == "blocked");
            await UntilAsync(neighbours, "/program-graph/graphs/vuln-center%3Alate-web", graph => graph.GetProperty("graph").GetProperty("nodes").TryGetProperty($"finding:{suppressed}", out JsonElement _));
            foreach (var (service, finding) in ((string, Guid)[])[("late-api", standing), ("late-web", suppressed)])
            {
                await UntilAsync(neighbours, $"/safety-console/gates/{Uri.EscapeDataString($"vuln:{service}:{finding}")}", gate => gate.GetProperty("state").GetString() == "blocking");
            }

            await UntilAsync(database, "select count(*) from platform.delivery");
            Assert.Equal(3L, await VulnCenterHost.ScalarInAsync<long>(database, "select count(*) from platform.audit_leaf where tenant = 'late' and action = 'neighbour.restated'"));
        }

        var (again, _) = await host.StartAloneAsync(database);
        await using (again)
        {
            using var client = await again.ClientAsync("late", Cancellation, "operator");
            var third = await client.ImportOneAsync("late-job", "critical");
            await UntilAsync(neighbours, $"/safety-console/gates/{Uri.EscapeDataString($"vuln:late-job:{third.Id}")}", gate => gate.GetProperty("state").GetString() == "blocking");
            // Two services for each of two neighbours, and two gates: of the first start with neighbours, and of none since.
            Assert.Equal(6L, await VulnCenterHost.ScalarInAsync<long>(database, "select count(*) from platform.event where type = 'wave16.vuln-center.state-restated.v1'"));
        }
    }

    /// <summary>How many findings of a graph are triaged.</summary>
    private static int Triaged(string graph) => JsonSerializer.Deserialize<JsonElement>(graph).GetProperty("graph").GetProperty("nodes").EnumerateObject()
        .Count(node => node.Value.TryGetProperty("metadata", out var metadata) && metadata.TryGetProperty("status", out var status) && status.GetString() == "triaged");

    private ServiceExport Export(Func<HttpContent, Task<HttpStatusCode>> put)
    {
        var services = host.Module.Services;
        return new ServiceExport(
            services.GetRequiredService<FindingGraphReport>(), services.GetRequiredService<ReportSnapshots>(), new NeighbourAddress(ProgramGraphs.Name, host.Neighbours, IsConfigured: true),
            services.GetRequiredService<DependencyHealth>(), services.GetRequiredService<IOptions<ImportOptions>>().Value, TimeProvider.System,
            async (_, _, content, _) => new HttpResponseMessage(await put(content)));
    }

    private static EventEnvelope Changed(string tenant) => new()
    {
        Id = Guid.NewGuid().ToString("D"),
        Source = "vuln-center",
        Type = VulnCenterEvents.StatusChanged,
        Subject = Guid.Empty.ToString("D"),
        Time = DateTimeOffset.UnixEpoch,
        TenantId = tenant,
        EntityVersion = 1,
        Data = JsonSerializer.Serialize(new FindingStatusChanged(Guid.Empty, "shop", "red-team", FindingStatus.Open, FindingStatus.Triaged, Severity.Critical, false, null), VulnCenterJson.Default.FindingStatusChanged),
    };

    private static async Task UntilAsync(string database, string isZero)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (await VulnCenterHost.ScalarInAsync<long>(database, isZero) > 0)
        {
            await look.WaitForNextTickAsync(Cancellation);
        }
    }

    private static async Task ExecuteAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync(Cancellation);
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(Cancellation);
    }

    private Task<long> PendingAsync() => host.ScalarAsync<long>("select count(*) from platform.delivery where tenant = 'coalesced' and destination = 'program-graph'");

    private static async Task FaultAsync(HttpClient neighbours, string faults)
    {
        using var body = new StringContent(faults, Encoding.UTF8, "application/json");
        using var set = await neighbours.PutAsync(new Uri("/neighbours/program-graph/faults", UriKind.Relative), body, Cancellation);
        set.EnsureSuccessStatusCode();
    }

    private static async Task<JsonElement> UntilAsync(HttpClient neighbours, string path, Func<JsonElement, bool> condition)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (true)
        {
            using var answer = await neighbours.GetAsync(new Uri(path, UriKind.Relative), Cancellation);
            if (answer.StatusCode == HttpStatusCode.OK && await answer.Content.ReadFromJsonAsync<JsonElement>(Cancellation) is var document && condition(document))
            {
                return document;
            }

            await look.WaitForNextTickAsync(Cancellation);
        }
    }
}

using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;

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
    public async Task Many_changes_while_a_neighbour_is_down_are_one_export_when_it_is_back()
    {
        using var client = await host.OperatorAsync("coalesced");
        using var neighbours = new HttpClient { BaseAddress = host.Neighbours };
        await FaultAsync(neighbours, """{"status":503}""");
        var report = JsonSerializer.SerializeToUtf8Bytes(new
        {
            schemaVersion = "1",
            source = "red-team",
            findings = Enumerable.Range(0, 60).Select(i => new { rule = $"RT-{i}", title = "t", kind = "config", severity = "critical", resource = "orders" }),
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

        var taken = (await neighbours.GetFromJsonAsync<JsonElement>("/neighbours/program-graph/received?limit=1000", Cancellation)).GetProperty("items").EnumerateArray()
            .Count(call => call.GetProperty("path").GetString()?.Contains("shop-api", StringComparison.Ordinal) == true && call.GetProperty("status").ToString() is "200" or "201");
        Assert.True(waiting > 60, $"{waiting} waited");
        Assert.Equal(1, taken);
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

using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Wave16.LocalPostgres;
using Wave16.Testing;

namespace Wave16.VulnCenter.Tests;

public sealed class OutageTests
{
    [Fact]
    public async Task Without_Postgres_it_answers_503_with_Retry_After_and_recovers_by_itself()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var postgres = await PostgresServer.StartAsync(new LocalPostgresOptions { Durable = false }, NullLogger.Instance, cancellation);
        await postgres.EnsureDatabaseAsync("vuln_center", cancellation);
        await using var module = await RunningModules.StartAsync(
            [new VulnCenterModule()], [KeyValuePair.Create<string, string?>("ConnectionStrings:vuln-center-db", postgres.ConnectionStringFor("vuln_center"))], cancellation);
        using var client = await module.ClientAsync("acme", cancellation, "operator");
        var report = JsonSerializer.SerializeToUtf8Bytes(new { schemaVersion = "1", source = "audit", findings = new[] { new { rule = "A-1", title = "t", kind = "config", severity = "high", resource = "r" } } });
        await client.ImportAsync("generic", "shop-api", report);
        var finding = Assert.Single((await client.FindingsAsync()).Items);

        await postgres.StopAsync(cancellation);
        using var read = await client.GetAsync(new Uri("/findings", UriKind.Relative), cancellation);
        using var changed = await client.MoveAsync(finding.Id, new { status = "triaged", reason = "r" }, "*");
        using var imported = await client.PostReportAsync("generic", "shop-api", report);
        await HealthAsync(client, "degraded", cancellation);
        await postgres.StartAgainAsync(cancellation);

        Assert.All((HttpResponseMessage[])[read, changed, imported], answer =>
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.NotNull(answer.Headers.RetryAfter);
        });
        await HealthAsync(client, "healthy", cancellation);
        using var recovered = await client.MoveAsync(finding.Id, new { status = "triaged", reason = "r" }, "\"1\"");
        Assert.Equal(HttpStatusCode.OK, recovered.StatusCode);
        await client.ImportAsync("generic", "shop-api", report);
        Assert.Equal(2L, (await client.FindingAsync(finding.Id)).Finding.Version);
    }

    /// <summary>Waits until /health, which stays 200, says so: the database is looked at every few seconds.</summary>
    private static async Task HealthAsync(HttpClient client, string expected, CancellationToken cancellation)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while ((await client.GetFromJsonAsync<JsonElement>("/health", cancellation)).GetProperty("status").GetString() != expected)
        {
            await look.WaitForNextTickAsync(cancellation);
        }
    }
}

using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.Conformance.Tests.Samples;

internal sealed class VulnCenterSample : ModuleSample
{
    private const string Import = "/findings?service=shop-api&wait=60";

    public override string Module => "vuln-center";

    public override Type EventTypes => typeof(VulnCenterEvents);

    public override string[] Roles => ["operator", "auditor"];

    public override string List => "/findings";

    public override string Filter => "severity=critical";

    public override string JsonPost => $"/findings/{Guid.Empty}/status";

    public override (string Body, string Pointer) BadField => ("""{"status":7}""", "/status");

    public override string[] PublishedBodies => ["POST /findings/tickets/webhook"];

    public override string Neighbour => "safety-console";

    public override async Task<IReadOnlyList<string>> MakeAsync(HttpClient client, int count)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Import) { Content = Findings(count, "critical") };
        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        answer.EnsureSuccessStatusCode();
        var import = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        return [.. import.GetProperty("result").GetProperty("items").EnumerateArray().Select(item => $"/findings/{item.GetProperty("finding").GetGuid()}")];
    }

    public override HttpRequestMessage Create(int variant) => new(HttpMethod.Post, Import) { Content = Findings(1, "high", $"variant-{variant}") };

    public override HttpRequestMessage Change(string entity) => Move(entity, new { status = "triaged", reason = "reachable" });

    public override IEnumerable<(string Operation, HttpRequestMessage Request)> Ask(string entity)
    {
        const string Rules = """{"keys":[{"name":"rule","kinds":["sca","sast","dast","secret","config","license"],"fields":["rule"]}]}""";
        yield return ("GET /findings", Request(HttpMethod.Get, "/findings?facets=true"));
        yield return ("GET /findings/{id}", Request(HttpMethod.Get, entity));
        yield return ("GET /findings/summary", Request(HttpMethod.Get, "/findings/summary"));
        yield return ("GET /findings/summary", Request(HttpMethod.Get, "/findings/summary?format=html"));
        yield return ("GET /findings/scans", Request(HttpMethod.Get, "/findings/scans"));
        yield return ("GET /findings/decisions", Request(HttpMethod.Get, "/findings/decisions"));
        yield return ("GET /findings/dedup-rules/{source}", Request(HttpMethod.Get, "/findings/dedup-rules/red-team"));
        yield return ("PUT /findings/dedup-rules/{source}", Request(HttpMethod.Put, "/findings/dedup-rules/red-team?dryRun=true", Rules));
        yield return ("PUT /findings/dedup-rules/{source}", Request(HttpMethod.Put, "/findings/dedup-rules/red-team", Rules));
        yield return ("PUT /findings/services/{service}", Request(HttpMethod.Put, "/findings/services/shop-api", """{"owner":"shop"}"""));
        yield return ("GET /findings/services", Request(HttpMethod.Get, "/findings/services"));
        yield return ("GET /audit/vuln-center", Request(HttpMethod.Get, "/audit/vuln-center"));
        yield return ("PUT /findings/{id}/suppression", Request(HttpMethod.Put, $"{entity}/suppression", """{"kind":"risk-accepted","reason":"r","until":"2001-01-01T00:00:00Z"}"""));
        yield return ("DELETE /findings/{id}/suppression", Request(HttpMethod.Delete, $"{entity}/suppression?reason=r"));
        yield return ("DELETE /findings/{id}/severity", Request(HttpMethod.Delete, $"{entity}/severity?reason=r"));
        yield return ("POST /findings/groups", Request(HttpMethod.Post, "/findings/groups", $$"""{"findings":["{{Guid.Empty}}","{{Guid.AllBitsSet}}"],"reason":"r"}"""));
        yield return ("DELETE /findings/feeds/aliases/edges", Request(HttpMethod.Delete, "/findings/feeds/aliases/edges?a=CVE-2024-3094&b=GHSA-rxwq-x6h5-x525"));
    }

    public override async Task RaiseEverythingAsync(HttpClient client)
    {
        var finding = Assert.Single(await MakeAsync(client, 1));
        await SendAsync(client, HttpMethod.Put, "/findings/policies/sla", new { @default = "at-once", policies = new[] { new { name = "at-once", rules = new[] { new { days = 1e-6 } } } } });
        while (await client.GetFromJsonAsync<JsonElement>(finding, TestContext.Current.CancellationToken) is var detail
            && detail.GetProperty("finding").GetProperty("sla").GetProperty("state").GetString() != "breached")
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        }

        await SendAsync(client, HttpMethod.Put, $"{finding}/severity", new { severity = "high", reason = "internal only" });
        await SendAsync(client, HttpMethod.Put, $"{finding}/suppression", new { kind = "risk-accepted", reason = "until the release", until = DateTimeOffset.UtcNow.AddDays(7) });
        await SendAsync(client, HttpMethod.Post, $"{finding}/status", new { status = "triaged", reason = "reachable" });
        await SendAsync(client, HttpMethod.Post, $"{finding}/status", new { status = "fixed", reason = "upgraded" });
        await SendAsync(client, HttpMethod.Post, $"{finding}/tickets", new { connector = "jira" });
    }

    private static async Task SendAsync(HttpClient client, HttpMethod method, string address, object body)
    {
        using var request = new HttpRequestMessage(method, address) { Content = JsonContent.Create(body) };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        answer.EnsureSuccessStatusCode();
    }

    private static HttpRequestMessage Request(HttpMethod method, string address, string? json = null)
    {
        var request = new HttpRequestMessage(method, address) { Content = json is null ? null : new StringContent(json, Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        return request;
    }

    private static HttpRequestMessage Move(string finding, object change) => new(HttpMethod.Post, $"{finding}/status") { Content = JsonContent.Create(change) };

    private static StringContent Findings(int count, string severity, string rule = "RT") => new(
        JsonSerializer.Serialize(new
        {
            schemaVersion = "1",
            source = "red-team",
            findings = Enumerable.Range(1, count).Select(number => new { rule = $"{rule}-{number}", title = $"Order ids can be guessed, {number}", kind = "config", severity, resource = "orders" }),
        }),
        Encoding.UTF8,
        "application/json");
}

namespace Wave16.Neighbours.Tests;

public sealed class SafetyConsoleTests
{
    const string Gates = "/safety-console/gates";

    static string Gate(string service, string finding, string severity = "critical", string since = "2025-01-01T10:00:00+02:00") =>
        $$"""{"state":"blocking","severity":"{{severity}}","service":"{{service}}","finding":"{{finding}}","title":"CVE","url":"https://v.example/findings/1","since":"{{since}}"}""";

    [Fact]
    public async Task A_gate_is_put_up_once_however_often_it_is_sent()
    {
        await using var host = await NeighbourHost.StartAsync();

        var first = await host.Put($"{Gates}/vuln:payments:f1", Gate("payments", "f1"), "acme");
        var again = await host.Put($"{Gates}/vuln:payments:f1", Gate("payments", "f1"), "acme");

        Assert.Equal((201, 200), (first.Status, again.Status));
        var gate = Assert.Single((await host.Get(Gates, "acme")).Items);
        Assert.Equal("vuln:payments:f1", gate.GetProperty("key").GetString());
        Assert.Equal("2025-01-01T10:00:00+02:00", gate.GetProperty("since").GetString());
    }

    [Fact]
    public async Task A_later_put_replaces_what_the_gate_says()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put($"{Gates}/vuln:payments:f1", Gate("payments", "f1"), "acme");

        await host.Put($"{Gates}/vuln:payments:f1", Gate("payments", "f1", "high"), "acme");

        Assert.Equal("high", (await host.Get($"{Gates}/vuln:payments:f1", "acme")).Text("severity"));
    }

    [Fact]
    public async Task Withdrawing_a_gate_twice_answers_the_same()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put($"{Gates}/vuln:payments:f1", Gate("payments", "f1"), "acme");

        var first = await host.Delete($"{Gates}/vuln:payments:f1", "acme");
        var again = await host.Delete($"{Gates}/vuln:payments:f1", "acme");

        Assert.Equal((204, 204), (first.Status, again.Status));
        Assert.Equal(404, (await host.Get($"{Gates}/vuln:payments:f1", "acme")).Status);
    }

    [Fact]
    public async Task Two_tenants_gates_with_one_key_are_two_gates()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put($"{Gates}/vuln:payments:f1", Gate("payments", "f1"), "acme");
        await host.Put($"{Gates}/vuln:payments:f1", Gate("payments", "f1", "low"), "globex");

        await host.Delete($"{Gates}/vuln:payments:f1", "acme");

        var left = Assert.Single((await host.Get(Gates)).Items);
        Assert.Equal("globex", left.GetProperty("tenant").GetString());
    }

    [Theory]
    [InlineData("a/b", "a%2Fb")]
    [InlineData("a%2Fb", "a%252Fb")]
    [InlineData("Zahlung über Grenzen 東京", "Zahlung%20%C3%BCber%20Grenzen%20%E6%9D%B1%E4%BA%AC")]
    [InlineData("a:b", "a:b")]
    [InlineData("a+b", "a+b")]
    [InlineData("..", "..")]
    public async Task A_service_with_any_characters_has_its_own_gate(string service, string encoded)
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put($"{Gates}/vuln:{encoded}:f1", Gate(service, "f1"), "acme");

        Assert.Equal(201, put.Status);
        Assert.Equal($"vuln:{service}:f1", (await host.Get($"{Gates}/vuln:{encoded}:f1", "acme")).Text("key"));
    }

    [Fact]
    public async Task A_slash_and_its_own_encoding_are_different_services()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put($"{Gates}/vuln:a%2Fb:f1", Gate("a/b", "f1"), "acme");
        await host.Put($"{Gates}/vuln:a%252Fb:f1", Gate("a%2Fb", "f1"), "acme");

        Assert.Equal(2, (await host.Get(Gates)).Items.Length);
    }

    [Theory]
    [InlineData("vuln:a%ZZ:f1")]
    [InlineData("vuln:a%FF:f1")]
    [InlineData("vuln:a%0A:f1")]
    public async Task A_key_that_is_not_percent_encoded_text_is_refused(string key)
    {
        await using var host = await NeighbourHost.StartAsync();

        var answer = await host.SendRaw($"DELETE {Gates}/{key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTenant-Id: acme\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
        Assert.Contains("\"parameter\":\"key\"", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_that_does_not_name_the_bodys_service_and_finding_is_refused()
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put($"{Gates}/vuln:payments:f2", Gate("payments", "f1"), "acme");

        Assert.Equal((400, "validation"), (put.Status, put.Code));
        Assert.Empty((await host.Get(Gates)).Items);
    }

    [Fact]
    public async Task All_that_is_missing_is_told_at_once()
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put($"{Gates}/vuln:payments:f1", """{"finding":" "}""");

        Assert.Equal(400, put.Status);
        Assert.Equal(
            ["Tenant-Id", "#/state", "#/severity", "#/service", "#/finding", "#/title", "#/url", "#/since"], put.Refused);
    }

    [Theory]
    [InlineData("""{"state":"open"}""", "#/state")]
    [InlineData("""{"state":0}""", "#/state")]
    [InlineData("""{"severity":"CRITICAL"}""", "#/severity")]
    [InlineData("""{"since":"2025-01-01T10:00:00"}""", "#/since")]
    [InlineData("""{"since":"2025-02-30T10:00:00Z"}""", "#/since")]
    [InlineData("""{"service":1}""", "#/service")]
    [InlineData("""{"surprise":1}""", "#/surprise")]
    [InlineData("""{"a~b/c":1}""", "#/a~0b~1c")]
    [InlineData("""{"title":"a","title":"b"}""", "#/title")]
    public async Task A_value_outside_the_contract_is_refused_where_it_stands(string body, string pointer)
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put($"{Gates}/vuln:a:f", body, "acme");

        Assert.Equal((400, "body.malformed"), (put.Status, put.Code));
        Assert.Equal(pointer, Assert.Single(put.Refused));
        Assert.DoesNotContain("System.", put.Body, StringComparison.Ordinal);
        Assert.DoesNotContain("Wave16.", put.Body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("javascript:alert(1)")]
    [InlineData("/findings/1")]
    public async Task A_gates_url_leads_to_a_page(string url)
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put(
            $"{Gates}/vuln:a:f", Gate("a", "f").Replace("https://v.example/findings/1", url, StringComparison.Ordinal), "acme");

        Assert.Equal(["#/url"], put.Refused);
    }

    [Fact]
    public async Task Gates_are_read_page_by_page_without_gaps()
    {
        await using var host = await NeighbourHost.StartAsync();
        for (var i = 0; i < 5; i++)
            await host.Put($"{Gates}/vuln:s:{i}", Gate("s", $"{i}"), "acme");

        var first = await host.Get($"{Gates}?limit=3");
        var second = await host.Get($"{Gates}?limit=3&after={first.Json.GetProperty("next")}");

        Assert.Equal(["0", "1", "2", "3", "4"], first.Items.Concat(second.Items).Select(gate => gate.GetProperty("finding").GetString()));
        Assert.Equal(System.Text.Json.JsonValueKind.Null, second.Json.GetProperty("next").ValueKind);
    }

    [Theory]
    [InlineData("limit=0", "limit")]
    [InlineData("limit=1001", "limit")]
    [InlineData("after=-1", "after")]
    [InlineData("after=9223372036854775807", "after")]
    [InlineData("after=x", "after")]
    public async Task A_page_that_cannot_be_is_refused(string query, string parameter)
    {
        await using var host = await NeighbourHost.StartAsync();

        var page = await host.Get($"{Gates}?{query}");

        Assert.Equal(400, page.Status);
        Assert.Equal([parameter], page.Refused);
    }
}

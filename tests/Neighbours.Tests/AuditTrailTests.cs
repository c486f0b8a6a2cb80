using System.Text.Json;

namespace Wave16.Neighbours.Tests;

public sealed class AuditTrailTests
{
    const string Events = "/audit-trail/events";
    const string Structured = "application/cloudevents+json";
    const string Batch = "application/cloudevents-batch+json";

    static string Event(string id, string tenant = "acme", string source = "vuln-center") =>
        $$$"""{"specversion":"1.0","id":"{{{id}}}","source":"{{{source}}}","type":"wave16.vuln-center.finding-opened.v1","time":"2025-01-01T00:00:00Z","subject":"f1","tenantid":"{{{tenant}}}","datacontenttype":"application/json","data":{"by":"über"}}""";

    static readonly (string, string)[] BinaryHeaders =
    [
        ("ce-specversion", "1.0"), ("ce-id", "e1"), ("ce-source", "vuln-center"), ("ce-type", "wave16.vuln-center.finding-opened.v1"),
        ("ce-tenantid", "acme"), ("ce-subject", "pay%20%C3%BC"), ("ce-time", "2025-01-01T00:00:00Z"),
    ];

    static Task<Answer> Send(NeighbourHost host, string contentType, string body) => host.Send(HttpMethod.Post, Events, body, contentType: contentType);

    [Fact]
    public async Task A_structured_event_is_kept_with_all_its_attributes()
    {
        await using var host = await NeighbourHost.StartAsync();

        var taken = await Send(host, Structured + "; charset=utf-8", Event("e1"));

        Assert.Equal((202, 1), (taken.Status, taken.Json.GetProperty("accepted").GetInt32()));
        var kept = Assert.Single((await host.Get(Events)).Items).GetProperty("event");
        Assert.True(JsonElement.DeepEquals(JsonDocument.Parse(Event("e1")).RootElement, kept), kept.ToString());
    }

    [Fact]
    public async Task A_binary_event_is_kept_like_a_structured_one()
    {
        await using var host = await NeighbourHost.StartAsync();

        var taken = await host.Send(HttpMethod.Post, Events, """{"by":"über"}""", headers: BinaryHeaders);

        Assert.Equal(202, taken.Status);
        var kept = Assert.Single((await host.Get(Events, "acme")).Items).GetProperty("event");
        Assert.Equal("pay ü", kept.GetProperty("subject").GetString());
        Assert.Equal("über", kept.GetProperty("data").GetProperty("by").GetString());
    }

    [Fact]
    public async Task A_batch_is_kept_in_its_order()
    {
        await using var host = await NeighbourHost.StartAsync();

        var taken = await Send(host, Batch, $"[{Event("e1")},{Event("e2")},{Event("e3")}]");

        Assert.Equal(3, taken.Json.GetProperty("accepted").GetInt32());
        Assert.Equal(["e1", "e2", "e3"], (await host.Get(Events)).Items.Select(item => item.GetProperty("event").GetProperty("id").GetString()));
    }

    [Fact]
    public async Task An_event_that_comes_again_in_any_mode_is_acknowledged_and_kept_once()
    {
        await using var host = await NeighbourHost.StartAsync();
        await Send(host, Structured, Event("e1"));

        var batch = await Send(host, Batch, $"[{Event("e1")},{Event("e2")},{Event("e2")}]");
        var binary = await host.Send(HttpMethod.Post, Events, "{}", headers: BinaryHeaders);

        Assert.Equal((1, 2), (batch.Json.GetProperty("accepted").GetInt32(), batch.Json.GetProperty("duplicates").GetInt32()));
        Assert.Equal(1, binary.Json.GetProperty("duplicates").GetInt32());
        Assert.Equal(2, (await host.Get(Events)).Items.Length);
    }

    [Fact]
    public async Task Beyond_fifty_thousand_events_the_oldest_are_dropped_and_counted_and_still_known()
    {
        await using var host = await NeighbourHost.StartAsync();
        for (var batch = 0; batch < 11; batch++)
            await Send(host, Batch, $"[{string.Join(',', Enumerable.Range(batch * 5_000, 5_000).Select(i => Event($"e{i}")))}]");

        var first = await host.Get($"{Events}?limit=2");
        var second = await host.Get($"{Events}?limit=1&after={first.Json.GetProperty("next")}");
        var again = await Send(host, Structured, Event("e0"));

        Assert.Equal(5_000, first.Json.GetProperty("dropped").GetInt64());
        Assert.Equal(["e5000", "e5001", "e5002"], first.Items.Concat(second.Items).Select(item => item.GetProperty("event").GetProperty("id").GetString()));
        Assert.Equal(1, again.Json.GetProperty("duplicates").GetInt32());
    }

    [Fact]
    public async Task Large_events_make_room_sooner()
    {
        await using var host = await NeighbourHost.StartAsync();
        var large = new string('x', 1 << 20);
        for (var i = 0; i < 70; i++)
            await Send(host, Structured, Event($"e{i}").Replace("über", large, StringComparison.Ordinal));

        var page = await host.Get($"{Events}?limit=1");

        Assert.Equal((7L, "e7"), (page.Json.GetProperty("dropped").GetInt64(), Assert.Single(page.Items).GetProperty("event").GetProperty("id").GetString()));
    }

    [Fact]
    public async Task Two_sources_may_use_one_id()
    {
        await using var host = await NeighbourHost.StartAsync();

        await Send(host, Batch, $"[{Event("e1")},{Event("e1", source: "consent-hub")}]");

        Assert.Equal(2, (await host.Get(Events)).Items.Length);
    }

    [Fact]
    public async Task An_empty_batch_is_taken()
    {
        await using var host = await NeighbourHost.StartAsync();

        var taken = await Send(host, Batch, "[]");

        Assert.Equal((202, 0), (taken.Status, taken.Json.GetProperty("accepted").GetInt32()));
    }

    [Fact]
    public async Task A_batch_with_one_bad_event_is_refused_whole_and_says_which()
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await Send(host, Batch, $$"""[{{Event("e1")}},{"specversion":"1.0","id":"e2","source":"s","tenantid":"acme"},3,{{Event("e3", tenant: "")}},{"specversion":"0.2"}]""");

        Assert.Equal(400, refused.Status);
        Assert.Equal(["#/1", "#/2", "#/3", "#/4"], refused.Refused.Select(pointer => pointer?[..3]));
        Assert.Empty((await host.Get(Events)).Items);
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("text/plain")]
    [InlineData("application/cloudevents+xml")]
    [InlineData("application/cloudevents+json; charset=utf-16")]
    [InlineData("application/cloudevents-batch+json; charset=iso-8859-1")]
    public async Task What_is_in_none_of_the_three_modes_is_415(string contentType)
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await Send(host, contentType, Event("e1"));

        Assert.Equal(415, refused.Status);
        Assert.Equal("application/cloudevents+json, application/cloudevents-batch+json", string.Join(", ", refused.Headers.GetValues("Accept")));
    }

    [Theory]
    [InlineData(Structured, "[]")]
    [InlineData(Structured, "{}")]
    [InlineData(Structured, "null")]
    [InlineData(Structured, "")]
    [InlineData(Structured, """{"specversion":"1.0","id":"1","source":"s","type":"t","tenantid":"a","time":"yesterday"}""")]
    [InlineData(Structured, """{"specversion":"1.0","id":"1","source":"s","type":"t","tenantid":"a","data":1,"data_base64":"AA=="}""")]
    [InlineData(Structured, """{"specversion":"1.0","id":"1","source":"s","type":"t","tenantid":"a","data_base64":"%%%"}""")]
    [InlineData(Structured, """{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t","tenantid":"a"}""")]
    [InlineData(Structured, """{"specversion":"1.0","id":"1","source":"s","type":"t","Bad_Name":"a","tenantid":"a"}""")]
    [InlineData(Structured, """{"specversion":"1.0","id":"1","source":"s",""")]
    [InlineData(Batch, """{"specversion":"1.0"}""")]
    [InlineData(Batch, """[{"specversion":"1.0"}""")]
    public async Task A_malformed_event_is_400(string contentType, string body)
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await Send(host, contentType, body);

        Assert.Equal(400, refused.Status);
        Assert.Empty((await host.Get(Events)).Items);
    }

    [Theory]
    [InlineData("ce-id", null)]
    [InlineData("ce-specversion", "2.0")]
    [InlineData("ce-time", "yesterday")]
    [InlineData("ce-subject", "%ZZ")]
    [InlineData("ce-tenantid", null)]
    public async Task A_malformed_binary_event_is_400(string header, string? value)
    {
        await using var host = await NeighbourHost.StartAsync();
        var headers = BinaryHeaders.Where(pair => pair.Item1 != header).Concat(value is null ? [] : [(header, value)]).ToArray();

        Assert.Equal(400, (await host.Send(HttpMethod.Post, Events, "{}", headers: headers)).Status);
    }

    [Fact]
    public async Task A_binary_event_may_carry_any_bytes()
    {
        await using var host = await NeighbourHost.StartAsync();

        var taken = await host.SendBytes(HttpMethod.Post, Events, [0xFF, 0x00, 0xFE], contentType: "application/octet-stream", headers: BinaryHeaders);

        Assert.Equal(202, taken.Status);
        Assert.Equal("/wD+", Assert.Single((await host.Get(Events)).Items).GetProperty("event").GetProperty("data_base64").GetString());
    }

    [Fact]
    public async Task Events_are_read_by_tenant()
    {
        await using var host = await NeighbourHost.StartAsync();
        await Send(host, Batch, $"[{Event("e1")},{Event("e2", "globex")}]");

        var read = Assert.Single((await host.Get(Events, "globex")).Items);

        Assert.Equal("e2", read.GetProperty("event").GetProperty("id").GetString());
    }
}

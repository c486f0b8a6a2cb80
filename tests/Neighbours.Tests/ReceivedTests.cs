using System.Text.Json;

namespace Wave16.Neighbours.Tests;

public sealed class ReceivedTests
{
    const string Received = "/neighbours/safety-console/received";
    const string Gates = "/safety-console/gates";

    static JsonElement[] Items(JsonElement page) => [.. page.GetProperty("items").EnumerateArray()];

    static IEnumerable<long> Sequences(JsonElement page) => Items(page).Select(call => call.GetProperty("sequence").GetInt64());

    [Fact]
    public async Task A_call_is_recorded_with_what_was_sent_and_answered()
    {
        var time = new ObservedTime();
        await using var host = await NeighbourHost.StartAsync(time: time);

        await host.Put($"{Gates}/vuln:a%2Fb:%C3%BC?x=%20y", """{"state":"ü"}""", "acme");

        var call = Assert.Single(Items(await host.Received("safety-console")));
        Assert.Equal(1, call.GetProperty("sequence").GetInt64());
        Assert.Equal(time.GetUtcNow(), call.GetProperty("time").GetDateTimeOffset());
        Assert.Equal("PUT", call.GetProperty("method").GetString());
        Assert.Equal("/gates/vuln:a%2Fb:%C3%BC?x=%20y", call.GetProperty("path").GetString());
        Assert.Equal("acme", call.GetProperty("headers").GetProperty("Tenant-Id").GetString());
        Assert.Equal("""{"state":"ü"}""", call.GetProperty("body").GetString());
        Assert.Equal(14, call.GetProperty("bodyBytes").GetInt64());
        Assert.Equal(400, call.GetProperty("status").GetInt32());
    }

    [Fact]
    public async Task A_call_is_on_record_before_its_answer_has_been_read()
    {
        await using var host = await NeighbourHost.StartAsync();
        const string Export = "/control-plane/tenants/acme/exports/v";
        await host.Put(Export, $$"""{"schemaVersion":"1","asOf":"2025-01-01T00:00:00Z","items":["{{new string('x', 30 << 20)}}"]}""");

        // More than the sockets hold: the server is still writing when the caller has the first line.
        using var answer = await host.Client.GetAsync(Export, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);

        var call = Assert.Single(Items(await host.Received("control-plane", "?after=1")));
        Assert.Equal(("GET", 200), (call.GetProperty("method").GetString(), call.GetProperty("status").GetInt32()));
    }

    [Theory]
    [InlineData("Bearer eyJhbGciOi.secret", "Bearer")]
    [InlineData("bearer eyJhbGciOi.secret", "bearer")]
    [InlineData("eyJhbGciOi.secret", null)]
    [InlineData("eyJhbGciOi secret", null)]
    public async Task A_token_is_never_shown(string authorization, string? scheme)
    {
        await using var host = await NeighbourHost.StartAsync();

        await host.Send(
            HttpMethod.Get, $"{Gates}?access_token=eyJhbGciOi.secret",
            headers: [("Authorization", authorization), ("Cookie", "session=eyJhbGciOi.secret"), ("X-Api-Key", "eyJhbGciOi.secret")]);

        var page = await host.Get(Received);
        Assert.DoesNotContain("eyJhbGciOi", page.Body, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", page.Body, StringComparison.Ordinal);
        var seen = Items(page.Json)[0].GetProperty("authorization");
        Assert.True(seen.GetProperty("present").GetBoolean());
        Assert.Equal(scheme, seen.TryGetProperty("scheme", out var shown) ? shown.GetString() : null);
    }

    [Fact]
    public async Task Paths_and_methods_outside_the_contract_are_recorded_too()
    {
        await using var host = await NeighbourHost.StartAsync();

        await host.Get("/safety-console/nothing/here");
        await host.Post(Gates, "{}");
        await host.Get("/safety-console");

        var calls = Items(await host.Received("safety-console"));
        Assert.Equal([("/nothing/here", 404), ("/gates", 405), ("/", 404)], calls.Select(call => (call.GetProperty("path").GetString(), call.GetProperty("status").GetInt32())));
    }

    [Fact]
    public async Task A_reader_goes_on_where_it_stopped()
    {
        await using var host = await NeighbourHost.StartAsync();
        for (var i = 0; i < 5; i++)
            await host.Get(Gates);

        var first = await host.Received("safety-console", "?limit=3");
        var second = await host.Received("safety-console", $"?limit=3&after={first.GetProperty("next")}");
        var third = await host.Received("safety-console", $"?limit=3&after={second.GetProperty("next")}");

        Assert.Equal([1, 2, 3, 4, 5], Sequences(first).Concat(Sequences(second)));
        Assert.Empty(Sequences(third));
        Assert.Equal(5, third.GetProperty("next").GetInt64());
    }

    [Fact]
    public async Task A_waiting_reader_is_answered_by_the_next_call()
    {
        var time = new ObservedTime();
        await using var host = await NeighbourHost.StartAsync(time: time);
        await host.Get(Gates);

        var waiting = host.Received("safety-console", "?after=1&waitMs=30000");
        Assert.Equal(TimeSpan.FromSeconds(30), await time.NextWait);
        Assert.False(waiting.IsCompleted);
        await host.Get(Gates);

        Assert.Equal([2], Sequences(await waiting));
    }

    [Fact]
    public async Task A_waiting_reader_is_answered_empty_when_its_time_is_over()
    {
        var time = new ObservedTime();
        await using var host = await NeighbourHost.StartAsync(time: time);

        var waiting = host.Received("safety-console", "?waitMs=30000");
        await time.NextWait;
        time.Advance(TimeSpan.FromSeconds(30));

        Assert.Empty(Sequences(await waiting));
    }

    [Fact]
    public async Task Many_waiting_readers_are_all_answered()
    {
        var time = new ObservedTime();
        await using var host = await NeighbourHost.StartAsync(time: time);
        var waiting = Enumerable.Range(0, 20).Select(_ => host.Received("safety-console", "?waitMs=60000")).ToList();
        foreach (var _ in waiting)
            await time.NextWait;

        await host.Get(Gates);

        Assert.All(await Task.WhenAll(waiting), page => Assert.Equal([1], Sequences(page)));
    }

    [Fact]
    public async Task A_host_that_stops_lets_its_waiting_readers_go()
    {
        var time = new ObservedTime();
        await using var host = await NeighbourHost.StartAsync(time: time);
        var waiting = host.Get($"{Received}?waitMs=60000");
        await time.NextWait;

        await host.StopAsync();

        Assert.Equal(503, (await waiting).Status);
    }

    [Fact]
    public async Task Clearing_forgets_the_calls_and_numbering_goes_on()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Get(Gates);
        await host.Get(Gates);

        Assert.Equal(204, (await host.Delete(Received)).Status);
        await host.Get(Gates);

        Assert.Equal([3], Sequences(await host.Received("safety-console")));
    }

    [Fact]
    public async Task A_thousand_calls_at_once_are_each_recorded_once_without_a_gap()
    {
        await using var host = await NeighbourHost.StartAsync();

        await Task.WhenAll(Enumerable.Range(0, 1_000).Select(i => host.Put($"{Gates}/vuln:s:{i}", "{}", "acme")));

        var page = await host.Received("safety-console", "?limit=1000");
        Assert.Equal(Enumerable.Range(1, 1_000).Select(i => (long)i), Sequences(page));
        Assert.Equal(
            Enumerable.Range(0, 1_000).Select(i => $"/gates/vuln:s:{i}").Order(StringComparer.Ordinal),
            Items(page).Select(call => call.GetProperty("path").GetString()).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task The_oldest_calls_make_room_and_how_many_did_is_told()
    {
        await using var host = await NeighbourHost.StartAsync();

        await Parallel.ForEachAsync(
            Enumerable.Range(0, 10_050), TestContext.Current.CancellationToken, async (_, cancellationToken) =>
            {
                using var answer = await host.Client.GetAsync("/safety-console/nothing", cancellationToken);
            });

        var page = await host.Received("safety-console", "?limit=1");
        Assert.Equal((50, 10_050), (page.GetProperty("dropped").GetInt64(), page.GetProperty("last").GetInt64()));
        Assert.Equal([51], Sequences(page));
        Assert.Equal([10_050], Sequences(await host.Received("safety-console", "?after=10049")));
    }

    [Fact]
    public async Task Large_bodies_make_room_sooner()
    {
        await using var host = await NeighbourHost.StartAsync();
        var large = new string('x', 64 << 10);
        for (var i = 0; i < 600; i++)
            await host.Put($"{Gates}/vuln:a:b", large);

        var page = await host.Received("safety-console", "?limit=1");

        Assert.InRange(page.GetProperty("dropped").GetInt64(), 80, 120);
        Assert.Equal(page.GetProperty("dropped").GetInt64() + 1, Assert.Single(Sequences(page)));
    }

    [Theory]
    [InlineData("limit=0", "limit")]
    [InlineData("limit=1001", "limit")]
    [InlineData("waitMs=60001", "waitMs")]
    [InlineData("waitMs=-1", "waitMs")]
    [InlineData("after=1&after=2", "after")]
    [InlineData("after=9223372036854775807", "after")]
    public async Task A_question_out_of_range_is_refused(string query, string parameter)
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await host.Get($"{Received}?{query}");

        Assert.Equal(400, refused.Status);
        Assert.Equal([parameter], refused.Refused);
    }
}

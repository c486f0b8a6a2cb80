namespace Wave16.Neighbours.Tests;

public sealed class FaultsTests
{
    const string Faults = "/neighbours/safety-console/faults";
    const string Gates = "/safety-console/gates";

    [Fact]
    public async Task A_neighbour_without_faults_says_so()
    {
        await using var host = await NeighbourHost.StartAsync();

        Assert.Equal("""{"latencyMs":0,"failRate":0,"status":503,"down":false,"seed":0}""", (await host.Get(Faults)).Body);
    }

    [Fact]
    public async Task A_status_is_answered_to_every_call_until_the_faults_are_deleted()
    {
        await using var host = await NeighbourHost.StartAsync();

        var set = await host.Put(Faults, """{"status":429}""");
        var failed = await host.Get(Gates);
        await host.Delete(Faults);

        Assert.Equal("""{"latencyMs":0,"failRate":1,"status":429,"down":false,"seed":0}""", set.Body);
        Assert.Equal((429, "fault.injected", "application/problem+json"), (failed.Status, failed.Code, failed.ContentType));
        Assert.Equal(200, (await host.Get(Gates)).Status);
    }

    [Fact]
    public async Task A_failed_call_changes_nothing()
    {
        await using var host = await NeighbourHost.StartAsync();
        const string Export = "/control-plane/tenants/acme/exports/v";
        await host.Put("/neighbours/control-plane/faults", """{"status":500}""");

        await host.Put(Export, """{"schemaVersion":"1","asOf":"2025-01-01T00:00:00Z","items":[]}""");

        await host.Delete("/neighbours/control-plane/faults");
        Assert.Equal(404, (await host.Get(Export)).Status);
    }

    [Fact]
    public async Task The_faults_of_one_neighbour_are_not_anothers()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put(Faults, """{"down":true}""");

        Assert.Equal(200, (await host.Get("/program-graph/graphs")).Status);
    }

    [Fact]
    public async Task A_neighbour_that_is_down_aborts_the_connection_and_the_call_is_recorded_unanswered()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put(Faults, """{"down":true}""");

        await Assert.ThrowsAsync<HttpRequestException>(() => host.Put($"{Gates}/vuln:a:b", "{}"));

        var call = (await host.Received("safety-console")).GetProperty("items")[0];
        Assert.Equal(System.Text.Json.JsonValueKind.Null, call.GetProperty("status").ValueKind);
        Assert.Equal(("down", "{}"), (call.GetProperty("fault").GetString(), call.GetProperty("body").GetString()));
    }

    [Fact]
    public async Task The_same_seed_fails_the_same_calls_and_about_the_fraction_asked()
    {
        await using var host = await NeighbourHost.StartAsync();

        var first = await Statuses(host, seed: 7);
        var again = await Statuses(host, seed: 7);
        var other = await Statuses(host, seed: 8);

        Assert.Equal(first, again);
        Assert.NotEqual(first, other);
        Assert.InRange(first.Count(status => status == 503), 40, 80);
    }

    static async Task<List<int>> Statuses(NeighbourHost host, int seed)
    {
        await host.Put(Faults, $$"""{"failRate":0.3,"seed":{{seed}}}""");
        var statuses = new List<int>();
        for (var i = 0; i < 200; i++)
            statuses.Add((await host.Get(Gates)).Status);
        return statuses;
    }

    [Theory]
    [InlineData("0", 200)]
    [InlineData("1", 503)]
    public async Task The_fractions_ends_are_never_and_always(string rate, int status)
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put(Faults, $$"""{"failRate":{{rate}}}""");

        var statuses = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => host.Get(Gates)));

        Assert.All(statuses, answer => Assert.Equal(status, answer.Status));
    }

    [Fact]
    public async Task Latency_passes_before_the_call_is_handled()
    {
        var time = new ObservedTime();
        await using var host = await NeighbourHost.StartAsync(time: time);
        await host.Put(Faults, """{"latencyMs":1500}""");

        var answering = host.Get(Gates);
        Assert.Equal(TimeSpan.FromMilliseconds(1500), await time.NextWait);
        time.Advance(TimeSpan.FromMilliseconds(1499));
        Assert.False(answering.IsCompleted);
        Assert.Empty((await host.Received("safety-console")).GetProperty("items").EnumerateArray());
        time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.Equal(200, (await answering).Status);
    }

    [Fact]
    public async Task A_caller_that_gives_up_during_the_latency_has_changed_nothing()
    {
        var time = new ObservedTime();
        await using var host = await NeighbourHost.StartAsync(time: time);
        const string Graph = "/program-graph/graphs/v";
        await host.Put("/neighbours/program-graph/faults", """{"latencyMs":1000}""");
        using var patience = new CancellationTokenSource();
        using var request = new HttpRequestMessage(HttpMethod.Put, Graph) { Content = new StringContent("""{"graph":{}}""") };

        var sending = host.Client.SendAsync(request, patience.Token);
        await time.NextWait;
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);

        var call = await FirstReceived(host, "program-graph");
        Assert.Equal(System.Text.Json.JsonValueKind.Null, call.GetProperty("status").ValueKind);
        await host.Delete("/neighbours/program-graph/faults");
        Assert.Equal(404, (await host.Get(Graph, "acme")).Status);
    }

    static async Task<System.Text.Json.JsonElement> FirstReceived(NeighbourHost host, string name) =>
        (await host.Received(name, "?waitMs=60000")).GetProperty("items")[0];

    [Fact]
    public async Task A_host_that_stops_does_not_wait_for_a_long_latency()
    {
        var time = new ObservedTime();
        await using var host = await NeighbourHost.StartAsync(time: time);
        await host.Put(Faults, """{"latencyMs":600000}""");
        var answering = host.Get(Gates);
        await time.NextWait;

        await host.StopAsync();

        await Assert.ThrowsAsync<HttpRequestException>(() => answering);
    }

    [Theory]
    [InlineData("""{"failRate":1.01}""", "#/failRate")]
    [InlineData("""{"failRate":-0.1}""", "#/failRate")]
    [InlineData("""{"failRate":"1"}""", "#/failRate")]
    [InlineData("""{"failRate":1e999}""", "#/failRate")]
    [InlineData("""{"latencyMs":-1}""", "#/latencyMs")]
    [InlineData("""{"latencyMs":600001}""", "#/latencyMs")]
    [InlineData("""{"latencyMs":1.5}""", "#/latencyMs")]
    [InlineData("""{"latencyMs":99999999999}""", "#/latencyMs")]
    [InlineData("""{"status":200}""", "#/status")]
    [InlineData("""{"status":600}""", "#/status")]
    [InlineData("""{"down":"yes"}""", "#/down")]
    [InlineData("""{"latency":5}""", "#/latency")]
    public async Task Faults_out_of_range_are_refused_and_leave_those_set(string body, string pointer)
    {
        await using var host = await NeighbourHost.StartAsync();
        var set = await host.Put(Faults, """{"latencyMs":1}""");

        var refused = await host.Put(Faults, body);

        Assert.Equal((400, "application/problem+json"), (refused.Status, refused.ContentType));
        Assert.Equal([pointer], refused.Refused);
        Assert.Equal(set.Body, (await host.Get(Faults)).Body);
    }

    [Fact]
    public async Task Faults_of_a_neighbour_that_does_not_exist_are_404_and_name_those_that_do()
    {
        await using var host = await NeighbourHost.StartAsync();

        var refused = await host.Put("/neighbours/safety-consoles/faults", "{}");

        Assert.Equal(404, refused.Status);
        Assert.Contains(string.Join(", ", NeighboursExtensions.Names), refused.Text("detail"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_method_that_faults_do_not_have_is_405()
    {
        await using var host = await NeighbourHost.StartAsync("/neighbours");

        Assert.Equal(405, (await host.Post(Faults, "{}")).Status);
        Assert.Equal(405, (await host.Post("/neighbours/safety-console/received", "{}")).Status);
    }

    [Fact]
    public async Task Asking_about_faults_is_not_recorded_as_a_call()
    {
        await using var host = await NeighbourHost.StartAsync("/neighbours");
        await host.Put(Faults, """{"down":true}""");
        await host.Get(Faults);

        Assert.Equal(0, (await host.Received("safety-console")).GetProperty("last").GetInt64());
    }
}

using Microsoft.Extensions.Time.Testing;

namespace Wave16.Neighbours.Tests;

public sealed class ControlPlaneTests
{
    const string Export = "/control-plane/tenants/acme/exports/vuln-center";

    [Fact]
    public async Task Every_tenant_is_placed_and_the_same_place_on_every_run()
    {
        await using var one = await NeighbourHost.StartAsync();
        await using var other = await NeighbourHost.StartAsync();

        var here = await one.Get("/control-plane/tenants/acme/placement");
        var there = await other.Get("/control-plane/tenants/acme/placement");

        Assert.Equal(200, here.Status);
        Assert.Equal("acme", here.Text("tenant"));
        Assert.Equal((here.Text("cluster"), here.Text("region")), (there.Text("cluster"), there.Text("region")));
    }

    [Fact]
    public async Task A_tenant_can_be_moved_and_the_placement_says_when()
    {
        var time = new FakeTimeProvider(new(2025, 6, 1, 0, 0, 0, TimeSpan.Zero));
        await using var host = await NeighbourHost.StartAsync(time: time);
        time.Advance(TimeSpan.FromHours(1));

        await host.Put("/control-plane/tenants/a%2Fb/placement", """{"cluster":"c9","environment":"staging","region":"us-east"}""");

        var placement = await host.Get("/control-plane/tenants/a%2Fb/placement");
        Assert.Equal(("a/b", "c9", "staging"), (placement.Text("tenant"), placement.Text("cluster"), placement.Text("environment")));
        Assert.Equal(time.GetUtcNow(), placement.Json.GetProperty("asOf").GetDateTimeOffset());
        Assert.NotEqual("c9", (await host.Get("/control-plane/tenants/other/placement")).Text("cluster"));
    }

    [Fact]
    public async Task A_placement_without_its_parts_is_refused()
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put("/control-plane/tenants/acme/placement", """{"cluster":""}""");

        Assert.Equal(["#/cluster", "#/environment", "#/region"], put.Refused);
    }

    [Fact]
    public async Task An_export_is_read_as_it_was_sent_and_replaced_by_the_next()
    {
        await using var host = await NeighbourHost.StartAsync();
        const string First = """{"schemaVersion":"1","asOf":"2025-01-01T00:00:00Z","items":[{"id":1},{"id":2}],"more":true}""";
        const string Next = """{"schemaVersion":"1","asOf":"2025-01-02T00:00:00Z","items":[]}""";

        var created = await host.Put(Export, First);
        var read = await host.Get(Export);
        var replaced = await host.Put(Export, Next);

        Assert.Equal((201, 2), (created.Status, created.Json.GetProperty("items").GetInt32()));
        Assert.Equal(First, read.Body);
        Assert.Equal(200, replaced.Status);
        Assert.Equal(Next, (await host.Get(Export)).Body);
    }

    [Theory]
    [InlineData("""{}""", "#/schemaVersion", "#/asOf", "#/items")]
    [InlineData("""{"schemaVersion":1,"asOf":"2025-01-01T00:00:00","items":{}}""", "#/schemaVersion", "#/asOf", "#/items")]
    [InlineData("""{"schemaVersion":"1","asOf":1735689600,"items":[]}""", "#/asOf")]
    public async Task An_export_without_version_time_and_items_is_refused(string body, params string[] refused)
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put(Export, body);

        Assert.Equal(400, put.Status);
        Assert.Equal(refused, put.Refused);
        Assert.Equal(404, (await host.Get(Export)).Status);
    }
}

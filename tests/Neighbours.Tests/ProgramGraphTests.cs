namespace Wave16.Neighbours.Tests;

public sealed class ProgramGraphTests
{
    const string Graph = "/program-graph/graphs/vuln-center";

    const string Findings =
        """{"graph":{"directed":true,"type":"findings","nodes":{"finding:1":{"label":"CVE","metadata":{"severity":"critical"}},"service:pay":{"label":"pay"}},"edges":[{"source":"finding:1","relation":"affects","target":"service:pay"}]}}""";

    [Fact]
    public async Task A_graph_is_read_as_it_was_exported()
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Send(HttpMethod.Put, Graph, Findings, "acme", "application/vnd.jgf+json");

        Assert.Equal(201, put.Status);
        var read = await host.Get(Graph, "acme");
        Assert.Equal("application/vnd.jgf+json", read.ContentType);
        var graph = read.Json.GetProperty("graph");
        Assert.Equal("critical", graph.GetProperty("nodes").GetProperty("finding:1").GetProperty("metadata").GetProperty("severity").GetString());
        Assert.Equal("service:pay", graph.GetProperty("edges")[0].GetProperty("target").GetString());
    }

    [Fact]
    public async Task An_export_replaces_the_one_before()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put(Graph, Findings, "acme");

        var again = await host.Put(Graph, """{"graph":{"nodes":{"finding:2":{}}}}""", "acme");

        Assert.Equal(200, again.Status);
        Assert.Equal((1, 0), Counts(again));
    }

    [Fact]
    public async Task A_link_adds_to_the_graph_and_is_one_however_often_it_is_sent()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put(Graph, Findings, "acme");
        const string Link = """{"graph":{"nodes":{"finding:2":{"label":"XSS"}},"edges":[{"source":"finding:2","relation":"affects","target":"service:pay"}]}}""";

        await host.Post(Graph, Link, "acme");
        var again = await host.Post(Graph, Link, "acme");

        Assert.Equal((3, 2), Counts(again));
    }

    [Fact]
    public async Task Links_sent_at_once_are_all_kept()
    {
        await using var host = await NeighbourHost.StartAsync();

        await Task.WhenAll(Enumerable.Range(0, 100).Select(i => host.Post(Graph, $$"""{"graph":{"nodes":{"n{{i}}":{ } } } }""", "acme")));

        Assert.Equal((100, 0), Counts((await host.Get("/program-graph/graphs")).Items.Single()));
    }

    [Fact]
    public async Task An_edge_needs_both_its_nodes()
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put(Graph, """{"graph":{"nodes":{"a":{}},"edges":[{"source":"a","target":"a"},{"source":"a","target":"zz"},{"target":"a"}]}}""", "acme");

        Assert.Equal(400, put.Status);
        Assert.Equal(["#/graph/edges/1/target", "#/graph/edges/2/source"], put.Refused);
        Assert.Equal(404, (await host.Get(Graph, "acme")).Status);
    }

    [Theory]
    [InlineData("""{"graph":{"nodes":{"a":{},"a":{}}}}""", "#/graph/nodes/a")]
    [InlineData("""{"graph":{"nodes":{"a b":{"colour":"red"}}}}""", "#/graph/nodes/a%20b/colour")]
    [InlineData("""{"graph":{"nodes":[{"id":"a"}]}}""", "#/graph/nodes")]
    [InlineData("""{"graph":{"edges":[{"source":"a"},{"source":{}}]}}""", "#/graph/edges/1/source")]
    [InlineData("""{"nodes":[]}""", "#/nodes")]
    [InlineData("""{}""", "#/graph")]
    public async Task What_is_not_a_JSON_graph_is_refused_where_it_stands(string body, string pointer)
    {
        await using var host = await NeighbourHost.StartAsync();

        var put = await host.Put(Graph, body, "acme");

        Assert.Equal(400, put.Status);
        Assert.Equal([pointer], put.Refused);
    }

    [Fact]
    public async Task Each_tenant_has_its_own_graph_of_a_source()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put(Graph, Findings, "acme");

        Assert.Equal(404, (await host.Get(Graph, "globex")).Status);
        Assert.Empty((await host.Get("/program-graph/graphs", "globex")).Items);
    }

    [Fact]
    public async Task Deleting_a_graph_twice_answers_the_same()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put(Graph, Findings, "acme");

        Assert.Equal(204, (await host.Delete(Graph, "acme")).Status);
        Assert.Equal(204, (await host.Delete(Graph, "acme")).Status);
        Assert.Equal(404, (await host.Get(Graph, "acme")).Status);
    }

    static (int, int) Counts(Answer answer) => Counts(answer.Json);

    static (int Nodes, int Edges) Counts(System.Text.Json.JsonElement summary) =>
        (summary.GetProperty("nodes").GetInt32(), summary.GetProperty("edges").GetInt32());
}

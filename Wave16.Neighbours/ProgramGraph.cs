using System.Text.Json;

namespace Wave16.Neighbours;

/// <summary>JSON Graph Format 2 (jsongraphformat.info), one graph a document, no hyperedges.</summary>
internal sealed record GraphDocument(Graph? Graph);

internal sealed record Graph(
    string? Id, string? Type, string? Label, bool? Directed, IReadOnlyDictionary<string, JsonElement>? Metadata,
    IReadOnlyDictionary<string, Node>? Nodes, IReadOnlyList<Edge>? Edges);

internal sealed record Node(string? Label, IReadOnlyDictionary<string, JsonElement>? Metadata);

internal sealed record Edge(
    string? Id, string? Source, string? Target, string? Relation, bool? Directed, string? Label, IReadOnlyDictionary<string, JsonElement>? Metadata);

internal sealed record GraphSummary(string Tenant, string Source, int Nodes, int Edges, DateTimeOffset ReceivedAt);

/// <summary>program-graph: one graph per tenant and source, exported whole with PUT or linked piece by piece with POST.</summary>
internal sealed class ProgramGraph(TimeProvider time) : IStandIn
{
    public const string SystemName = "program-graph";

    const string MediaType = "application/vnd.jgf+json";

    readonly Lock _gate = new();
    readonly Shelf<(string Tenant, string Source), (GraphSummary Summary, Graph Graph)> _graphs = new(capacity: 1_000);

    public string Name => SystemName;

    public int MaxBodyBytes => 64 << 20;

    public void Map(IEndpointRouteBuilder system)
    {
        system.MapPut("/graphs/{source}", context => Take(context, merge: false).ExecuteAsync(context));
        system.MapPost("/graphs/{source}", context => Take(context, merge: true).ExecuteAsync(context));
        system.MapDelete("/graphs/{source}", Delete);
        system.MapGet("/graphs/{source}", Get);
        system.MapGet("/graphs", List);
    }

    IResult Take(HttpContext context, bool merge)
    {
        if (!JsonBody.TryRead(context, NeighboursJson.Default.GraphDocument, out var document, out var refusal, [MediaType, "application/json"]))
            return refusal;

        var checks = new Checks();
        var (tenant, source) = (checks.Tenant(context.Request), checks.Segment(context.Request, ^1, "source"));
        if (document.Graph is null)
            checks.Add("#/graph", "is required");
        if (checks.Refusal is { } incomplete)
            return incomplete;

        lock (_gate)
        {
            var known = merge && _graphs.TryGet((tenant, source), out var held) ? held.Graph : null;
            var graph = Merged(known, document.Graph ?? new(null, null, null, null, null, null, null), checks);
            if (checks.Refusal is { } refused)
                return refused;
            var summary = new GraphSummary(tenant, source, graph.Nodes?.Count ?? 0, graph.Edges?.Count ?? 0, time.GetUtcNow());
            return _graphs.Put((tenant, source), (summary, graph)) switch
            {
                Placed.Full => Problems.Full("graphs"),
                var placed => TypedResults.Json(
                    summary, NeighboursJson.Default.GraphSummary, statusCode: placed is Placed.Created ? StatusCodes.Status201Created : StatusCodes.Status200OK),
            };
        }
    }

    /// <summary>Nodes are one by id; edges by id, or by their ends and relation when they have none.</summary>
    static Graph Merged(Graph? known, Graph sent, Checks checks)
    {
        var nodes = new SortedDictionary<string, Node>(StringComparer.Ordinal);
        foreach (var (id, node) in (known?.Nodes ?? new Dictionary<string, Node>()).Concat(sent.Nodes ?? new Dictionary<string, Node>()))
            nodes[id] = node;

        var edges = (known?.Edges ?? []).ToDictionary(Identity);
        foreach (var (index, edge) in (sent.Edges ?? []).Index())
        {
            CheckEnd(edge.Source, index, "source");
            CheckEnd(edge.Target, index, "target");
            edges[Identity(edge)] = edge;
        }
        return sent with { Nodes = nodes, Edges = [.. edges.Values] };

        void CheckEnd(string? node, int edge, string end)
        {
            if (node is null)
                checks.Add(JsonPointer.Of("graph", "edges", edge, end), "is required");
            else if (!nodes.ContainsKey(node))
                checks.Add(JsonPointer.Of("graph", "edges", edge, end), $"there is no node {node}");
        }

        static (string?, string?, string?, string?) Identity(Edge edge) =>
            edge.Id is null ? (null, edge.Source, edge.Relation, edge.Target) : (edge.Id, null, null, null);
    }

    IResult Delete(HttpContext context)
    {
        var checks = new Checks();
        var (tenant, source) = (checks.Tenant(context.Request), checks.Segment(context.Request, ^1, "source"));
        if (checks.Refusal is { } refused)
            return refused;
        _graphs.Remove((tenant, source));
        return TypedResults.NoContent();
    }

    IResult Get(HttpContext context)
    {
        var checks = new Checks();
        var (tenant, source) = (checks.Tenant(context.Request), checks.Segment(context.Request, ^1, "source"));
        if (checks.Refusal is { } refused)
            return refused;
        return _graphs.TryGet((tenant, source), out var held)
            ? TypedResults.Json(new GraphDocument(held.Graph), NeighboursJson.Default.GraphDocument, MediaType)
            : Problems.NotFound($"There is no graph of {source}.");
    }

    IResult List(HttpContext context)
    {
        var checks = new Checks();
        var tenant = checks.OptionalTenant(context.Request);
        var (after, limit) = (checks.After(context.Request), checks.Limit(context.Request));
        if (checks.Refusal is { } refused)
            return refused;
        var page = _graphs.Read(after, limit, held => tenant is null || held.Summary.Tenant == tenant);
        return TypedResults.Json(new Page<GraphSummary>([.. page.Items.Select(held => held.Summary)], page.Next), NeighboursJson.Default.PageGraphSummary);
    }
}

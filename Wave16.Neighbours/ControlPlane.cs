using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Wave16.Neighbours;

internal sealed record PlacementBody(string? Cluster, string? Environment, string? Region);

/// <summary>Where a tenant runs, and since when this is known: a reader that keeps a copy states its age by that.</summary>
internal sealed record Placement(string Tenant, string Cluster, string Environment, string Region, DateTimeOffset AsOf);

internal sealed record ExportReceipt(string Tenant, string Source, int Items, long Bytes, DateTimeOffset ReceivedAt);

/// <summary>control-plane: tenants' placements, and the exports modules give about a tenant, each replacing the last.</summary>
internal sealed class ControlPlane(TimeProvider time) : IStandIn
{
    public const string SystemName = "control-plane";

    static readonly string[] Regions = ["eu-west", "eu-north", "us-east"];

    readonly DateTimeOffset _started = time.GetUtcNow();
    readonly Shelf<string, Placement> _placements = new();
    readonly Shelf<(string Tenant, string Source), ReadOnlyMemory<byte>> _exports = new(capacity: 1_000);

    public string Name => SystemName;

    public int MaxBodyBytes => 64 << 20;

    public void Map(IEndpointRouteBuilder system)
    {
        system.MapGet("/tenants/{id}/placement", GetPlacement);
        system.MapPut("/tenants/{id}/placement", SetPlacement);
        system.MapPut("/tenants/{id}/exports/{source}", TakeExport);
        system.MapGet("/tenants/{id}/exports/{source}", GetExport);
    }

    IResult GetPlacement(HttpContext context)
    {
        var checks = new Checks();
        var tenant = checks.Segment(context.Request, ^2, "id");
        if (checks.Refusal is { } refused)
            return refused;
        return TypedResults.Json(_placements.TryGet(tenant, out var set) ? set : Usual(tenant), NeighboursJson.Default.Placement);
    }

    // By hand, for a demonstration or a test that moves a tenant.
    IResult SetPlacement(HttpContext context)
    {
        if (!JsonBody.TryRead(context, NeighboursJson.Default.PlacementBody, out var body, out var refusal))
            return refusal;
        var checks = new Checks();
        var placement = new Placement(
            checks.Segment(context.Request, ^2, "id"),
            checks.Text("cluster", body.Cluster, 100),
            checks.Text("environment", body.Environment, 100),
            checks.Text("region", body.Region, 100),
            time.GetUtcNow());
        if (checks.Refusal is { } refused)
            return refused;
        return _placements.Put(placement.Tenant, placement) is Placed.Full
            ? Problems.Full("placements")
            : TypedResults.Json(placement, NeighboursJson.Default.Placement);
    }

    IResult TakeExport(HttpContext context)
    {
        if (!JsonBody.TryRead(context, NeighboursJson.Default.DictionaryStringJsonElement, out var document, out var refusal))
            return refusal;
        var checks = new Checks();
        var (tenant, source) = (checks.Segment(context.Request, ^3, "id"), checks.Segment(context.Request, ^1, "source"));
        checks.Text("schemaVersion", document.TryGetValue("schemaVersion", out var version) && version.ValueKind == JsonValueKind.String ? version.GetString() : null, 20);
        CheckTime("asOf", document, checks);
        var items = document.TryGetValue("items", out var list) && list.ValueKind == JsonValueKind.Array ? list.GetArrayLength() : -1;
        if (items < 0)
            checks.Add("#/items", "must be an array");
        if (checks.Refusal is { } refused)
            return refused;

        var body = RequestBody.Of(context);
        var receipt = new ExportReceipt(tenant, source, items, body.Length, time.GetUtcNow());
        return _exports.Put((tenant, source), body.Bytes) switch
        {
            Placed.Full => Problems.Full("exports"),
            var placed => TypedResults.Json(
                receipt, NeighboursJson.Default.ExportReceipt, statusCode: placed is Placed.Created ? StatusCodes.Status201Created : StatusCodes.Status200OK),
        };
    }

    IResult GetExport(HttpContext context)
    {
        var checks = new Checks();
        var (tenant, source) = (checks.Segment(context.Request, ^3, "id"), checks.Segment(context.Request, ^1, "source"));
        if (checks.Refusal is { } refused)
            return refused;
        return _exports.TryGet((tenant, source), out var document)
            ? TypedResults.Bytes(document, "application/json")
            : Problems.NotFound($"There is no export of {source} about {tenant}.");
    }

    static void CheckTime(string field, Dictionary<string, JsonElement> document, Checks checks)
    {
        if (!document.TryGetValue(field, out var value))
            checks.Add(JsonPointer.Of(field), "is required");
        else if (value.ValueKind != JsonValueKind.String || !Rfc3339.TryParse(value.GetString(), out _))
            checks.Add(JsonPointer.Of(field), Rfc3339.Reason);
    }

    // A tenant nobody placed runs where its id says, the same on every machine.
    Placement Usual(string tenant)
    {
        var draw = SHA256.HashData(Encoding.UTF8.GetBytes(tenant))[0];
        return new(tenant, string.Create(CultureInfo.InvariantCulture, $"cluster-{draw % 4 + 1}"), "production", Regions[draw % Regions.Length], _started);
    }
}

using System.Text.Json.Serialization;

namespace Wave16.Neighbours;

[JsonConverter(typeof(Kebab<GateState>))]
internal enum GateState { Blocking }

[JsonConverter(typeof(Kebab<Severity>))]
internal enum Severity { Critical, High, Medium, Low, Info }

internal sealed record GateBody(
    GateState? State, Severity? Severity, string? Service, string? Finding, string? Title, string? Url, DateTimeOffset? Since);

/// <summary>A gate as safety-console holds it; one per tenant and key.</summary>
internal sealed record Gate(
    string Tenant, string Key, GateState State, Severity Severity, string Service, string Finding, string Title, string Url,
    DateTimeOffset Since, DateTimeOffset ReceivedAt);

/// <summary>safety-console: gates that hold a release back, put up and withdrawn idempotently by key <c>vuln:{service}:{finding}</c>.</summary>
internal sealed class SafetyConsole(TimeProvider time) : IStandIn
{
    public const string SystemName = "safety-console";

    readonly Shelf<(string Tenant, string Key), Gate> _gates = new();

    public string Name => SystemName;

    public int MaxBodyBytes => 64 << 10;

    public void Map(IEndpointRouteBuilder system)
    {
        system.MapPut("/gates/{key}", PutGate);
        system.MapDelete("/gates/{key}", DeleteGate);
        system.MapGet("/gates/{key}", GetGate);
        system.MapGet("/gates", ListGates);
    }

    IResult PutGate(HttpContext context)
    {
        if (!JsonBody.TryRead(context, NeighboursJson.Default.GateBody, out var body, out var refusal))
            return refusal;

        var checks = new Checks();
        var gate = new Gate(
            checks.Tenant(context.Request),
            checks.Segment(context.Request, ^1, "key"),
            checks.Required("state", body.State),
            checks.Required("severity", body.Severity),
            checks.Text("service", body.Service, 400),
            checks.Text("finding", body.Finding, 400),
            checks.Text("title", body.Title),
            checks.Link("url", body.Url),
            checks.Required("since", body.Since),
            time.GetUtcNow());
        if (checks.Refusal is null && gate.Key != $"vuln:{gate.Service}:{gate.Finding}")
            checks.Add("#", $"the key {gate.Key} is not vuln:{{service}}:{{finding}} of this body");
        if (checks.Refusal is { } refused)
            return refused;

        return _gates.Put((gate.Tenant, gate.Key), gate) switch
        {
            Placed.Created => TypedResults.Json(gate, NeighboursJson.Default.Gate, statusCode: StatusCodes.Status201Created),
            Placed.Replaced => TypedResults.Json(gate, NeighboursJson.Default.Gate),
            _ => Problems.Full("gates"),
        };
    }

    IResult DeleteGate(HttpContext context)
    {
        var checks = new Checks();
        var (tenant, key) = (checks.Tenant(context.Request), checks.Segment(context.Request, ^1, "key"));
        if (checks.Refusal is { } refused)
            return refused;
        _gates.Remove((tenant, key));
        return TypedResults.NoContent();
    }

    IResult GetGate(HttpContext context)
    {
        var checks = new Checks();
        var (tenant, key) = (checks.Tenant(context.Request), checks.Segment(context.Request, ^1, "key"));
        if (checks.Refusal is { } refused)
            return refused;
        return _gates.TryGet((tenant, key), out var gate)
            ? TypedResults.Json(gate, NeighboursJson.Default.Gate)
            : Problems.NotFound($"There is no gate {key}.");
    }

    IResult ListGates(HttpContext context)
    {
        var checks = new Checks();
        var tenant = checks.OptionalTenant(context.Request);
        var (after, limit) = (checks.After(context.Request), checks.Limit(context.Request));
        return checks.Refusal
            ?? TypedResults.Json(_gates.Read(after, limit, gate => tenant is null || gate.Tenant == tenant), NeighboursJson.Default.PageGate);
    }
}

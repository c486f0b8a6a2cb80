using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace Wave16.Neighbours;

internal sealed record NeighbourLinks(string Self, string Faults, string Received);

internal sealed record NeighbourEntry(string Name, NeighbourLinks Links, Faults Faults, long Received, long Dropped);

internal sealed record NeighbourList(IReadOnlyList<NeighbourEntry> Items);

/// <summary>What is about the stand-ins and not of them: the list, the faults, the calls received.</summary>
internal static class ControlEndpoints
{
    const int MaxFaultsBytes = 4 << 10;

    public static void Map(IEndpointRouteBuilder routes, Neighbourhood neighbourhood, string prefix)
    {
        routes.MapGet("/neighbours", (HttpContext context) => TypedResults.Json(List(neighbourhood, context.Request.PathBase, prefix), NeighboursJson.Default.NeighbourList));

        // Literal names: a parameter in their place would lose against the system's own catch-all route.
        foreach (var neighbour in neighbourhood.All)
        {
            var faults = $"/neighbours/{neighbour.Name}/faults";
            routes.MapGet(faults, () => Shown(neighbour.Faults.Current));
            routes.MapPut(faults, (HttpContext context, CancellationToken cancellationToken) => SetFaultsAsync(context, neighbour.Faults, cancellationToken));
            routes.MapDelete(faults, () =>
            {
                neighbour.Faults.Set(Faults.None);
                return TypedResults.NoContent();
            });
            routes.Map(faults, (HttpContext context) => NotAllowed(context, "GET, PUT, DELETE"));

            var received = $"/neighbours/{neighbour.Name}/received";
            routes.MapGet(received, (HttpContext context, IHostApplicationLifetime lifetime) =>
                ReadReceivedAsync(context, neighbour.Received, lifetime.ApplicationStopping));
            routes.MapDelete(received, () =>
            {
                neighbour.Received.Clear();
                return TypedResults.NoContent();
            });
            routes.Map(received, (HttpContext context) => NotAllowed(context, "GET, DELETE"));
        }
        routes.Map("/neighbours/{name}/{**rest}", (string name) =>
            Problems.NotFound($"There is no neighbour {name} here; there are {string.Join(", ", NeighboursExtensions.Names)}."));
    }

    static NeighbourList List(Neighbourhood neighbourhood, PathString pathBase, string prefix) =>
        new([.. neighbourhood.All.Select(neighbour =>
        {
            var (last, _, dropped) = neighbour.Received.Counts;
            var control = $"{pathBase}/neighbours/{neighbour.Name}";
            return new NeighbourEntry(
                neighbour.Name,
                new($"{pathBase}{prefix}/{neighbour.Name}", $"{control}/faults", $"{control}/received"),
                neighbour.Faults.Current,
                last,
                dropped);
        })]);

    static async Task<IResult> SetFaultsAsync(HttpContext context, FaultSwitch faults, CancellationToken cancellationToken)
    {
        var body = await RequestBody.ReadAsync(context.Request, MaxFaultsBytes, cancellationToken);
        if (body.Refusal is { } unreadable)
            return unreadable;
        context.Features.Set(body);
        if (!JsonBody.TryRead(context, NeighboursJson.Default.FaultsBody, out var asked, out var refusal))
            return refusal;

        var checks = new Checks();
        var set = Faults.Of(asked, checks);
        if (checks.Refusal is { } refused)
            return refused;
        faults.Set(set);
        return Shown(set);
    }

    static async Task<IResult> ReadReceivedAsync(HttpContext context, ReceivedLog received, CancellationToken stopping)
    {
        var checks = new Checks();
        var after = checks.After(context.Request);
        var limit = checks.Limit(context.Request);
        var waitMs = checks.Number(context.Request, "waitMs", 0, 0, 60_000);
        if (checks.Refusal is { } refused)
            return refused;

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        try
        {
            var page = await received.ReadAsync(after, limit, TimeSpan.FromMilliseconds(waitMs), patience.Token);
            return TypedResults.Json(page, NeighboursJson.Default.ReceivedPage);
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested)
        {
            return Problems.Of(StatusCodes.Status503ServiceUnavailable, "stopping", "The host is stopping.");
        }
    }

    static JsonHttpResult<Faults> Shown(Faults faults) => TypedResults.Json(faults, NeighboursJson.Default.Faults);

    static IResult NotAllowed(HttpContext context, string allowed)
    {
        context.Response.Headers[HeaderNames.Allow] = allowed;
        context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
        return Problems.Plain(context);
    }
}

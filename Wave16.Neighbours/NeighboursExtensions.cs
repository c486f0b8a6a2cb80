using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Wave16.Neighbours;

/// <summary>
/// Stand-ins for the systems around Wave 16, in memory, for development and tests. README.md states each contract.
/// </summary>
public static class NeighboursExtensions
{
    /// <summary>The systems stood in for, in alphabetical order: the first path segment of each.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        AuditTrail.SystemName,
        ControlPlane.SystemName,
        IntegrationHub.SystemName,
        ProgramGraph.SystemName,
        SafetyConsole.SystemName,
    ];

    /// <summary>
    /// Registers the stand-ins. Time comes from the registered <see cref="TimeProvider"/>, the system's own when there is none.
    /// <c>Neighbours:integration-hub:WebhookSecret</c> (<c>whsec_…</c>) makes integration-hub verify webhook signatures.
    /// </summary>
    public static IServiceCollection AddNeighbours(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<Neighbourhood>();
        services.TryAddEnumerable(
        [
            ServiceDescriptor.Singleton<IStandIn, AuditTrail>(),
            ServiceDescriptor.Singleton<IStandIn, ControlPlane>(),
            ServiceDescriptor.Singleton<IStandIn, IntegrationHub>(),
            ServiceDescriptor.Singleton<IStandIn, ProgramGraph>(),
            ServiceDescriptor.Singleton<IStandIn, SafetyConsole>(),
        ]);
        return services;
    }

    /// <summary>
    /// Maps every system's own paths below <c>{prefix}/{name}</c>, and, whatever the prefix, at the root:
    /// <c>GET /neighbours</c>, <c>/neighbours/{name}/faults</c> and <c>/neighbours/{name}/received</c>.
    /// All of them are anonymous, outside the host's rate, time and body limits, and absent from OpenAPI documents.
    /// </summary>
    /// <param name="endpoints">The host's routes.</param>
    /// <param name="prefix">Empty, or a path such as <c>/neighbours</c>: a leading slash and no trailing one.</param>
    /// <exception cref="ArgumentException">The prefix has another shape.</exception>
    /// <exception cref="FormatException">The configured webhook secret is not a Standard Webhooks secret.</exception>
    public static IEndpointRouteBuilder MapNeighbours(this IEndpointRouteBuilder endpoints, string prefix = "")
    {
        if (prefix.Length > 0 && (!prefix.StartsWith('/') || prefix.EndsWith('/')))
            throw new ArgumentException("A prefix begins with a slash and does not end with one.", nameof(prefix));

        var neighbourhood = endpoints.ServiceProvider.GetRequiredService<Neighbourhood>();
        var routes = endpoints.MapGroup("");
        routes.ExcludeFromDescription().AllowAnonymous().DisableRateLimiting().DisableRequestTimeout();
        foreach (var neighbour in neighbourhood.All)
        {
            var root = $"{prefix}/{neighbour.Name}";
            routes.Map($"{root}/{{**rest}}", Pipeline(endpoints, neighbour, root));
        }
        ControlEndpoints.Map(routes, neighbourhood, prefix);
        return endpoints;
    }

    // Each system routes for itself behind its intake, so that a path it does not know, a method it does not allow
    // and a call refused by a fault are recorded like any other.
    static RequestDelegate Pipeline(IEndpointRouteBuilder endpoints, Neighbour neighbour, string root)
    {
        var app = endpoints.CreateApplicationBuilder();
        app.Use(next => context => neighbour.Intake.InvokeAsync(context, root, next));
        app.UseStatusCodePages(page => Problems.Plain(page.HttpContext).ExecuteAsync(page.HttpContext));
        app.Use(next => context =>
        {
            context.SetEndpoint(null);
            context.Request.RouteValues = [];
            return next(context);
        });
        app.UseRouting();
        app.UseEndpoints(inner => neighbour.StandIn.Map(inner.MapGroup(root).AllowAnonymous().ExcludeFromDescription()));
        return app.Build();
    }
}

using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Wave16.ServiceDefaults;

internal static class HealthEndpoints
{
    public static void Map(IEndpointRouteBuilder app)
    {
        var probes = app.MapGroup("").AllowAnonymous().DisableRateLimiting().DisableHttpMetrics().ExcludeFromDescription();
        probes.MapGet("/alive", () => TypedResults.Json(new Alive("alive"), Wave16Json.Options));
        probes.MapGet("/health", (HttpContext http) =>
        {
            var health = Read(http.RequestServices);
            http.Response.Headers.CacheControl = "no-store";
            return TypedResults.Json(health, Wave16Json.Options, statusCode: health.WaitingFor.Count == 0 ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
        });
    }

    private static HealthReport Read(IServiceProvider services)
    {
        var lifetime = services.GetRequiredService<IHostApplicationLifetime>();
        var waiting = services.GetServices<IReadiness>()
            .Select(r => (r.Name, Reason: r.NotReadyBecause))
            .SelectMany(r => r.Reason is { } reason ? [new NotReady(r.Name, reason)] : Array.Empty<NotReady>())
            .OrderBy(r => r.Name, StringComparer.Ordinal)
            .ToList();
        if (lifetime.ApplicationStopping.IsCancellationRequested)
            waiting.Insert(0, new NotReady("host", "stopping"));
        else if (!lifetime.ApplicationStarted.IsCancellationRequested)
            waiting.Insert(0, new NotReady("host", "starting"));

        var dependencies = services.GetRequiredService<DependencyHealth>().Reports;
        var status = waiting.Count > 0 ? HealthStatus.NotReady
            : dependencies.Any(d => d.State == DependencyState.Degraded) ? HealthStatus.Degraded
            : HealthStatus.Healthy;
        return new HealthReport(status, waiting, dependencies);
    }
}

internal enum HealthStatus
{
    Healthy,
    Degraded,
    NotReady,
}

internal sealed record Alive(string Status);

internal sealed record NotReady(string Name, string Reason);

internal sealed record HealthReport(HealthStatus Status, IReadOnlyList<NotReady> WaitingFor, IReadOnlyList<DependencyReport> Dependencies);

using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Wave16.ServiceDefaults;

/// <summary>What every host gets, in three calls: services, middleware, endpoints.</summary>
public static class ServiceDefaultsExtensions
{
    /// <summary>Telemetry, health, authentication and authorization, service discovery and resilience, problem details, limits, JSON.</summary>
    /// <param name="builder">The host's.</param>
    /// <param name="serviceName">What telemetry calls this process unless <c>OTEL_SERVICE_NAME</c> does.</param>
    /// <exception cref="InvalidOperationException"><c>Authentication:Authority</c> is missing outside Development.</exception>
    public static WebApplicationBuilder AddServiceDefaults(this WebApplicationBuilder builder, string serviceName)
    {
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<DependencyHealth>();
        builder.Services.AddProblems();
        builder.Services.AddHttpClients();
        builder.AddCallers();
        builder.AddLimits();
        builder.AddTelemetry(serviceName);
        builder.AddLogLevels();
        return builder;
    }

    /// <summary>The middleware, in the one right order; call before any other.</summary>
    public static WebApplication UseServiceDefaults(this WebApplication app)
    {
        app.UseProblems();
        app.UseQueryCheck();
        app.UseRouting();
        app.UseDeprecations();
        app.UseRequestTimeouts();
        app.UseAuthentication();
        app.UseRateLimiter();
        app.UseAuthorization();
        app.UseBodyCheck();
        return app;
    }

    /// <summary><c>/alive</c> and <c>/health</c>; <c>/metrics</c> when <c>Metrics:Prometheus</c> is true (scope <c>metrics.read</c>);
    /// in Development <c>/dev/token</c>, <c>/openapi/{document}.json</c> and the API reference at <c>/scalar</c>.</summary>
    public static WebApplication MapServiceDefaults(this WebApplication app)
    {
        HealthEndpoints.Map(app);
        if (TelemetrySetup.HasPrometheus(app.Configuration))
            app.MapPrometheusScrapingEndpoint("/metrics").RequireScope(Access.Scopes.MetricsRead).DisableRateLimiting();
        if (!app.Environment.IsDevelopment())
            return app;
        DevelopmentTokens.Map(app);
        OpenApiEndpoints.Map(app);
        return app;
    }
}

using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Wave16.ServiceDefaults;

/// <summary>What every host gets, in three calls: services, middleware, endpoints.</summary>
public static class ServiceDefaultsExtensions
{
    public static WebApplicationBuilder AddServiceDefaults(this WebApplicationBuilder builder)
    {
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<ProblemCatalogue>();
        builder.Services.AddSingleton<ProblemWriter>();
        builder.Services.AddSingleton<AccessCatalogue>();
        builder.Services.AddSingleton<DependencyHealth>();
        return builder;
    }

    public static WebApplication UseServiceDefaults(this WebApplication app) => app;

    public static WebApplication MapServiceDefaults(this WebApplication app) => app;
}

using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;

namespace Wave16.Platform.Retention;

internal static class RetentionRegistration
{
    /// <summary>Registers the keyed <see cref="Partitions"/> of Platform's tables and of those the module adds with <see cref="ModuleBuilder.AddRetention"/>.</summary>
    public static void AddRetention(this ModuleBuilder module)
    {
        var name = module.Name;
        module.Services.AddMetrics();
        module.Services.TryAddSingleton<RetentionMetrics>();
        module.Services.AddKeyedSingleton(name, (services, _) => new RetentionPeriods(services.GetRequiredService<IConfiguration>(), module.Retained));
        module.Services.AddKeyedSingleton(name, (services, _) => new Partitions(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            module.Retained,
            services.GetRequiredKeyedService<RetentionPeriods>(name),
            services.GetRequiredService<RetentionMetrics>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<Partitions>>()));
    }
}

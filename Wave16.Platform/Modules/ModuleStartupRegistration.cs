using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

internal static class ModuleStartupRegistration
{
    /// <summary>Call before anything that works in the background: hosted services start in the order of their registration.</summary>
    public static void AddStartup(this ModuleBuilder module)
    {
        var name = module.Name;
        var readiness = new ModuleReadiness(name);
        module.Services.AddKeyedSingleton(name, readiness);
        module.Services.AddSingleton<IReadiness>(readiness);
        module.AddHostedService(services => new ModuleStartup(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredKeyedService<Migrator>(name),
            readiness,
            services.GetRequiredService<DependencyHealth>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<ModuleStartup>>()));
    }
}

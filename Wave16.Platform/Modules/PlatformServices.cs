using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Audit;
using Wave16.Platform.Events;
using Wave16.Platform.Http;
using Wave16.Platform.Retention;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

internal static class PlatformServices
{
    /// <summary>What every module is made of. Start-up comes first: hosted services start in the order of their registration.</summary>
    public static void AddPlatform(this ModuleBuilder module, Assembly migrations)
    {
        module.AddModuleDatabase(migrations);
        module.AddRetention();
        module.AddStartup();
        module.Services.AddKeyedSingleton(module.Name, (services, _) =>
        {
            var outbox = services.GetRequiredKeyedService<OutboxSignal>(module.Name);
            var deadlines = services.GetRequiredKeyedService<WakeUp>(WorkRegistration.DeadlinesOf(module));
            var audit = services.GetRequiredKeyedService<AuditSignal>(module.Name);
            return new SaveTail(services.GetRequiredKeyedService<ModuleDatabase>(module.Name), module.Routes, saved: change =>
            {
                outbox.Committed(change);
                audit.Committed();
                if (DueSweeper.IsSoon(change))
                {
                    deadlines.Ring();
                }
            });
        });
        module.Services.AddKeyedSingleton(module.Name, (services, _) => new SetSave(
            services.GetRequiredKeyedService<ModuleDatabase>(module.Name),
            services.GetRequiredKeyedService<SaveTail>(module.Name),
            module.Routes));
        module.AddEvents();
        module.AddJobs();
        module.AddDueWork();
        module.AddIdempotency();
        module.AddAudit();
        module.AddHostedService(services => new Housekeeping(
            services.GetRequiredKeyedService<ModuleDatabase>(module.Name),
            services.GetRequiredKeyedService<IdempotencyStore>(module.Name),
            services.GetRequiredKeyedService<JobStore>(module.Name),
            services.GetRequiredKeyedService<HeadThinning>(module.Name),
            new UndeliveredEvents(
                services.GetRequiredKeyedService<ModuleDatabase>(module.Name),
                services.GetRequiredKeyedService<RetentionPeriods>(module.Name),
                services.GetRequiredService<OutboxMetrics>(),
                services.GetRequiredService<TimeProvider>(),
                services.GetRequiredService<ILogger<UndeliveredEvents>>()),
            services.GetRequiredKeyedService<Partitions>(module.Name),
            services.GetRequiredService<DependencyHealth>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<Housekeeping>>()));
    }
}

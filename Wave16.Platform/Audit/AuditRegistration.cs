using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Events;
using Wave16.Platform.Modules;
using Wave16.Platform.Neighbours;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Audit;

internal static class AuditRegistration
{
    /// <summary>The module's log: its sealer, what reads and verifies it, refused attempts, and the way to the audit trail when there is one.</summary>
    public static void AddAudit(this ModuleBuilder module)
    {
        var name = module.Name;
        module.Services.AddMetrics();
        module.Services.TryAddSingleton<AuditMetrics>();
        module.Services.TryAddSingleton<AuditKeys>();
        module.Services.AddProblemCodes(AuditEndpoints.NotSealed, AuditEndpoints.LogShorter, AuditEndpoints.VerifyRunning);
        RecordAccess(module.Services);
        if (NeighbourAddress.Of(module.Configuration, AuditTrail.SystemName).IsConfigured)
        {
            module.AddNeighbour<AuditTrail>(AuditTrail.SystemName);
            module.AddDestination<AuditTrail>();
            module.Route(SealedEvents.TypeOf(name), AuditTrail.SystemName);
        }

        module.Services.AddKeyedSingleton(name, (services, _) => new AuditSignal(services.GetRequiredService<TimeProvider>()));
        module.Services.AddKeyedSingleton(name, (services, _) => new AuditReader(services.GetRequiredKeyedService<ModuleDatabase>(name)));
        module.Services.AddKeyedSingleton(name, (services, _) => new LogTree(services.GetRequiredKeyedService<ModuleDatabase>(name)));
        module.Services.AddKeyedSingleton(name, (services, _) => new HeadThinning(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredService<TimeProvider>()));
        module.Services.AddKeyedSingleton(name, (services, _) => new AuditVerifier(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredService<AuditKeys>(),
            services.GetRequiredService<TimeProvider>()));
        module.Services.AddKeyedSingleton(name, (services, _) => new LoneLeaves(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredKeyedService<AuditSignal>(name),
            services.GetRequiredService<TimeProvider>()));
        module.Services.AddKeyedSingleton(name, (services, _) => new RefusedAttempts(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredKeyedService<LoneLeaves>(name),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<RefusedAttempts>>()));
        module.Services.AddKeyedSingleton(name, (services, _) => new Sealer(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredKeyedService<ModuleLocks>(name),
            new SealerStore(services.GetRequiredKeyedService<ModuleDatabase>(name)),
            services.GetRequiredService<AuditKeys>(),
            module.Routes,
            services.GetRequiredKeyedService<OutboxSignal>(name),
            services.GetRequiredKeyedService<AuditSignal>(name),
            services.GetRequiredService<AuditMetrics>(),
            services.GetRequiredService<DependencyHealth>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<Sealer>>()));
        module.AddHostedService(services => new RefusedAttemptsFlush(
            name,
            services.GetRequiredKeyedService<RefusedAttempts>(name),
            services.GetRequiredService<DependencyHealth>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<RefusedAttemptsFlush>>()));
        module.AddHostedService(services => services.GetRequiredKeyedService<Sealer>(name));
    }

    // Once per host, around whatever answers a 403 there.
    private static void RecordAccess(IServiceCollection services)
    {
        if (services.LastOrDefault(service => service.ServiceType == typeof(IAuthorizationMiddlewareResultHandler)) is { ImplementationType: { } answering } answer)
        {
            services.Remove(answer);
            services.AddSingleton<IAuthorizationMiddlewareResultHandler>(provider => new BreakGlassIsRecorded(
                new ForbiddenIsRecorded((IAuthorizationMiddlewareResultHandler)ActivatorUtilities.CreateInstance(provider, answering)),
                provider.GetRequiredService<ILogger<BreakGlassIsRecorded>>()));
        }
    }
}

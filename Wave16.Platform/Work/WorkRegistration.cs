using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Events;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Work;

internal static class WorkRegistration
{
    /// <summary>Registers the keyed <see cref="Jobs"/> and the runner of what the module adds with <see cref="ModuleBuilder.AddJobHandler"/>.</summary>
    public static void AddJobs(this ModuleBuilder module)
    {
        var name = module.Name;
        module.Services.AddProblemCodes(JobProblems.Failed, JobProblems.AttemptFailed);
        module.Services.TryAddSingleton<JobMetrics>();
        module.Services.AddKeyedSingleton(name, (_, _) => new JobBoard());
        module.Services.AddKeyedSingleton(name, (services, _) => new JobStore(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredService<TimeProvider>()));
        module.Services.AddKeyedSingleton(name, (services, _) => new Jobs(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredKeyedService<JobStore>(name),
            services.GetRequiredKeyedService<JobBoard>(name),
            module.JobKinds,
            services.GetRequiredService<TimeProvider>()));
        module.AddHostedService(services =>
        {
            var database = services.GetRequiredKeyedService<ModuleDatabase>(name);
            var clock = services.GetRequiredService<TimeProvider>();
            var runner = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Environment.MachineName}/{Environment.ProcessId}/{Guid.NewGuid():N}");
            return new JobRunner(
                services,
                database,
                services.GetRequiredKeyedService<JobStore>(name),
                new JobLeases(database, clock, runner),
                services.GetRequiredKeyedService<JobBoard>(name),
                module.JobKinds,
                services.GetRequiredService<JobMetrics>(),
                services.GetRequiredService<DependencyHealth>(),
                clock,
                services.GetRequiredService<ILogger<JobRunner>>());
        });
    }

    /// <summary>The key of the bell that rings for a deadline which is sooner than the sweeper's next look.</summary>
    public static string DeadlinesOf(ModuleBuilder module) => module.Name + "/deadlines";

    /// <summary>Registers the sweeper of what the module adds with <see cref="ModuleBuilder.AddDueHandler"/>.</summary>
    public static void AddDueWork(this ModuleBuilder module)
    {
        var name = module.Name;
        module.Services.TryAddSingleton<DueMetrics>();
        module.Services.AddKeyedSingleton(DeadlinesOf(module), (_, _) => new WakeUp());
        module.AddHostedService(services =>
        {
            var database = services.GetRequiredKeyedService<ModuleDatabase>(name);
            return new DueSweeper(
                services,
                database,
                services.GetRequiredKeyedService<ModuleLocks>(name),
                new DueStore(database),
                module.DueKinds,
                services.GetRequiredKeyedService<WakeUp>(DeadlinesOf(module)),
                services.GetRequiredService<DueMetrics>(),
                services.GetRequiredService<DependencyHealth>(),
                services.GetRequiredService<TimeProvider>(),
                services.GetRequiredService<ILogger<DueSweeper>>());
        });
    }
}

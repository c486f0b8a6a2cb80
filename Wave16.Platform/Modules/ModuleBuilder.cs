using System.Text.Json.Serialization.Metadata;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Wave16.Platform.Events;
using Wave16.Platform.Retention;
using Wave16.Platform.Work;

namespace Wave16.Platform.Modules;

/// <summary>What a module registers itself with. Services that exist once per module are keyed by <see cref="Name"/>.</summary>
public sealed class ModuleBuilder
{
    internal ModuleBuilder(IModule module, IHostApplicationBuilder host)
    {
        Name = module.Name;
        Host = host;
    }

    public string Name { get; }

    public IHostApplicationBuilder Host { get; }

    public IServiceCollection Services => Host.Services;

    public IConfiguration Configuration => Host.Configuration;

    /// <summary>Which destinations this module's events go to.</summary>
    public EventRoutes Routes { get; } = new();

    /// <summary>Sends every event of the type to the destination, in the order of its subject's changes.</summary>
    public ModuleBuilder Route(string eventType, params ReadOnlySpan<string> destinations)
    {
        foreach (var destination in destinations)
        {
            Routes.Add(eventType, destination);
        }

        return this;
    }

    /// <summary>Long work of this module: <see cref="Work.Jobs"/> enqueues it, any replica runs it.</summary>
    /// <param name="kind">Singular and lower case: <c>import</c>. Never renamed while rows of it may exist.</param>
    /// <param name="arguments">How the job's arguments are kept.</param>
    /// <param name="limits">How many at once, how often tried; <see cref="JobLimits.Default"/> when null.</param>
    public ModuleBuilder AddJobHandler<THandler, TArguments>(string kind, JsonTypeInfo<TArguments> arguments, JobLimits? limits = null)
        where THandler : class, IJobHandler<TArguments>
    {
        Services.TryAddScoped<THandler>();
        JobKinds.Add(JobKind.Of<THandler, TArguments>(kind, arguments, limits ?? JobLimits.Default));
        return this;
    }

    /// <summary>Deadlines that this module's entities set (<see cref="Store.DueChange"/>) and the handler brings back to them.</summary>
    /// <param name="kind">Unique in the module, and of one kind of entity. Never renamed while rows of it may exist.</param>
    public ModuleBuilder AddDueHandler<THandler>(string kind)
        where THandler : class, IDueHandler
    {
        Services.TryAddScoped<THandler>();
        DueKinds.Add<THandler>(kind);
        return this;
    }

    /// <summary>
    /// A table of this module's schema that its migrations declare as partitioned by range of a time, with a default
    /// partition. Partitions are made ahead, and dropped when the period is over.
    /// </summary>
    /// <param name="table">Without the schema.</param>
    /// <param name="column">The partition key, a <c>timestamptz</c>.</param>
    /// <param name="setting"><c>Retention:&lt;setting&gt;</c>, whole days.</param>
    /// <param name="days">The period, unless the setting says otherwise.</param>
    /// <param name="span">What one partition holds. Rows go with the last of their partition, so up to one span late.</param>
    public ModuleBuilder AddRetention(string table, string column, string setting, int days, PartitionSpan span)
    {
        Retained.Add(new RetainedTable(Name.Replace('-', '_'), table, column, setting, days, span));
        return this;
    }

    internal List<RetainedTable> Retained { get; } = [RetainedTable.Event, RetainedTable.DeadLetter, RetainedTable.Command];

    internal DueKinds DueKinds { get; } = new();

    internal JobKinds JobKinds { get; } = new();

    /// <summary>A hosted service of this module; unlike <c>AddHostedService</c> it allows one of a type per module.</summary>
    public ModuleBuilder AddHostedService<T>(Func<IServiceProvider, T> create)
        where T : class, IHostedService
    {
        Services.AddSingleton<IHostedService>(create);
        return this;
    }
}

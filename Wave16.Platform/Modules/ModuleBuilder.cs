using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Wave16.Platform.Events;

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

    /// <summary>A hosted service of this module; unlike <c>AddHostedService</c> it allows one of a type per module.</summary>
    public ModuleBuilder AddHostedService<T>(Func<IServiceProvider, T> create)
        where T : class, IHostedService
    {
        Services.AddSingleton<IHostedService>(create);
        return this;
    }
}

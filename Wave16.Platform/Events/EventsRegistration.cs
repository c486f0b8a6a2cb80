using System.Diagnostics.Metrics;
using Azure.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Events.Amqp;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Events;

/// <summary>How a module sends and receives events.</summary>
public static class EventsRegistration
{
    /// <summary>Adds a destination with a lane of its own. Say with <see cref="ModuleBuilder.Route"/> what goes there.</summary>
    public static ModuleBuilder AddDestination<TDestination>(this ModuleBuilder module)
        where TDestination : class, IDestination
    {
        module.Services.AddKeyedSingleton<IDestination, TDestination>(module.Name);
        return module;
    }

    /// <summary>Adds a handler of other modules' events.</summary>
    public static ModuleBuilder Subscribe<THandler>(this ModuleBuilder module)
        where THandler : class, IEventHandler
    {
        module.Services.AddKeyedSingleton<IEventHandler, THandler>(module.Name);
        return module;
    }

    /// <summary>The module's outbox, its lanes, and its subscriptions.</summary>
    internal static void AddEvents(this ModuleBuilder module)
    {
        var name = module.Name;
        module.Services.AddMetrics();
        module.Services.AddEntraIdentity();
        module.Services.TryAddSingleton<OutboxMetrics>();
        module.Services.TryAddSingleton(Transport);
        module.Services.AddSingleton(new EventModule(name));
        module.Services.TryAddSingleton(services => LaneSettings.From(services.GetRequiredService<IConfiguration>()));
        module.Services.AddKeyedSingleton(name, new OutboxSignal(module.Routes));
        module.Services.AddKeyedSingleton(name, (services, _) => new DeadLetters(
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            services.GetRequiredKeyedService<SetSave>(name)));
        module.Services.AddKeyedSingleton(name, (services, _) => Dispatcher(services, name, module.Routes));
        module.AddHostedService(services => new EventSubscriptions(
            services.GetRequiredService<IEventTransport>(),
            services.GetRequiredKeyedService<ModuleDatabase>(name),
            [.. services.GetKeyedServices<IEventHandler>(name)]));
        module.AddHostedService(services => services.GetRequiredKeyedService<OutboxDispatcher>(name));
    }

    // Configuration that cannot be used ends the start: every module's subscriptions ask for their transport then.
    private static IEventTransport Transport(IServiceProvider services)
    {
        if (services.GetRequiredService<IConfiguration>().GetConnectionString(BrokerAddress.Name) is not { Length: > 0 } given)
        {
            return new InProcessTransport();
        }

        var settings = services.GetRequiredService<LaneSettings>();
        return new AmqpTransport(
            BrokerAddress.Parse(given),
            new TransportSettings { HandleWithin = settings.DeliveryTimeout },
            new TransportMetrics(services.GetRequiredService<IMeterFactory>()),
            services.GetRequiredService<DependencyHealth>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<AmqpTransport>>(),
            services.GetRequiredService<TokenCredential>);
    }

    private static OutboxDispatcher Dispatcher(IServiceProvider services, string module, EventRoutes routes)
    {
        List<IDestination> destinations = [.. services.GetKeyedServices<IDestination>(module)];
        if (routes.Destinations.Contains(BusDestination.BusName))
        {
            destinations.Add(new BusDestination(services.GetRequiredService<IEventTransport>()));
        }

        if (routes.Destinations.Except(destinations.Select(destination => destination.Name), StringComparer.Ordinal).ToList() is { Count: > 0 } unknown)
        {
            throw new InvalidOperationException($"{module} routes events to {string.Join(", ", unknown)}, and has no such destination.");
        }

        var signal = services.GetRequiredKeyedService<OutboxSignal>(module);
        var lanes = destinations.ConvertAll(destination => new Lane(
            destination,
            services.GetRequiredKeyedService<ModuleDatabase>(module),
            services.GetRequiredKeyedService<ModuleLocks>(module),
            services.GetRequiredService<LaneSettings>(),
            services.GetRequiredService<DependencyHealth>(),
            services.GetRequiredService<OutboxMetrics>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<Lane>>()));
        foreach (var lane in lanes)
        {
            signal.Connect(lane.Destination, lane.Signal);
        }

        return new OutboxDispatcher(lanes);
    }
}

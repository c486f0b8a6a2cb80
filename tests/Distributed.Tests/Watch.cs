using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.Distributed.Tests;

/// <summary>Another module's consumer, as far as the broker can tell: what it was given of vuln-center's gates, by event id.</summary>
internal sealed class Watch : IAsyncDisposable
{
    private const string Consumer = "tests/watch";
    private static readonly string[] Types = [VulnCenterEvents.GateRaised, VulnCenterEvents.GateWithdrawn];
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly ConcurrentDictionary<string, EventEnvelope> _events = new(StringComparer.Ordinal);
    private readonly AmqpTransport _transport;
    private IAsyncDisposable? _subscription;

    private Watch(string connectionString) => _transport = new AmqpTransport(
        BrokerAddress.Parse(connectionString), new TransportSettings(), new TransportMetrics(_services.GetRequiredService<IMeterFactory>()),
        new DependencyHealth(TimeProvider.System), TimeProvider.System, NullLogger.Instance);

    /// <summary>What infra would provision for such a consumer.</summary>
    public static BrokerTopology Topology { get; } = BrokerTopology.Of(["vuln-center"], [(Consumer, Types)]);

    /// <summary>Each event once, however often it came.</summary>
    public IReadOnlyCollection<EventEnvelope> Events => [.. _events.Values];

    public static async Task<Watch> StartAsync(Composition composition, CancellationToken cancellation)
    {
        var watch = new Watch(composition.BrokerConnection);
        watch._subscription = await watch._transport.SubscribeAsync(
            new EventSubscription(Consumer, Types, (envelope, _) =>
            {
                watch._events[envelope.Id] = envelope;
                return Task.CompletedTask;
            }),
            cancellation);
        return watch;
    }

    /// <summary>Waits until every one of the entities has had an event of the type.</summary>
    public async Task HasAsync(string type, IReadOnlyCollection<string> subjects, CancellationToken cancellation)
    {
        await Patience.WhileAsync(
            () => Task.FromResult(Missing().Any()),
            () => Task.FromResult($"{type} did not come for {string.Join(", ", Missing().Take(5))} …, {Missing().Count()} of {subjects.Count}."),
            cancellation);

        IEnumerable<string> Missing() => subjects.Except(_events.Values.Where(envelope => envelope.Type == type).Select(envelope => envelope.Subject), StringComparer.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        if (_subscription is { } subscription)
        {
            await subscription.DisposeAsync();
        }

        await _transport.DisposeAsync();
        await _services.DisposeAsync();
    }
}

using Azure.Core;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>The transport over a stand-in for Azure Service Bus, by a clock of the test's own.</summary>
public abstract class ServiceBusTest
{
    protected static readonly DateTimeOffset Noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    protected ServiceBusTest() => Health = new DependencyHealth(Time);

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private protected FakeTimeProvider Time { get; } = new(Noon);

    private protected DependencyHealth Health { get; }

    private protected AmqpTransport Connect(FakeServiceBus bus, TransportSettings? settings = null) => Connect(BrokerAddress.Parse(bus.ConnectionString), settings);

    private protected AmqpTransport Connect(BrokerAddress address, TransportSettings? settings = null, TokenCredential? identity = null) => new(
        address, settings ?? Broker.Settings, new TransportMetrics(OutboxTest.Meters), Health, Time, NullLogger.Instance, identity is null ? null : () => identity);

    private protected static Task<IAsyncDisposable> SubscribeAsync(AmqpTransport transport, Action handle) => transport.SubscribeAsync(
        new EventSubscription("tests/a", [EventMessageTests.Sample.Type], (_, _) =>
        {
            handle();
            return Task.CompletedTask;
        }),
        Cancellation);

    private protected static async Task<DeliveryOutcome> UntilAsync(AmqpTransport transport, Func<DeliveryOutcome, bool> enough)
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(1));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromMinutes(1));
        while (true)
        {
            if (await transport.PublishAsync(EventMessageTests.Sample, limit.Token) is var outcome && enough(outcome))
            {
                return outcome;
            }

            await again.WaitForNextTickAsync(limit.Token);
        }
    }

    private protected async Task<bool> MessagingIsAsync(DependencyState state)
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (Health.Reports.SingleOrDefault(report => report.Name == BrokerAddress.Name)?.State != state)
        {
            await again.WaitForNextTickAsync(Cancellation);
        }

        return true;
    }

    // A step at a time, and time enough in between for the network.
    private protected async Task<T> AdvanceUntilAsync<T>(Task<T> awaited, TimeSpan step)
    {
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (!awaited.IsCompleted)
        {
            Time.Advance(step);
            await tick.WaitForNextTickAsync(Cancellation);
        }

        return await awaited;
    }
}

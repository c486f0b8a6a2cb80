using Amqp;
using Amqp.Framing;
using Amqp.Types;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>Links and locks of Azure Service Bus, by a clock of the test's own.</summary>
public sealed class ServiceBusLinkTests
{
    private static readonly DateTimeOffset Noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private readonly FakeTimeProvider _time = new(Noon);
    private readonly DependencyHealth _health;

    public ServiceBusLinkTests() => _health = new DependencyHealth(_time);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_cannot_be_handled_now_is_held_until_shortly_before_its_lock_ends()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(bus, Broker.Settings with { FirstWait = TimeSpan.FromSeconds(10), LongestWait = TimeSpan.FromSeconds(10) });
        var tried = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var subscription = await SubscribeAsync(transport, () =>
        {
            tried.TrySetResult();
            throw new DestinationUnavailableException("the store is away");
        });
        bus.Send(LockedUntil(Noon.AddSeconds(100)));
        await tried.Task.Soon();

        Assert.IsType<Released>(await AdvanceUntilAsync(bus.NextOutcomeAsync(), TimeSpan.FromSeconds(1)));

        Assert.InRange(_time.GetUtcNow() - Noon, TimeSpan.FromSeconds(80), TimeSpan.FromSeconds(99));
    }

    [Fact]
    public async Task What_is_held_as_long_as_the_settings_say_is_given_back()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(bus, Broker.Settings with { FirstWait = TimeSpan.FromSeconds(2), LongestWait = TimeSpan.FromSeconds(2), HoldFor = TimeSpan.FromSeconds(20) });
        var tried = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var subscription = await SubscribeAsync(transport, () =>
        {
            tried.TrySetResult();
            throw new DestinationUnavailableException("the store is away");
        });
        bus.Send(LockedUntil(Noon.AddHours(1)));
        await tried.Task.Soon();

        Assert.IsType<Released>(await AdvanceUntilAsync(bus.NextOutcomeAsync(), TimeSpan.FromSeconds(1)));

        Assert.InRange(_time.GetUtcNow() - Noon, TimeSpan.FromSeconds(16), TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task What_the_broker_has_taken_back_is_not_handled()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(bus, Broker.Settings);
        var handled = false;
        await using var subscription = await SubscribeAsync(transport, () => handled = true);

        bus.Send(LockedUntil(Noon));

        Assert.IsType<Released>(await bus.NextOutcomeAsync());
        Assert.False(handled);
    }

    [Fact]
    public async Task A_receiver_that_is_detached_as_soon_as_it_is_attached_is_attached_again_with_patience_and_reported()
    {
        using var bus = new FakeServiceBus(_time) { DropsReceivers = true };
        await using var transport = Connect(bus, Broker.Settings with { FirstReconnect = TimeSpan.FromMinutes(10), LongestReconnect = TimeSpan.FromMinutes(10) });
        var handled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var subscription = await SubscribeAsync(transport, () => handled.TrySetResult());

        await AdvanceUntilAsync(MessagingIsAsync(DependencyState.Degraded), TimeSpan.FromMilliseconds(100));
        Assert.Equal(1, bus.Receivers);

        bus.DropsReceivers = false;
        bus.Send(EventMessage.Encode(EventMessageTests.Sample));
        await AdvanceUntilAsync(handled.Task.ContinueWith(_ => true, TaskScheduler.Default), TimeSpan.FromMinutes(1));
        await MessagingIsAsync(DependencyState.Healthy).Soon();
    }

    [Fact]
    public async Task A_receiver_that_is_refused_is_reported_until_it_is_attached()
    {
        using var bus = new FakeServiceBus(_time) { RefusesLinks = true };
        await using var transport = Connect(bus, Broker.Settings);
        await using (await SubscribeAsync(transport, () => { }))
        {
            await MessagingIsAsync(DependencyState.Degraded).Soon();
            Assert.Equal("tests/a does not receive from tests; its events wait at the broker", Assert.Single(_health.Reports).Detail);

            bus.RefusesLinks = false;
            await AdvanceUntilAsync(MessagingIsAsync(DependencyState.Healthy), TimeSpan.FromSeconds(1));
        }
    }

    [Fact]
    public async Task A_broker_without_cbs_is_reported()
    {
        using var bus = new FakeServiceBus(_time, hasSecurity: false);
        await using var transport = Connect(bus, Broker.Settings);

        Assert.IsType<DeliveryOutcome.Unavailable>(await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());

        await MessagingIsAsync(DependencyState.Degraded).Soon();
    }

    [Fact]
    public async Task A_publisher_that_stops_to_wait_for_credit_and_tries_again_leaves_no_copies()
    {
        using var bus = new FakeServiceBus(_time) { SenderCredit = 0 };
        await using var transport = Connect(bus, Broker.Settings);
        for (var attempt = 0; attempt < 5; attempt++)
        {
            using var impatient = new CancellationTokenSource(TimeSpan.FromMilliseconds(attempt == 0 ? 2000 : 50));
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => transport.PublishAsync(EventMessageTests.Sample, impatient.Token).Soon());
        }

        var last = transport.PublishAsync(EventMessageTests.Sample, Cancellation);
        bus.GiveCredit();
        Assert.Equal(DeliveryOutcome.Done, await last.Soon());
        var next = EventMessageTests.Sample with { Id = "next" };
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(next, Cancellation).Soon());

        Assert.Equal(EventMessageTests.Sample, EventMessage.Decode(await bus.NextMessageAsync()));
        Assert.Equal(next, EventMessage.Decode(await bus.NextMessageAsync()));
    }

    private static Message LockedUntil(DateTimeOffset end)
    {
        var message = EventMessage.Encode(EventMessageTests.Sample);
        message.MessageAnnotations = new MessageAnnotations();
        message.MessageAnnotations[new Symbol("x-opt-locked-until")] = end.UtcDateTime;
        return message;
    }

    private static Task<IAsyncDisposable> SubscribeAsync(AmqpTransport transport, Action handle) => transport.SubscribeAsync(
        new EventSubscription("tests/a", [EventMessageTests.Sample.Type], (_, _) =>
        {
            handle();
            return Task.CompletedTask;
        }),
        Cancellation);

    private AmqpTransport Connect(FakeServiceBus bus, TransportSettings settings) =>
        new(BrokerAddress.Parse(bus.ConnectionString), settings, new TransportMetrics(OutboxTest.Meters), _health, _time, NullLogger.Instance);

    private async Task<bool> MessagingIsAsync(DependencyState state)
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (_health.Reports.SingleOrDefault(report => report.Name == BrokerAddress.Name)?.State != state)
        {
            await again.WaitForNextTickAsync(Cancellation);
        }

        return true;
    }

    // A step at a time, and time enough in between for the network.
    private async Task<T> AdvanceUntilAsync<T>(Task<T> awaited, TimeSpan step)
    {
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (!awaited.IsCompleted)
        {
            _time.Advance(step);
            await tick.WaitForNextTickAsync(Cancellation);
        }

        return await awaited;
    }
}

using Amqp;
using Amqp.Framing;
using Amqp.Types;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>Links and locks of Azure Service Bus.</summary>
public sealed class ServiceBusLinkTests : ServiceBusTest
{
    [Fact]
    public async Task What_cannot_be_handled_now_is_held_until_shortly_before_its_lock_ends()
    {
        using var bus = new FakeServiceBus(Time);
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

        Assert.InRange(Time.GetUtcNow() - Noon, TimeSpan.FromSeconds(80), TimeSpan.FromSeconds(99));
    }

    [Fact]
    public async Task What_is_held_as_long_as_the_settings_say_is_given_back()
    {
        using var bus = new FakeServiceBus(Time);
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

        Assert.InRange(Time.GetUtcNow() - Noon, TimeSpan.FromSeconds(16), TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task What_the_broker_has_taken_back_is_not_handled()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        var handled = false;
        await using var subscription = await SubscribeAsync(transport, () => handled = true);

        bus.Send(LockedUntil(Noon));

        Assert.IsType<Released>(await bus.NextOutcomeAsync());
        Assert.False(handled);
    }

    [Fact]
    public async Task What_waited_for_other_subjects_until_the_broker_took_it_back_is_not_handled()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus, Broker.Settings with { Concurrency = 1, HandleWithin = TimeSpan.FromDays(1) });
        var (handled, begun, release) = (new List<string>(), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), new TaskCompletionSource());
        await using var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [EventMessageTests.Sample.Type], (envelope, _) =>
        {
            handled.Add(envelope.Subject);
            begun.TrySetResult();
            return release.Task;
        }), Cancellation);
        bus.Send(EventMessage.Encode(EventMessageTests.Sample with { Id = "long", Subject = "long" }));
        await begun.Task.Soon();
        bus.Send(EventMessage.Encode(EventMessageTests.Sample with { Id = "behind", Subject = "behind" }));
        await bus.GivenAsync(2).Soon();
        for (var roundTrips = 0; roundTrips < 5; roundTrips++)
        {
            await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        }

        Time.Advance(TimeSpan.FromMinutes(5));
        release.SetResult();

        DeliveryState[] outcomes = [await bus.NextOutcomeAsync(), await bus.NextOutcomeAsync()];
        Assert.Single(outcomes.OfType<Accepted>());
        Assert.Single(outcomes.OfType<Released>());
        Assert.Equal(["long"], handled);
    }

    [Fact]
    public async Task A_receiver_that_is_detached_as_soon_as_it_is_attached_is_attached_again_with_patience_and_reported()
    {
        using var bus = new FakeServiceBus(Time) { DropsReceivers = true };
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
        using var bus = new FakeServiceBus(Time) { RefusesLinks = true };
        await using var transport = Connect(bus);
        await using (await SubscribeAsync(transport, () => { }))
        {
            await MessagingIsAsync(DependencyState.Degraded).Soon();
            Assert.Equal("tests/a does not receive from tests; its events wait at the broker", Assert.Single(Health.Reports).Detail);

            bus.RefusesLinks = false;
            await AdvanceUntilAsync(MessagingIsAsync(DependencyState.Healthy), TimeSpan.FromSeconds(1));
        }
    }

    [Fact]
    public async Task A_receiver_that_is_never_answered_is_reported_and_tried_again()
    {
        using var bus = new FakeServiceBus(Time) { IgnoresLinks = true };
        await using var transport = Connect(bus, Broker.Settings with { AnswerWithin = TimeSpan.FromMilliseconds(200) });
        var handled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var subscription = await SubscribeAsync(transport, () => handled.TrySetResult());
        await MessagingIsAsync(DependencyState.Degraded).Soon();

        bus.IgnoresLinks = false;
        bus.Send(EventMessage.Encode(EventMessageTests.Sample));

        await AdvanceUntilAsync(handled.Task.ContinueWith(_ => true, TaskScheduler.Default), TimeSpan.FromSeconds(1));
        await MessagingIsAsync(DependencyState.Healthy).Soon();
    }

    [Fact]
    public async Task A_publisher_whose_link_is_never_answered_hears_so_and_is_served_later()
    {
        using var bus = new FakeServiceBus(Time) { IgnoresLinks = true };
        await using var transport = Connect(bus, Broker.Settings with { AnswerWithin = TimeSpan.FromMilliseconds(200) });

        Assert.Equal(new DeliveryOutcome.Unavailable("the broker is away: the broker did not answer"), await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());

        bus.IgnoresLinks = false;
        await AdvanceUntilAsync(UntilAsync(transport, outcome => outcome is DeliveryOutcome.Delivered), TimeSpan.FromSeconds(1));
    }

    [Fact]
    public async Task A_refused_event_is_a_dead_letter_that_says_why()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        await using var subscription = await SubscribeAsync(transport, () => throw new EventRejectedException("never"));

        bus.Send(EventMessage.Encode(EventMessageTests.Sample));

        var error = Assert.IsType<Rejected>(await bus.NextOutcomeAsync()).Error;
        Assert.Equal(("com.microsoft:dead-letter", "rejected", "never"), ((string)error.Condition, error.Info[new Symbol("DeadLetterReason")], error.Info[new Symbol("DeadLetterErrorDescription")]));
    }

    [Theory]
    [InlineData(0, 5, 15)]
    [InlineData(5, 160, 330)]
    public async Task A_failure_waits_longer_the_more_often_the_broker_has_delivered_and_is_counted_by_it(uint deliveries, int leastSeconds, int mostSeconds)
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus, Broker.Settings with { FirstWait = TimeSpan.FromSeconds(10), LongestWait = TimeSpan.FromHours(1) });
        var tried = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var subscription = await SubscribeAsync(transport, () =>
        {
            tried.TrySetResult();
            throw new InvalidOperationException("not yet");
        });
        var message = EventMessage.Encode(EventMessageTests.Sample);
        message.Header.DeliveryCount = deliveries;
        bus.Send(message);
        await tried.Task.Soon();

        var outcome = await AdvanceUntilAsync(bus.NextOutcomeAsync(), TimeSpan.FromSeconds(1));

        Assert.Equal((true, false), outcome is Modified modified ? (modified.DeliveryFailed, modified.UndeliverableHere) : default);
        Assert.InRange((Time.GetUtcNow() - Noon).TotalSeconds, leastSeconds, mostSeconds);
    }

    [Fact]
    public async Task What_comes_after_the_end_has_begun_is_given_back_after_what_is_being_handled()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        var (begun, release) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), new TaskCompletionSource());
        var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [EventMessageTests.Sample.Type], (_, _) =>
        {
            begun.TrySetResult();
            return release.Task;
        }), Cancellation);
        bus.Send(EventMessage.Encode(EventMessageTests.Sample));
        await begun.Task.Soon();

        var stopped = subscription.DisposeAsync().AsTask();
        bus.Send(EventMessage.Encode(EventMessageTests.Sample with { Id = "late", Subject = "late" }));
        await bus.GivenAsync(2).Soon();
        // A round trip, and it has arrived.
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        release.SetResult();

        Assert.IsType<Accepted>(await bus.NextOutcomeAsync());
        Assert.IsType<Released>(await bus.NextOutcomeAsync());
        await stopped.Soon();
    }

    [Fact]
    public async Task What_waits_behind_a_failed_event_makes_room_for_as_many_others_as_the_settings_say_and_once()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus, Broker.Settings with { Credit = 4, MostParked = 2, FirstWait = TimeSpan.FromMinutes(10), LongestWait = TimeSpan.FromMinutes(10), HandleWithin = TimeSpan.FromDays(1), HoldFor = TimeSpan.FromDays(1) });
        var (fails, release) = (true, new TaskCompletionSource());
        await using var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [EventMessageTests.Sample.Type], (envelope, _) =>
        {
            if (envelope.Subject != "bad")
            {
                return release.Task;
            }

            return fails ? throw new InvalidOperationException("not yet") : Task.CompletedTask;
        }), Cancellation);
        for (var version = 0; version < 20; version++)
        {
            bus.Send(EventMessage.Encode(EventMessageTests.Sample with { Id = $"bad {version}", Subject = "bad" }));
        }

        await bus.GivenAsync(6).Soon();
        for (var roundTrips = 0; roundTrips < 5; roundTrips++)
        {
            await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        }

        Assert.Equal(6, bus.InHand);
        fails = false;
        Assert.IsType<Modified>(await AdvanceUntilAsync(bus.NextOutcomeAsync(), TimeSpan.FromMinutes(1)));
        for (var version = 1; version < 20; version++)
        {
            Assert.IsType<Accepted>(await bus.NextOutcomeAsync());
        }

        for (var subject = 0; subject < 10; subject++)
        {
            bus.Send(EventMessage.Encode(EventMessageTests.Sample with { Id = $"good {subject}", Subject = $"{subject}" }));
        }

        await bus.GivenAsync(24).Soon();
        for (var roundTrips = 0; roundTrips < 5; roundTrips++)
        {
            await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        }

        Assert.Equal(4, bus.InHand);
        release.SetResult();
    }

    [Fact]
    public async Task A_receiver_that_has_delivered_is_attached_again_soon_however_often_it_is_detached()
    {
        const int times = 8;
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus, Broker.Settings with { FirstReconnect = TimeSpan.FromMinutes(1), LongestReconnect = TimeSpan.FromHours(10) });
        await using var subscription = await SubscribeAsync(transport, () => { });
        for (var detached = 0; detached < times; detached++)
        {
            bus.Send(EventMessage.Encode(EventMessageTests.Sample));
            Assert.IsType<Accepted>(await AdvanceUntilAsync(bus.NextOutcomeAsync(), TimeSpan.FromSeconds(15)));
            bus.Withdraw("sb://127.0.0.1/tests/Subscriptions/tests.a");
        }

        // Doubling, the last wait alone would be half of this.
        Assert.InRange(Time.GetUtcNow() - Noon, TimeSpan.FromMinutes(3), TimeSpan.FromMinutes(60));
    }

    [Fact]
    public async Task A_message_that_is_nested_without_end_costs_a_connection_and_what_follows_it_is_handled()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        var handled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var subscription = await SubscribeAsync(transport, () => handled.TrySetResult());
        var hostile = EventMessage.Encode(EventMessageTests.Sample);
        hostile.ApplicationProperties["nested"] = Enumerable.Range(0, 2000).Aggregate((object)"", (inner, _) => new DescribedValue(0ul, inner));

        bus.Send(hostile);
        await MessagingIsAsync(DependencyState.Degraded).Soon();
        bus.Send(EventMessage.Encode(EventMessageTests.Sample));

        await AdvanceUntilAsync(handled.Task.ContinueWith(_ => true, TaskScheduler.Default), TimeSpan.FromSeconds(1));
    }

    [Fact]
    public async Task A_broker_without_cbs_is_reported()
    {
        using var bus = new FakeServiceBus(Time, hasSecurity: false);
        await using var transport = Connect(bus);

        Assert.IsType<DeliveryOutcome.Unavailable>(await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());

        await MessagingIsAsync(DependencyState.Degraded).Soon();
    }

    [Fact]
    public async Task A_publisher_that_stops_to_wait_for_credit_and_tries_again_leaves_no_copies()
    {
        using var bus = new FakeServiceBus(Time) { SenderCredit = 0 };
        await using var transport = Connect(bus);
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
}

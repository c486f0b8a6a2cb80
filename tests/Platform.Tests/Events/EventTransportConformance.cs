using System.Collections.Concurrent;
using Wave16.Platform.Events;
using Wave16.Platform.TestHost;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

/// <summary>
/// What every transport promises. A transport's tests derive from this and say how to get one; the events are published
/// as an outbox's lane does it: again, until they are taken.
/// </summary>
public abstract class EventTransportConformance(PostgresFixture postgres) : OutboxTest(postgres)
{
    private const string Type = "wave16.tests.thing-happened.v1";

    /// <summary>A transport of the test's own, with nothing in it and room for the consumers <c>tests/a</c> and <c>tests/b</c>.</summary>
    private protected abstract Task<IEventTransport> ConnectAsync();

    /// <summary>How often an event is given to a handler that always fails before the transport, or the outbox in front of it, gives up.</summary>
    private protected abstract int MostAttempts { get; }

    [Fact]
    public async Task Every_consumer_of_a_type_gets_the_event_as_it_was_published()
    {
        var transport = await ConnectAsync();
        var (a, b) = (new Recorder("a"), new Recorder("b"));
        await using var first = await SubscribeAsync(transport, "tests/a", a);
        await using var second = await SubscribeAsync(transport, "tests/b", b);
        var sent = Event("s", 1) with { TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Data = """{"text":"é 😀"}""" };

        await PublishAsync(transport, sent);

        Assert.Equal((sent, sent), (await a.NextAsync(), await b.NextAsync()));
    }

    [Fact]
    public async Task A_consumer_gets_the_types_it_named_and_no_other()
    {
        var transport = await ConnectAsync();
        var a = new Recorder("a");
        await using var subscription = await SubscribeAsync(transport, "tests/a", a);

        await PublishAsync(transport, Event("s", 1) with { Type = "wave16.tests.other-happened.v1" });
        await PublishAsync(transport, Event("s", 2));

        Assert.Equal("s 2", Name(await a.NextAsync()));
    }

    [Fact]
    public async Task A_duplicate_reaches_the_consumer_and_its_inbox_makes_the_effect_once()
    {
        var transport = await ConnectAsync();
        await using var store = await OpenStoreAsync();
        var handler = new CountHandler(store);
        var a = new Recorder("a", async (envelope, cancellation) =>
        {
            await handler.HandleAsync(envelope, Inbox.CommandId(handler.Consumer, envelope.Id), cancellation);
            return DeliveryOutcome.Done;
        });
        await using var subscription = await SubscribeAsync(transport, "tests/a", a);

        await PublishAsync(transport, Event("s", 1));
        await PublishAsync(transport, Event("s", 1));
        await PublishAsync(transport, Event("s", 2));

        await a.NextAsync(3);
        Assert.Equal(2, await store.ScalarAsync<long>("select count from counter"));
    }

    [Fact]
    public async Task A_late_event_reaches_the_consumer_and_can_be_told_by_its_version()
    {
        var transport = await ConnectAsync();
        var a = new Recorder("a");
        await using var subscription = await SubscribeAsync(transport, "tests/a", a);

        await PublishAsync(transport, Event("s", 2));
        await PublishAsync(transport, Event("s", 1));

        Assert.Equal([2, 1], (await a.NextAsync(2)).Select(envelope => envelope.EntityVersion));
    }

    [Fact]
    public async Task A_consumer_that_takes_its_time_with_one_subject_gets_the_others_meanwhile()
    {
        var transport = await ConnectAsync();
        var released = new TaskCompletionSource();
        var a = new Recorder("a", async (envelope, cancellation) =>
        {
            if (envelope.Subject == "slow")
            {
                await released.Task.WaitAsync(cancellation);
            }

            return DeliveryOutcome.Done;
        });
        await using var subscription = await SubscribeAsync(transport, "tests/a", a);
        var slow = PublishAsync(transport, Event("slow", 1));

        await PublishAsync(transport, Event("quick", 1));

        Assert.Equal("quick 1", Name(await a.NextAsync()));
        released.SetResult();
        await slow;
        Assert.Equal("slow 1", Name(await a.NextAsync()));
    }

    [Fact]
    public async Task A_handler_that_failed_gets_the_event_again()
    {
        var transport = await ConnectAsync();
        var calls = 0;
        var a = new Recorder("a", (_, _) => ++calls < 3 ? throw new InvalidOperationException("not yet") : Task.FromResult(DeliveryOutcome.Done));
        await using var subscription = await SubscribeAsync(transport, "tests/a", a);

        await PublishAsync(transport, Event("s", 1));

        Assert.Equal("s 1", Name(await a.NextAsync()));
        Assert.Equal(3, calls);
    }

    [Fact]
    public async Task Poison_is_given_up_after_a_bounded_number_of_attempts_and_does_not_stop_the_subject()
    {
        var transport = await ConnectAsync();
        var attempts = 0;
        var a = new Recorder("a", (envelope, _) =>
        {
            if (envelope.EntityVersion == 1)
            {
                attempts++;
                throw new InvalidOperationException("poison");
            }

            return Task.FromResult(DeliveryOutcome.Done);
        });
        await using var subscription = await SubscribeAsync(transport, "tests/a", a);

        await PublishAsync(transport, Event("s", 1));
        await PublishAsync(transport, Event("s", 2));

        Assert.Equal("s 2", Name(await a.NextAsync()));
        Assert.InRange(attempts, 1, MostAttempts);
    }

    [Fact]
    public async Task A_consumer_never_works_on_one_subject_twice_at_the_same_time()
    {
        var transport = await ConnectAsync();
        var working = new ConcurrentDictionary<string, int>(StringComparer.Ordinal);
        var most = 0;
        var a = new Recorder("a", async (envelope, _) =>
        {
            var now = working.AddOrUpdate(envelope.Subject, 1, (_, count) => count + 1);
            most = Math.Max(most, now);
            await Task.Yield();
            working.AddOrUpdate(envelope.Subject, 0, (_, count) => count - 1);
            return DeliveryOutcome.Done;
        });
        await using var subscription = await SubscribeAsync(transport, "tests/a", a);

        await Task.WhenAll(Enumerable.Range(0, 200).Select(i => PublishAsync(transport, Event($"s{i % 4}", 1 + (i / 4)))));

        await a.NextAsync(200);
        Assert.Equal(1, most);
    }

    [Fact]
    public async Task Unsubscribing_waits_for_what_is_being_handled_and_takes_nothing_more()
    {
        var transport = await ConnectAsync();
        var (begun, released) = (new TaskCompletionSource(), new TaskCompletionSource());
        var a = new Recorder("a", async (_, _) =>
        {
            begun.SetResult();
            await released.Task;
            return DeliveryOutcome.Done;
        });
        var subscription = await SubscribeAsync(transport, "tests/a", a);
        var inFlight = PublishAsync(transport, Event("s", 1));
        await begun.Task.Soon();

        var unsubscribing = subscription.DisposeAsync().AsTask();
        Assert.False(unsubscribing.IsCompleted);
        released.SetResult();
        await unsubscribing.Soon();
        await inFlight.Soon();

        Assert.Equal("s 1", Name(await a.NextAsync()));
    }

    [Fact]
    public async Task What_is_published_while_no_receiver_is_attached_waits_for_the_next_one()
    {
        var transport = await ConnectAsync();
        await (await SubscribeAsync(transport, "tests/a", new Recorder("a"))).DisposeAsync();
        var published = PublishAsync(transport, Event("s", 1));
        var next = new Recorder("a");

        await using var subscription = await SubscribeAsync(transport, "tests/a", next);

        Assert.Equal("s 1", Name(await next.NextAsync()));
        await published.Soon();
    }

    [Fact]
    public async Task A_handler_that_hears_of_the_shutdown_has_not_handled_the_event()
    {
        var transport = await ConnectAsync();
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var calls = 0;
        var a = new Recorder("a", async (_, cancellation) =>
        {
            if (Interlocked.Increment(ref calls) == 1)
            {
                begun.SetResult();
                await Task.Delay(Timeout.Infinite, cancellation);
            }

            return DeliveryOutcome.Done;
        });
        await using var subscription = await SubscribeAsync(transport, "tests/a", a);
        using var stopping = new CancellationTokenSource();
        var cut = transport.PublishAsync(Event("s", 1), stopping.Token);
        await begun.Task.Soon();
        await stopping.CancelAsync();
        // Cancelled where the publisher waits for the handlers; done where a broker has the event.
        await Task.WhenAny(cut).Soon();

        await PublishAsync(transport, Event("s", 1));

        Assert.Equal("s 1", Name(await a.NextAsync()));
    }

    private static EventEnvelope Event(string subject, long version) => new()
    {
        Id = $"e:{subject}:{version}",
        Source = "tests",
        Type = Type,
        Subject = subject,
        Time = new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero),
        TenantId = "t",
        EntityVersion = version,
        Data = "{}",
    };

    private static Task<IAsyncDisposable> SubscribeAsync(IEventTransport transport, string consumer, Recorder recorder) =>
        transport.SubscribeAsync(new EventSubscription(consumer, [Type], recorder.DeliverAsync), Cancellation);

    // What a lane does, without its waits.
    private async Task PublishAsync(IEventTransport transport, EventEnvelope envelope)
    {
        for (var attempt = 1; ; attempt++)
        {
            switch (await transport.PublishAsync(envelope, Cancellation))
            {
                case DeliveryOutcome.Retry when attempt < MostAttempts:
                    break;
                case DeliveryOutcome.Unavailable:
                    attempt--;
                    await Task.Yield();
                    break;
                default:
                    return;
            }
        }
    }
}

public sealed class InProcessTransportTests(PostgresFixture postgres) : EventTransportConformance(postgres)
{
    private protected override int MostAttempts => 5;

    private protected override Task<IEventTransport> ConnectAsync() => Task.FromResult<IEventTransport>(new InProcessTransport());

    [Fact]
    public async Task A_consumer_that_is_down_outranks_one_that_refuses_so_that_no_dead_letter_is_made_of_what_it_has_not_seen()
    {
        var transport = new InProcessTransport();
        await using var refusing = await transport.SubscribeAsync(new EventSubscription("tests/a", ["x"], (_, _) => throw new EventRejectedException("never")), Cancellation);
        var away = await transport.SubscribeAsync(new EventSubscription("tests/b", ["x"], (_, _) => Task.CompletedTask), Cancellation);
        await away.DisposeAsync();
        var envelope = new EventEnvelope { Id = "1", Source = "s", Type = "x", Subject = "s", Time = default, TenantId = "t", EntityVersion = 1, Data = "{}" };

        Assert.Equal(new DeliveryOutcome.Unavailable("tests/b has no receiver attached"), await transport.PublishAsync(envelope, Cancellation));
        await using var back = await transport.SubscribeAsync(new EventSubscription("tests/b", ["x"], (_, _) => Task.CompletedTask), Cancellation);
        Assert.Equal(new DeliveryOutcome.Rejected("tests/a: never"), await transport.PublishAsync(envelope, Cancellation));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_handler_that_does_not_listen_to_its_cancellation_does_not_keep_its_subject_for_ever(bool blocks)
    {
        var transport = new InProcessTransport { Grace = TimeSpan.FromMilliseconds(20) };
        using var never = new ManualResetEventSlim();
        var forever = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var receiver = await transport.SubscribeAsync(new EventSubscription("tests/a", ["x"], (_, _) =>
        {
            if (!first.TrySetResult())
            {
                return Task.CompletedTask;
            }

            if (blocks)
            {
                never.Wait(Cancellation);
            }

            return forever.Task;
        }), Cancellation);
        var envelope = new EventEnvelope { Id = "1", Source = "s", Type = "x", Subject = "s", Time = default, TenantId = "t", EntityVersion = 1, Data = "{}" };
        using var overdue = new CancellationTokenSource();
        var published = transport.PublishAsync(envelope, overdue.Token);
        await first.Task.Soon();

        await overdue.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => published.Soon());

        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(envelope, Cancellation).Soon());
        never.Set();
        forever.SetResult();
        await receiver.DisposeAsync();
    }

    [Fact]
    public async Task A_handler_that_hangs_does_not_take_the_time_of_what_stops_after_the_subscriptions()
    {
        await using var store = await OpenStoreAsync();
        var transport = new InProcessTransport();
        var handler = new Hanging();
        var subscriptions = new EventSubscriptions(transport, store.Database, [handler]) { DrainWithin = TimeSpan.FromMilliseconds(50) };
        await subscriptions.StartAsync(Cancellation);
        var published = transport.PublishAsync(new EventEnvelope { Id = "1", Source = "s", Type = "x", Subject = "s", Time = default, TenantId = "t", EntityVersion = 1, Data = "{}" }, Cancellation);
        await handler.Begun.Task.Soon();

        await subscriptions.StopAsync(Cancellation).Soon();

        Assert.False(published.IsCompleted);
        handler.Ended.SetResult();
        await published.Soon();
    }

    private sealed class Hanging : IEventHandler
    {
        public TaskCompletionSource Begun { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string Consumer => "tests/hanging";

        public IReadOnlyCollection<string> Types { get; } = ["x"];

        public Task HandleAsync(EventEnvelope envelope, string commandId, CancellationToken cancellation)
        {
            Begun.SetResult();
            return Ended.Task;
        }
    }

    [Fact]
    public async Task One_consumer_name_has_one_receiver()
    {
        var transport = new InProcessTransport();
        var subscription = new EventSubscription("tests/a", ["x"], (_, _) => Task.CompletedTask);
        await using var first = await transport.SubscribeAsync(subscription, Cancellation);

        await Assert.ThrowsAsync<InvalidOperationException>(() => transport.SubscribeAsync(subscription, Cancellation));
    }
}

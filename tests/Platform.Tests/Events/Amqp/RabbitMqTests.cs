using System.Collections.Concurrent;
using System.Threading.Channels;
using Amqp;
using Amqp.Framing;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>What the AMQP transport does about a broker's own troubles, over a real one.</summary>
public sealed class RabbitMqTests(RabbitMqFixture rabbitMq) : IAsyncLifetime
{
    private const string Type = "wave16.tests.thing-happened.v1";
    private readonly List<AmqpTransport> _connected = [];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        Assert.SkipWhen(RabbitMqServer.IsMissing, Broker.Missing);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var transport in _connected)
        {
            await transport.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_broker_that_is_stopped_and_started_in_the_middle_loses_nothing_and_is_found_again()
    {
        await using var broker = await RabbitMqServer.StartAsync(null, Cancellation);
        await broker.CreateVirtualHostAsync("tests", Broker.Definitions, Cancellation);
        var health = new DependencyHealth(TimeProvider.System);
        var transport = Connected(broker.ConnectionStringFor("tests"), health: health);
        var received = new Collected();
        await using var subscription = await received.SubscribeAsync(transport, "tests/a");
        await PublishAsync(transport, Enumerable.Range(1, 100).Select(i => Event($"s{i % 10}", i)));

        var racing = Task.Run(() => PublishAsync(transport, Enumerable.Range(101, 400).Select(i => Event($"s{i % 10}", i))), Cancellation);
        await broker.StopAsync();
        Assert.IsType<DeliveryOutcome.Unavailable>(await AskAsync(transport, outcome => outcome is DeliveryOutcome.Unavailable));
        Assert.Equal(DependencyState.Degraded, Assert.Single(health.Reports, report => report.Name == "messaging").State);
        var waiting = Task.Run(() => PublishAsync(transport, Enumerable.Range(501, 100).Select(i => Event($"s{i % 10}", i))), Cancellation);
        await broker.StartAsync(Cancellation);
        await racing;
        await waiting;

        await received.WhenAsync(() => received.Ids.Count >= 600);
        Assert.Equal(DependencyState.Healthy, Assert.Single(health.Reports, report => report.Name == "messaging").State);
    }

    [Fact]
    public async Task A_connection_through_which_nothing_passes_any_more_is_noticed_and_replaced()
    {
        var virtualHost = await rabbitMq.CreateVirtualHostAsync(Broker.Definitions, Cancellation);
        var server = await rabbitMq.ServerAsync();
        await using var proxy = new StallingProxy(server.Port);
        var transport = Connected(server.ConnectionStringFor(virtualHost, proxy.Port), Broker.Settings with { IdleTimeout = TimeSpan.FromSeconds(4) });
        var received = new Collected();
        await using var subscription = await received.SubscribeAsync(transport, "tests/a");
        await PublishAsync(transport, [Event("s", 1)]);
        await received.WhenAsync(() => received.Ids.Count == 1);

        Assert.Equal(2, proxy.Stall());

        Assert.IsType<DeliveryOutcome.Unavailable>(await transport.PublishAsync(Event("s", 2), Cancellation).Soon());
        await PublishAsync(transport, [Event("s", 2), Event("s", 3)]);
        await received.WhenAsync(() => received.Ids.Count == 3);
    }

    [Fact]
    public async Task Ten_thousand_events_arrive_once_each_in_the_order_of_their_subjects_when_nothing_fails()
    {
        const int subjects = 500, versions = 20;
        var transport = Connected(await ConnectionStringAsync());
        var received = new Collected();
        await using var subscription = await received.SubscribeAsync(transport, "tests/a");

        await Parallel.ForEachAsync(Enumerable.Range(0, subjects), new ParallelOptions { MaxDegreeOfParallelism = 64, CancellationToken = Cancellation }, async (subject, _) =>
        {
            for (var version = 1; version <= versions; version++)
            {
                Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(Event($"s{subject}", version), Cancellation));
            }
        });

        await received.WhenAsync(() => received.Count >= subjects * versions);
        Assert.Equal(subjects * versions, received.Count);
        Assert.All(received.Versions.Values, of => Assert.Equal(Enumerable.Range(1, versions).Select(version => (long)version), of));
    }

    [Fact]
    public async Task Poison_is_a_dead_letter_of_its_queue_after_as_many_attempts_as_the_topology_says()
    {
        var connectionString = await ConnectionStringAsync();
        var transport = Connected(connectionString);
        var attempts = 0;
        await using var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [Type], (_, _) =>
        {
            Interlocked.Increment(ref attempts);
            throw new InvalidOperationException("poison");
        }), Cancellation);

        await PublishAsync(transport, [Event("s", 1)]);

        Assert.Equal(Event("s", 1), EventMessage.Decode(Assert.Single(await DeadLettersAsync(connectionString, 1))));
        Assert.Equal(BrokerTopology.MostDeliveries, attempts);
    }

    [Fact]
    public async Task A_refused_event_is_a_dead_letter_at_once()
    {
        var connectionString = await ConnectionStringAsync();
        var transport = Connected(connectionString);
        var attempts = 0;
        await using var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [Type], (_, _) =>
        {
            attempts++;
            throw new EventRejectedException("never");
        }), Cancellation);

        await PublishAsync(transport, [Event("s", 1)]);

        Assert.Single(await DeadLettersAsync(connectionString, 1));
        Assert.Equal(1, attempts);
    }

    [Fact]
    public async Task While_something_that_the_handler_needs_is_down_the_event_is_held_and_no_attempt_is_used_up()
    {
        var connectionString = await ConnectionStringAsync();
        var transport = Connected(connectionString);
        var attempts = 0;
        var handled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [Type], (_, _) =>
        {
            if (++attempts <= 3)
            {
                throw new DestinationUnavailableException("the store is away");
            }

            if (attempts <= 3 + BrokerTopology.MostDeliveries - 1)
            {
                throw new InvalidOperationException("not yet");
            }

            handled.SetResult();
            return Task.CompletedTask;
        }), Cancellation);

        await PublishAsync(transport, [Event("s", 1)]);

        // Had one of the first three been counted, the last attempt would not have come.
        await handled.Task.Soon();
        Assert.Equal(3 + BrokerTopology.MostDeliveries, attempts);
    }

    [Fact]
    public async Task A_subject_that_fails_and_has_many_events_does_not_keep_the_others_from_coming()
    {
        var transport = Connected(await ConnectionStringAsync(), Broker.Settings with { Credit = 4, MostParked = 40, FirstWait = TimeSpan.FromHours(1), LongestWait = TimeSpan.FromHours(1) });
        var good = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [Type], (envelope, _) =>
        {
            if (envelope.Subject == "bad")
            {
                throw new InvalidOperationException("not yet");
            }

            good.TrySetResult();
            return Task.CompletedTask;
        }), Cancellation);

        await PublishAsync(transport, Enumerable.Range(1, 20).Select(version => Event("bad", version)));
        await PublishAsync(transport, [Event("good", 1)]);

        await good.Task.Soon();
    }

    [Fact]
    public async Task Two_replicas_of_a_consumer_share_its_events()
    {
        var connectionString = await ConnectionStringAsync();
        var received = new Collected();
        var (first, second) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        await using var one = await received.SubscribeAsync(Connected(connectionString), "tests/a", () => Meet(first, second));
        await using var other = await received.SubscribeAsync(Connected(connectionString), "tests/a", () => Meet(second, first));

        await PublishAsync(Connected(connectionString), Enumerable.Range(0, 300).Select(i => Event($"s{i}", 1)));

        await received.WhenAsync(() => received.Count >= 300);
        Assert.Equal(300, received.Ids.Count);

        static async Task Meet(TaskCompletionSource mine, TaskCompletionSource theirs)
        {
            mine.TrySetResult();
            await theirs.Task.Soon();
        }
    }

    [Fact]
    public async Task What_a_replica_of_the_release_before_does_not_know_comes_to_a_newer_one()
    {
        var connectionString = await ConnectionStringAsync();
        var known = new Collected();
        await using var older = await known.SubscribeAsync(Connected(connectionString, Broker.Settings with { FirstWait = TimeSpan.FromMilliseconds(200) }), "tests/b");
        await PublishAsync(Connected(connectionString), Enumerable.Range(1, 5).Select(i => Event($"s{i}", 1) with { Type = Broker.NewType }));
        await PublishAsync(Connected(connectionString), [Event("last", 1)]);
        await known.WhenAsync(() => known.Count == 1);

        var received = new Collected();
        await using var newer = await received.SubscribeAsync(Connected(connectionString), "tests/b", types: [Type, Broker.NewType]);

        await received.WhenAsync(() => received.Ids.Count == 5);
    }

    [Fact]
    public async Task What_was_taken_and_not_begun_when_a_replica_stops_comes_to_the_next_one_in_order()
    {
        var connectionString = await ConnectionStringAsync();
        var transport = Connected(connectionString);
        var (begun, release) = (new TaskCompletionSource(), new TaskCompletionSource());
        var stopping = await transport.SubscribeAsync(new EventSubscription("tests/a", [Type], async (_, _) =>
        {
            begun.TrySetResult();
            await release.Task;
        }), Cancellation);
        await PublishAsync(transport, Enumerable.Range(1, 20).Select(version => Event("s", version)));
        await begun.Task.Soon();

        var stopped = stopping.DisposeAsync().AsTask();
        release.SetResult();
        await stopped.Soon();
        var received = new Collected();
        await using var next = await received.SubscribeAsync(transport, "tests/a");

        await received.WhenAsync(() => received.Count >= 19);
        Assert.Equal(Enumerable.Range(2, 19).Select(version => (long)version), received.Versions["s"]);
    }

    [Fact]
    public async Task What_is_no_event_becomes_a_dead_letter_and_the_next_event_is_handled()
    {
        var connectionString = await ConnectionStringAsync();
        var transport = Connected(connectionString);
        var received = new Collected();
        await using var subscription = await received.SubscribeAsync(transport, "tests/a");
        var hostile = EventMessageTests.Hostile().ToList();

        await RawAsync(connectionString, async session =>
        {
            var sender = new SenderLink(session, "hostile", new Target { Address = "/exchange/tests", Durable = 1 }, null);
            foreach (var (_, message) in hostile)
            {
                message.Header = new Header { Durable = true };
                message.Properties ??= new Properties();
                message.Properties.Subject = Type;
                await sender.SendAsync(message);
            }

            return hostile.Count;
        });
        await PublishAsync(transport, [Event("s", 1)]);

        await received.WhenAsync(() => received.Count == 1);
        Assert.Equal(hostile.Count, (await DeadLettersAsync(connectionString, hostile.Count)).Count);
    }

    [Fact]
    public async Task An_event_that_no_subscription_asks_for_is_delivered() =>
        Assert.Equal(DeliveryOutcome.Done, await Connected(await ConnectionStringAsync()).PublishAsync(Event("s", 1) with { Type = "wave16.tests.unheard-of.v1" }, Cancellation));

    [Fact]
    public async Task A_topic_that_is_not_provisioned_yet_makes_the_events_wait_for_it()
    {
        var virtualHost = await rabbitMq.CreateVirtualHostAsync("{}", Cancellation);
        var server = await rabbitMq.ServerAsync();
        var transport = Connected(server.ConnectionStringFor(virtualHost));
        var received = new Collected();
        await using var subscription = await received.SubscribeAsync(transport, "tests/a");

        var refused = Assert.IsType<DeliveryOutcome.Unavailable>(await transport.PublishAsync(Event("s", 1), Cancellation).Soon());
        await server.CreateVirtualHostAsync(virtualHost, Broker.Definitions, Cancellation);
        await PublishAsync(transport, [Event("s", 1)]);

        Assert.Contains("not-found", refused.Reason, StringComparison.Ordinal);
        await received.WhenAsync(() => received.Count == 1);
    }

    [Fact]
    public async Task A_password_that_is_wrong_is_said_to_be_and_not_told()
    {
        var server = await rabbitMq.ServerAsync();
        var health = new DependencyHealth(TimeProvider.System);
        var transport = Connected($"amqp://tests:hunter2@127.0.0.1:{server.Port}", health: health);

        var refused = Assert.IsType<DeliveryOutcome.Unavailable>(await transport.PublishAsync(Event("s", 1), Cancellation).Soon());

        Assert.Equal("the broker is away: the broker refused the credentials", refused.Reason);
        Assert.DoesNotContain(health.Reports, report => report.ToString().Contains("hunter2", StringComparison.Ordinal));
    }

    private static EventEnvelope Event(string subject, long version) => EventMessageTests.Sample with { Id = $"e:{subject}:{version}", Subject = subject, EntityVersion = version };

    private AmqpTransport Connected(string connectionString, TransportSettings? settings = null, DependencyHealth? health = null)
    {
        var transport = Broker.Connect(connectionString, settings, health);
        _connected.Add(transport);
        return transport;
    }

    private async Task<string> ConnectionStringAsync()
    {
        var virtualHost = await rabbitMq.CreateVirtualHostAsync(Broker.Definitions, Cancellation);
        return (await rabbitMq.ServerAsync()).ConnectionStringFor(virtualHost);
    }

    // As a lane does it, one after the other.
    private static async Task PublishAsync(AmqpTransport transport, IEnumerable<EventEnvelope> events)
    {
        foreach (var envelope in events)
        {
            using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
            while (await transport.PublishAsync(envelope, Cancellation) is not DeliveryOutcome.Delivered)
            {
                await again.WaitForNextTickAsync(Cancellation);
            }
        }
    }

    private static async Task<DeliveryOutcome> AskAsync(AmqpTransport transport, Func<DeliveryOutcome, bool> until)
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (true)
        {
            var outcome = await transport.PublishAsync(Event("probe", 1) with { Type = "wave16.tests.unheard-of.v1" }, Cancellation).Soon();
            if (until(outcome))
            {
                return outcome;
            }

            await again.WaitForNextTickAsync(Cancellation);
        }
    }

    private static Task<List<Message>> DeadLettersAsync(string connectionString, int count) => RawAsync(connectionString, async session =>
    {
        var receiver = new ReceiverLink(session, "dead", new Source { Address = "/amq/queue/tests.tests.a.dead", Durable = 1 }, null);
        var messages = new List<Message>();
        while (messages.Count < count && await receiver.ReceiveAsync(TimeSpan.FromSeconds(30)) is { } message)
        {
            receiver.Accept(message);
            messages.Add(message);
        }

        return messages;
    });

    private static async Task<T> RawAsync<T>(string connectionString, Func<Session, Task<T>> use)
    {
        var address = BrokerAddress.Parse(connectionString);
        var factory = new ConnectionFactory();
        factory.AMQP.HostName = address.OpenHostName;
        var plain = Assert.IsType<BrokerCredentials.Plain>(address.Credentials);
        var connection = await factory.CreateAsync(new Address(address.Host, address.Port, plain.User, plain.Password, "/", "AMQP"), Cancellation);
        var result = await use(new Session(connection));
        await connection.CloseAsync();
        return result;
    }

    /// <summary>A handler that keeps what it was given.</summary>
    private sealed class Collected
    {
        private readonly Channel<EventEnvelope> _more = Channel.CreateUnbounded<EventEnvelope>();
        private int _count;

        public ConcurrentDictionary<string, byte> Ids { get; } = new(StringComparer.Ordinal);

        /// <summary>By subject, in the order they came.</summary>
        public ConcurrentDictionary<string, List<long>> Versions { get; } = new(StringComparer.Ordinal);

        public int Count => Volatile.Read(ref _count);

        public Task<IAsyncDisposable> SubscribeAsync(AmqpTransport transport, string consumer, Func<Task>? first = null, string[]? types = null) =>
            transport.SubscribeAsync(new EventSubscription(consumer, types ?? [Type], async (envelope, _) =>
            {
                await (first?.Invoke() ?? Task.CompletedTask);
                Versions.GetOrAdd(envelope.Subject, _ => []).Add(envelope.EntityVersion);
                Ids[envelope.Id] = 0;
                Interlocked.Increment(ref _count);
                _more.Writer.TryWrite(envelope);
            }), Cancellation);

        public async Task WhenAsync(Func<bool> enough)
        {
            while (!enough())
            {
                await _more.Reader.ReadAsync(Cancellation).AsTask().Soon();
            }
        }
    }
}

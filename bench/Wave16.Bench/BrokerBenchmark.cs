using System.Diagnostics;
using Amqp;
using Amqp.Framing;
using Amqp.Types;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.Testing;

namespace Wave16.Bench;

/// <summary>
/// The same events in process and over RabbitMQ: how long after its commit one is handled while there is little to do, and how fast a
/// backlog leaves the outbox and is handled, against the library publishing and consuming the same messages with nothing around it.
/// </summary>
internal static class BrokerBenchmark
{
    private const int Single = 300;
    private const int Pending = 20_000;
    private const int Subjects = 2_000;
    private const int InFlight = 64;

    private static BrokerTopology Topology(string module, string subscription) =>
        new([new BrokerTopology.Topic(module, [new BrokerTopology.Subscription(subscription, [CounterModule.Counted])])]);

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        if (RabbitMqServer.MissingBecause is { } missing)
        {
            Console.WriteLine($"broker: not run, {missing}");
            return;
        }

        await using var broker = await RabbitMqServer.StartAsync(null, cancellation);
        await broker.CreateVirtualHostAsync("bench", Topology(CounterModule.ModuleName, "bench.counted").ToRabbitMqDefinitions(null), cancellation);
        await broker.CreateVirtualHostAsync("floor", Topology("floor", "floor").ToRabbitMqDefinitions(null), cancellation);
        await using var near = await Hosted.StartAsync(new CounterModule(), await ground.DatabaseAsync("bench_near", cancellation), cancellation);
        await using var far = await Hosted.StartAsync(
            new CounterModule(), await ground.DatabaseAsync("bench_far", cancellation), cancellation, messaging: broker.ConnectionStringFor("bench"));
        Side inProcess = new(near), overBroker = new(far);
        await inProcess.LatencyAsync(new Samples(), -1, cancellation);
        await overBroker.LatencyAsync(new Samples(), -1, cancellation);
        await overBroker.DrainAsync(-1, cancellation);

        Samples nearLatency = new(), farLatency = new(), otherLatency = new(), floor = new(), drained = new(), handled = new();
        for (var round = 0; round < Ground.Rounds; round++)
        {
            await inProcess.LatencyAsync(nearLatency, round, cancellation);
            await overBroker.LatencyAsync(farLatency, round, cancellation);
            floor.Add(Pending / await FloorAsync(broker, cancellation));
            var (outbox, handler) = await overBroker.DrainAsync(round, cancellation);
            drained.Add(Pending / outbox);
            handled.Add(Pending / handler);
        }

        // The first replica has the lane; what the second commits is the first's to publish, and either's to handle.
        await using (var replica = await Hosted.StartAsync(
            new CounterModule(), await ground.DatabaseAsync("bench_far", cancellation), cancellation, messaging: broker.ConnectionStringFor("bench")))
        {
            var other = new Side(replica, overBroker);
            await other.LatencyAsync(new Samples(), Ground.Rounds, cancellation);
            for (var round = 0; round < Ground.Rounds; round++)
            {
                await other.LatencyAsync(otherLatency, Ground.Rounds + 1 + round, cancellation);
            }
        }

        var table = new Table("broker: commit to handler, one at a time", "transport", "events", "p50 ms", "p95 ms", "p99 ms", "bar (p95)");
        table.Add("in process", $"{Single * Ground.Rounds:N0}", $"{nearLatency.Median * 1000:F1}", $"{nearLatency.Percentile(0.95) * 1000:F1}", $"{nearLatency.Percentile(0.99) * 1000:F1}", "50");
        table.Add("RabbitMQ", $"{Single * Ground.Rounds:N0}", $"{farLatency.Median * 1000:F1}", $"{farLatency.Percentile(0.95) * 1000:F1}", $"{farLatency.Percentile(0.99) * 1000:F1}", "150");
        table.Add("RabbitMQ, by the replica without the lane", $"{Single * Ground.Rounds:N0}", $"{otherLatency.Median * 1000:F1}", $"{otherLatency.Percentile(0.95) * 1000:F1}", $"{otherLatency.Percentile(0.99) * 1000:F1}", "150");
        table.Print();
        table = new Table($"broker: {Pending:N0} pending of {Subjects:N0} subjects over RabbitMQ, events per second", "", "events/s", "ours / floor");
        table.Add($"floor: the library publishes and consumes, {InFlight} in flight", $"{floor.Median:N0} ({floor.Range("F0")})", "1");
        table.Add("out of the outbox (bar 3,000)", $"{drained.Median:N0} ({drained.Range("F0")})", $"{drained.Median / floor.Median:F2}");
        table.Add("to the handler", $"{handled.Median:N0} ({handled.Range("F0")})", $"{handled.Median / floor.Median:F2}");
        table.Print();
    }

    /// <returns>Seconds until all were accepted by the broker, received and accepted.</returns>
    private static async Task<double> FloorAsync(RabbitMqServer broker, CancellationToken cancellation)
    {
        var factory = new ConnectionFactory();
        factory.AMQP.HostName = "vhost:floor";
        var uri = new Uri(broker.ConnectionStringFor("floor"));
        var login = uri.UserInfo.Split(':');
        var address = new Address(uri.Host, uri.Port, login[0], login[1], "/", "AMQP");
        var (publishing, receiving) = (await factory.CreateAsync(address), await factory.CreateAsync(address));
        var sender = new SenderLink(new Session(publishing), "floor", new Target { Address = "/exchange/floor", Durable = 1 }, null);
        var receiver = new ReceiverLink(new Session(receiving), "floor", new Source { Address = "/amq/queue/floor.floor", Durable = 1 }, null);
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var received = 0;
        var body = """{"count":1}"""u8.ToArray();
        var started = Stopwatch.GetTimestamp();
        // As our receiver gives credit: only when what was given before has been used.
        receiver.Start(0, (_, message) =>
        {
            receiver.Accept(message);
            if (++received == Pending)
            {
                all.TrySetResult();
            }
            else if (received % InFlight == 0)
            {
                receiver.SetCredit(InFlight, CreditMode.Manual);
            }
        });
        receiver.SetCredit(InFlight, CreditMode.Manual);
        using var room = new SemaphoreSlim(InFlight);
        for (var i = 0; i < Pending; i++)
        {
            await room.WaitAsync(cancellation);
            sender.Send(Message(i, body), (_, _, _, _) => room.Release(), null);
        }

        await all.Task.WaitAsync(cancellation);
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        await publishing.CloseAsync();
        await receiving.CloseAsync();
        return seconds;
    }

    private static Message Message(int i, byte[] body)
    {
        var attributes = new ApplicationProperties();
        attributes["cloudEvents:specversion"] = "1.0";
        attributes["cloudEvents:id"] = $"bench:0:{i}";
        attributes["cloudEvents:source"] = CounterModule.ModuleName;
        attributes["cloudEvents:type"] = CounterModule.Counted;
        attributes["cloudEvents:subject"] = $"s{i % Subjects}";
        attributes["cloudEvents:time"] = "2026-03-01T12:00:00.0000000+00:00";
        attributes["cloudEvents:tenantid"] = "bench";
        attributes["cloudEvents:entityversion"] = i;
        return new Message
        {
            Header = new Header { Durable = true },
            Properties = new Properties { MessageId = $"bench:0:{i}", Subject = CounterModule.Counted, ContentType = new Symbol("application/json") },
            ApplicationProperties = attributes,
            BodySection = new Data { Binary = body },
        };
    }

    /// <param name="hosted">Commits here.</param>
    /// <param name="other">A replica of the same module, which handles some of what comes.</param>
    private sealed class Side(Hosted hosted, Side? other = null)
    {
        private Task<long>? _here;
        private Task<long>? _there;

        private readonly CounterStore _store = new(hosted.Services);
        private readonly CountedHandler _handler = hosted.Services.GetKeyedServices<IEventHandler>(CounterModule.ModuleName).OfType<CountedHandler>().Single();
        private readonly OutboxSignal _signal = hosted.Services.GetRequiredKeyedService<OutboxSignal>(CounterModule.ModuleName);

        public async Task LatencyAsync(Samples latency, int round, CancellationToken cancellation)
        {
            for (var i = 0; i < Single; i++)
            {
                await _store.CreateAsync("bench", $"{round}-{i}", cancellation);
                var committed = Stopwatch.GetTimestamp();
                var handled = await HandledAsync(cancellation);
                latency.Add(Math.Max(0, Stopwatch.GetElapsedTime(committed, handled).TotalSeconds));
            }
        }

        private async Task<long> HandledAsync(CancellationToken cancellation)
        {
            _here ??= _handler.NextAsync(cancellation).AsTask();
            if (other is null)
            {
                var alone = _here;
                _here = null;
                return await alone;
            }

            _there ??= other._handler.NextAsync(cancellation).AsTask();
            var handled = await Task.WhenAny(_here, _there);
            _ = handled == _here ? _here = null : _there = null;
            return await handled;
        }

        /// <returns>Seconds until the outbox was empty, and until the last event was handled.</returns>
        public async Task<(double Outbox, double Handler)> DrainAsync(int round, CancellationToken cancellation)
        {
            await _store.FillAsync(BusDestination.BusName, round, Pending, Subjects, cancellation);
            var started = Stopwatch.GetTimestamp();
            _signal.Committed([BusDestination.BusName]);
            var emptied = Task.Run(
                async () =>
                {
                    using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
                    while (!await _store.IsEmptyAsync(BusDestination.BusName, cancellation))
                    {
                        await look.WaitForNextTickAsync(cancellation);
                    }

                    return Stopwatch.GetElapsedTime(started).TotalSeconds;
                },
                cancellation);
            var last = 0L;
            for (var i = 0; i < Pending; i++)
            {
                last = Math.Max(last, await HandledAsync(cancellation));
            }

            return (await emptied, Stopwatch.GetElapsedTime(started, last).TotalSeconds);
        }
    }
}

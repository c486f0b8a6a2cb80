using System.Diagnostics.Metrics;
using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.Platform.TestHost;
using Wave16.ServiceDefaults;

// A process that tests kill. It says on its standard output what it has got done, one line each:
//   saved       a change and its event are committed
//   publishing  the lane has taken the event, and nobody else knows of it yet
//   handled     the consumer has committed, and the outbox does not know of it yet
// "hold <line>" stops it for good after that line; "write <n>" has n counters counted up without end.
// Or, started with "tls <host> <port>": connects to a broker with TLS, says "open" or why it was refused, and ends.
// Or, started with "job <connection> <n> <seconds>": a replica that runs jobs of steps, says "step <number>" after each, stands
// still after step n, and whose clock is that much ahead.
if (args is ["tls", var broker, var port])
{
    try
    {
        await using var open = await OpenBroker.ConnectAsync(
            new BrokerAddress(broker, int.Parse(port, CultureInfo.InvariantCulture), Tls: true, new BrokerCredentials.Entra()), tokens: null,
            new TransportSettings(), TimeProvider.System, CancellationToken.None);
        await Console.Out.WriteLineAsync("open");
    }
    catch (BrokerException refused)
    {
        await Console.Out.WriteLineAsync(refused.Message);
    }

    return;
}

if (args is ["job", var jobs, var after])
{
    await StepJobs.RunAsync(jobs, int.Parse(after, CultureInfo.InvariantCulture));
    return;
}

var (producerConnection, consumerConnection) = (args[0], args[1]);
var hold = args is [_, _, "hold", var line] ? line : "";
var writers = args is [_, _, "write", var count] ? int.Parse(count, CultureInfo.InvariantCulture) : 0;

await using var producer = await TestStore.OpenAsync(producerConnection, BusDestination.BusName);
await using var consumer = await TestStore.OpenAsync(consumerConnection);
var handler = new CountHandler(consumer);
var transport = new InProcessTransport();
await using var subscription = await transport.SubscribeAsync(
    new EventSubscription(handler.Consumer, handler.Types, async (envelope, cancellation) =>
    {
        await SayAsync("publishing");
        await handler.HandleAsync(envelope, Inbox.CommandId(handler.Consumer, envelope.Id), cancellation);
        await SayAsync("handled");
    }),
    CancellationToken.None);

await using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
var lane = new Lane(
    new BusDestination(transport), producer.Database, producer.Locks, new LaneSettings(), new DependencyHealth(TimeProvider.System),
    new OutboxMetrics(services.GetRequiredService<IMeterFactory>(), TimeProvider.System), TimeProvider.System, NullLogger.Instance);
producer.Signal.Connect(lane.Destination, lane.Signal);
await Task.WhenAll([lane.RunAsync(CancellationToken.None, CancellationToken.None), .. Enumerable.Range(0, writers).Select(WriteAsync)]);

async Task WriteAsync(int number)
{
    var id = $"c{number}";
    for (var version = await producer.NextVersionAsync("t", id); ; version++)
    {
        await producer.CountAsync("t", id, version);
        await SayAsync("saved");
    }
}

async Task SayAsync(string done)
{
    await Console.Out.WriteLineAsync(done);
    if (done == hold)
    {
        await Task.Delay(Timeout.Infinite);
    }
}

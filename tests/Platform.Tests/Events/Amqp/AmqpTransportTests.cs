using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.ServiceDefaults;
using Wave16.Testing;

[assembly: AssemblyFixture(typeof(RabbitMqFixture))]

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>The AMQP transport over RabbitMQ, each test in a virtual host of its own.</summary>
internal static class Broker
{
    public const string Missing = "RabbitMQ is not installed: apt-get install --no-install-recommends rabbitmq-server";

    /// <summary>Quick where production waits.</summary>
    public static TransportSettings Settings { get; } = new()
    {
        HandleWithin = TimeSpan.FromSeconds(2),
        FirstWait = TimeSpan.FromMilliseconds(1),
        FirstReconnect = TimeSpan.FromMilliseconds(50),
        LongestReconnect = TimeSpan.FromMilliseconds(500),
    };

    /// <summary>A type that only the next release of <c>tests/b</c> takes.</summary>
    public const string NewType = "wave16.tests.thing-changed.v1";

    /// <summary>The topic <c>tests</c> with room for the consumers <c>tests/a</c> and <c>tests/b</c>.</summary>
    public static BrokerTopology Topology { get; } = BrokerTopology.Of(
        ["tests"],
        [("tests/a", ["wave16.tests.thing-happened.v1"]), ("tests/b", ["wave16.tests.thing-happened.v1", NewType])]);

    public static string Definitions => Topology.ToRabbitMqDefinitions(virtualHost: null);

    public static AmqpTransport Connect(string connectionString, TransportSettings? settings = null, DependencyHealth? health = null, ILogger? log = null) => new(
        BrokerAddress.Parse(connectionString), settings ?? Settings, new TransportMetrics(OutboxTest.Meters), health ?? new DependencyHealth(TimeProvider.System),
        TimeProvider.System, log ?? NullLogger.Instance);
}

public sealed class AmqpTransportTests(PostgresFixture postgres, RabbitMqFixture rabbitMq) : EventTransportConformance(postgres), IAsyncLifetime
{
    private readonly List<AmqpTransport> _connected = [];

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

    private protected override int MostAttempts => BrokerTopology.MostDeliveries;

    private protected override async Task<IEventTransport> ConnectAsync()
    {
        var virtualHost = await rabbitMq.CreateVirtualHostAsync(Broker.Definitions, Cancellation);
        var transport = Broker.Connect((await rabbitMq.ServerAsync()).ConnectionStringFor(virtualHost));
        _connected.Add(transport);
        return transport;
    }
}

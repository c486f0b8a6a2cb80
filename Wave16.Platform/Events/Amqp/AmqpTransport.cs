using Azure.Core;
using Azure.Identity;
using Microsoft.Extensions.Logging;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// The bus over an AMQP 1.0 broker: Azure Service Bus, its emulator, RabbitMQ, ActiveMQ Artemis. A topic per module that publishes, a
/// subscription per topic and consumer; both are provisioned beforehand (<see cref="BrokerTopology"/>), never here.
/// </summary>
internal sealed class AmqpTransport : IEventTransport, IAsyncDisposable
{
    private readonly BrokerConnection _publishing;
    private readonly BrokerConnection _receiving;
    private readonly TransportSettings _settings;
    private readonly TransportMetrics _metrics;
    private readonly DependencyHealth _health;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly HashSet<string> _subscribed = new(StringComparer.Ordinal);
    private readonly List<AmqpReceiver> _receivers = [];
    private readonly Lock _gate = new();

    public AmqpTransport(
        BrokerAddress address, TransportSettings settings, TransportMetrics metrics, DependencyHealth health, TimeProvider time, ILogger log,
        Func<TokenCredential>? identity = null)
    {
        (_settings, _metrics, _health, _time, _log) = (settings, metrics, health, time, log);
        // AZURE_CLIENT_ID and AZURE_TOKEN_CREDENTIALS are its own.
        var tokens = BrokerTokens.For(address, identity ?? (static () => new DefaultAzureCredential()), time);
        _publishing = Connection("publishing");
        _receiving = Connection("receiving");

        BrokerConnection Connection(string purpose) =>
            new(purpose, cancellation => OpenBroker.ConnectAsync(address, tokens, settings, time, cancellation), settings, time, health, log);
    }

    public async Task<DeliveryOutcome> PublishAsync(EventEnvelope envelope, CancellationToken cancellation)
    {
        if (await _publishing.NowAsync(cancellation) is not { } broker)
        {
            return new DeliveryOutcome.Unavailable($"the broker is away: {_publishing.Away}");
        }

        try
        {
            var topic = BrokerNames.Topic(envelope.Type);
            var sender = await broker.SenderAsync(broker.Dialect.Sending(topic, envelope.Type), topic).WaitAsync(cancellation);
            var outcome = await sender.SendAsync(envelope, cancellation);
            if (ReferenceEquals(outcome, TopicSender.Unrouted))
            {
                _metrics.Unrouted(envelope.Type);
            }

            return outcome;
        }
        catch (BrokerException away)
        {
            return new DeliveryOutcome.Unavailable($"the broker is away: {away.Message}");
        }
        catch (ArgumentException unnamed)
        {
            return new DeliveryOutcome.Rejected(unnamed.Message);
        }
    }

    /// <summary>Returns at once: the broker may be away for now.</summary>
    public Task<IAsyncDisposable> SubscribeAsync(EventSubscription subscription, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (_gate)
        {
            if (!_subscribed.Add(subscription.Consumer))
            {
                throw new InvalidOperationException($"{subscription.Consumer} is subscribed already.");
            }

            var receiver = new AmqpReceiver(_receiving, subscription, _settings, _metrics, _health, _time, _log);
            _receivers.Add(receiver);
            return Task.FromResult<IAsyncDisposable>(new Attached(this, receiver, subscription.Consumer));
        }
    }

    public async ValueTask DisposeAsync()
    {
        List<AmqpReceiver> receivers;
        lock (_gate)
        {
            receivers = [.. _receivers];
        }

        await Task.WhenAll(receivers.Select(receiver => receiver.DisposeAsync().AsTask()));
        await _publishing.DisposeAsync();
        await _receiving.DisposeAsync();
    }

    private sealed class Attached(AmqpTransport transport, AmqpReceiver receiver, string consumer) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await receiver.DisposeAsync();
            lock (transport._gate)
            {
                transport._receivers.Remove(receiver);
                transport._subscribed.Remove(consumer);
            }
        }
    }
}

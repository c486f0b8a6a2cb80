using Amqp;
using Microsoft.Extensions.Logging;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// A consumer's receiver: keeps one link per topic, for ever, and sorts what comes on them: events to their subjects
/// (<see cref="OrderedSubjects"/>) and on to the handler (<see cref="EventHandling"/>), what is no event to the dead letters.
/// </summary>
internal sealed class AmqpReceiver : IAsyncDisposable
{
    private static readonly TimeSpan ConnectionSaysWithin = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan DetachWithin = TimeSpan.FromSeconds(2);

    private readonly BrokerConnection _connection;
    private readonly EventSubscription _subscription;
    private readonly string _name;
    private readonly TransportSettings _settings;
    private readonly TransportMetrics _metrics;
    private readonly DependencyHealth _health;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly EventHandling _handling;
    private readonly OrderedSubjects _subjects;
    private readonly CancellationTokenSource _detaching = new();
    private readonly List<string> _topics;
    private readonly List<Task> _links;

    public AmqpReceiver(
        BrokerConnection connection, EventSubscription subscription, TransportSettings settings, TransportMetrics metrics, DependencyHealth health,
        TimeProvider time, ILogger log)
    {
        (_connection, _subscription, _settings, _metrics, _health, _time, _log) = (connection, subscription, settings, metrics, health, time, log);
        _name = BrokerNames.Subscription(subscription.Consumer);
        _handling = new EventHandling(subscription, settings, metrics, time, log, _detaching.Token);
        _subjects = new OrderedSubjects(received => _handling.RunAsync(received, () => _subjects!.Pause(received.Subject)));
        _topics = subscription.Types.Select(BrokerNames.Topic).Distinct(StringComparer.Ordinal).ToList();
        _links = _topics.ConvertAll(topic => Task.Run(() => RunAsync(topic), CancellationToken.None));
    }

    public async ValueTask DisposeAsync()
    {
        if (!_subjects.Close())
        {
            return;
        }

        await _detaching.CancelAsync();
        await _subjects.Idle;
        await Task.WhenAll(_links);
        _topics.ForEach(topic => _health.Forget(BrokerAddress.Name, Reporter(topic)));
        _detaching.Dispose();
        _handling.Dispose();
    }

    private async Task RunAsync(string topic)
    {
        var stopping = _detaching.Token;
        for (var failures = 0; !stopping.IsCancellationRequested;)
        {
            try
            {
                var broker = await _connection.OpenAsync(stopping);
                var since = _time.GetTimestamp();
                var link = new ReceivingLink(await broker.ReceiverAsync(broker.Dialect.Receiving(topic, _name)), broker.Dialect, _settings, stopping);
                _health.Report(BrokerAddress.Name, DependencyState.Healthy, reporter: Reporter(topic));
                if (failures > 0)
                {
                    _log.LogInformation("{Consumer} receives from {Topic} again", _subscription.Consumer, topic);
                }

                link.Start(message => Take(link, message));
                await ((Task)link.Ended).WaitAsync(stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (stopping.IsCancellationRequested)
                {
                    // Settle what is being handled, give the rest back, then detach.
                    await _subjects.Idle;
                    await link.DetachAsync(DetachWithin);
                    return;
                }

                // Of a connection that ends its links hear first.
                await ((Task)broker.Ended).WaitAsync(ConnectionSaysWithin, _time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                // One that was good for something is replaced soon; one that ends as soon as it is attached is no better than a refusal.
                failures = link.HasDelivered || _time.GetElapsedTime(since) > _settings.LongestReconnect ? 0 : failures;
                Lost(topic, await link.Ended, broker.Ended.IsCompleted, failures++ == 0);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception refused)
            {
                Lost(topic, refused.Message, withConnection: false, failures++ == 0, refused);
            }

            await Task.Delay(_settings.Reconnect(failures), _time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void Lost(string topic, string reason, bool withConnection, bool first, Exception? refused = null)
    {
        if (withConnection)
        {
            // Logged and reported where it is kept.
            return;
        }

        _health.Report(BrokerAddress.Name, DependencyState.Degraded, $"{_subscription.Consumer} does not receive from {topic}; its events wait at the broker", Reporter(topic));
        _log.Log(
            first ? LogLevel.Warning : LogLevel.Debug, refused,
            "{Consumer} does not receive from {Topic}: {Reason}; it is tried again", _subscription.Consumer, topic, reason);
    }

    private string Reporter(string topic) => $"{_subscription.Consumer} from {topic}";

    // On the connection's only reading thread: nothing here may wait.
    private void Take(ReceivingLink link, Message message)
    {
        EventEnvelope envelope;
        try
        {
            envelope = EventMessage.Decode(message);
        }
        catch (Exception malformed)
        {
            // Foreign, and whatever it is: the broker's dead letters are the place for it.
            _log.LogError("{Consumer}: a message is no event and is rejected: {Reason}", _subscription.Consumer, malformed is FormatException ? malformed.Message : malformed.GetType().Name);
            _metrics.Received(_subscription.Consumer, "malformed");
            link.Reject(message, malformed is FormatException ? EventHandling.Short(malformed.Message) : "The message cannot be read.");
            return;
        }

        if (!_handling.Knows(envelope.Type) && link.Dialect.DeliversEveryType)
        {
            link.Accept(message);
            return;
        }

        _subjects.Add(new Received(link, message, envelope, _time.GetTimestamp()));
    }
}

using System.Collections.Concurrent;
using System.Diagnostics;
using Amqp;
using Amqp.Framing;
using Amqp.Types;
using Microsoft.Extensions.Logging;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// A consumer's receiver: one link per topic, one event at a time per source, tenant and subject, in the order in which they came.
/// An event is accepted when its handler has committed. Failing holds back its subject for a growing wait before the broker is told,
/// so that an immediate redelivery does not use up the attempts in a second; while something that the handler needs is down, the
/// event is held and tried here, and the broker counts nothing.
/// </summary>
internal sealed class AmqpReceiver : IAsyncDisposable
{
    // Failures remembered by event id, for brokers that do not say how often they delivered.
    private const int Remembered = 10_000;
    private const int LongestReason = 1000;
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
    private readonly HashSet<string> _types;
    private readonly SemaphoreSlim _handlers;
    private readonly Dictionary<SubjectOfSource, Waiting> _subjects = [];
    private readonly ConcurrentDictionary<string, int> _failures = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, byte> _unknown = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _detaching = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private readonly List<string> _topics;
    private readonly List<Task> _links;
    private bool _closed;

    public AmqpReceiver(
        BrokerConnection connection, EventSubscription subscription, TransportSettings settings, TransportMetrics metrics, DependencyHealth health,
        TimeProvider time, ILogger log)
    {
        (_connection, _subscription, _settings, _metrics, _health, _time, _log) = (connection, subscription, settings, metrics, health, time, log);
        _name = BrokerNames.Subscription(subscription.Consumer);
        _types = new(subscription.Types, StringComparer.Ordinal);
        _handlers = new(settings.Concurrency, settings.Concurrency);
        _topics = subscription.Types.Select(BrokerNames.Topic).Distinct(StringComparer.Ordinal).ToList();
        _links = _topics.ConvertAll(topic => Task.Run(() => RunAsync(topic), CancellationToken.None));
    }

    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
            if (_subjects.Count == 0)
            {
                _idle.TrySetResult();
            }
        }

        await _detaching.CancelAsync();
        await _idle.Task;
        await Task.WhenAll(_links);
        _topics.ForEach(topic => _health.Forget(BrokerAddress.Name, Reporter(topic)));
        _detaching.Dispose();
        _handlers.Dispose();
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
                    await _idle.Task;
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
            link.Reject(message, malformed is FormatException ? Short(malformed.Message) : "The message cannot be read.");
            return;
        }

        if (!_types.Contains(envelope.Type) && link.Dialect.DeliversEveryType)
        {
            link.Accept(message);
            return;
        }

        var received = new Received(link, message, envelope, _time.GetTimestamp());
        var subject = SubjectOf(envelope);
        lock (_gate)
        {
            if (_closed)
            {
                link.Hold(message);
                return;
            }

            if (_subjects.TryGetValue(subject, out var waiting))
            {
                waiting.Later.Enqueue(received);
                if (waiting.HeadPauses)
                {
                    link.Park(message);
                }

                return;
            }

            _subjects.Add(subject, new Waiting(received));
        }

        _ = Task.Run(() => WorkAsync(subject), CancellationToken.None);
    }

    private async Task WorkAsync(SubjectOfSource subject)
    {
        while (Next(subject) is { } received)
        {
            try
            {
                await HandleAsync(received);
            }
            catch (Exception bug)
            {
                _log.LogError(bug, "{Consumer}: event {EventId} is given back", _subscription.Consumer, received.Envelope.Id);
                received.Link.Fail(received.Message);
            }
        }
    }

    private Received? Next(SubjectOfSource subject)
    {
        lock (_gate)
        {
            var waiting = _subjects[subject];
            waiting.HeadPauses = false;
            if (waiting.Later.TryDequeue(out var next))
            {
                return next;
            }

            _subjects.Remove(subject);
            if (_closed && _subjects.Count == 0)
            {
                _idle.TrySetResult();
            }

            return null;
        }
    }

    private async Task HandleAsync(Received received)
    {
        var (link, message, envelope, at) = received;
        var stopping = _detaching.Token;
        for (var tries = 1; ; tries++)
        {
            if (stopping.IsCancellationRequested || link.Ended.IsCompleted || link.Left(message, at, _time) <= TimeSpan.Zero)
            {
                // Also when it waited here until it was, or soon will be, someone else's.
                link.Release(message);
                return;
            }

            if (!_types.Contains(envelope.Type))
            {
                // Asked for by another release of this consumer, with which this one shares the subscription, or by a filter that
                // was left behind. Not ours to drop: a newer replica may get it next, and in the end it is a dead letter.
                _metrics.Received(_subscription.Consumer, "unknown");
                if (_unknown.TryAdd(envelope.Type, 0))
                {
                    _log.LogWarning("{Consumer}: {Type} comes and is not known to this release; such events are given back", _subscription.Consumer, envelope.Type);
                }

                await PauseAsync(_settings.Wait(Failures(message, envelope)), received, stopping);
                link.Fail(message);
                return;
            }

            var outcome = await TryAsync(envelope);
            _metrics.Received(_subscription.Consumer, TransportMetrics.Label(outcome));
            switch (outcome)
            {
                case DeliveryOutcome.Delivered:
                    _failures.TryRemove(envelope.Id, out var _);
                    link.Accept(message);
                    return;
                case DeliveryOutcome.Rejected rejected:
                    _log.LogError("{Consumer}: event {EventId} of {Type} is a dead letter: {Reason}", _subscription.Consumer, envelope.Id, envelope.Type, Short(rejected.Reason));
                    _failures.TryRemove(envelope.Id, out var _);
                    link.Reject(message, Short(rejected.Reason));
                    return;
                case DeliveryOutcome.Unavailable down:
                    var wait = down.RetryAfter is { } asked && asked > _settings.Wait(tries) ? asked : _settings.Wait(tries);
                    if (wait >= link.Left(message, at, _time))
                    {
                        link.Release(message);
                        return;
                    }

                    await PauseAsync(wait, received, stopping);
                    break;
                default:
                    await PauseAsync(_settings.Wait(Failures(message, envelope)), received, stopping);
                    link.Fail(message);
                    return;
            }
        }
    }

    private async Task<DeliveryOutcome> TryAsync(EventEnvelope envelope)
    {
        await _handlers.WaitAsync(CancellationToken.None);
        using var activity = TransportMetrics.StartHandling(_subscription.Consumer, envelope);
        using var overdue = new CancellationTokenSource(_settings.HandleWithin, _time);
        try
        {
            // On a thread of its own: a handler that blocks, or does not listen, is left behind.
            var handling = Task.Run(() => _subscription.Handle(envelope, overdue.Token), CancellationToken.None);
            await handling.OrAbandonedAsync(_settings.Grace, overdue.Token);
            await handling;
            return DeliveryOutcome.Done;
        }
        catch (OperationCanceledException) when (overdue.IsCancellationRequested)
        {
            activity?.SetStatus(ActivityStatusCode.Error, "timeout");
            return new DeliveryOutcome.Retry($"took longer than {_settings.HandleWithin}");
        }
        catch (Exception failure)
        {
            activity?.SetStatus(ActivityStatusCode.Error, failure.GetType().Name);
            var outcome = failure.ToOutcome();
            _log.Log(
                outcome is DeliveryOutcome.Unavailable ? LogLevel.Debug : LogLevel.Warning, failure,
                "{Consumer}: event {EventId} of {Type} was not handled", _subscription.Consumer, envelope.Id, envelope.Type);
            return outcome;
        }
        finally
        {
            _handlers.Release();
        }
    }

    private int Failures(Message message, EventEnvelope envelope)
    {
        if (_failures.Count > Remembered)
        {
            _failures.Clear();
        }

        var seen = _failures.AddOrUpdate(envelope.Id, 1, static (_, times) => times + 1);
        return Math.Max(seen, 1 + (int)Math.Min(message.Header?.DeliveryCount ?? 0, 100));
    }

    // What is behind it waits, too, and must not use up the credit of the other subjects.
    private async Task PauseAsync(TimeSpan wait, Received received, CancellationToken stopping)
    {
        var (link, _, envelope, _) = received;
        lock (_gate)
        {
            var waiting = _subjects[SubjectOf(envelope)];
            waiting.HeadPauses = true;
            foreach (var later in waiting.Later)
            {
                later.Link.Park(later.Message);
            }
        }

        using var over = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        await Task.WhenAny(Task.Delay(wait, _time, over.Token), link.Ended);
        await over.CancelAsync();
    }

    private static SubjectOfSource SubjectOf(EventEnvelope envelope) => new(envelope.Source, envelope.TenantId, envelope.Subject);

    private static string Short(string reason) => reason.Length <= LongestReason ? reason : reason[..LongestReason];

    private readonly record struct SubjectOfSource(string Source, string Tenant, string Id);

    private sealed class Waiting(Received first)
    {
        public Queue<Received> Later { get; } = new([first]);

        /// <summary>What is being handled has failed, and waits before it is tried again or given back.</summary>
        public bool HeadPauses { get; set; }
    }

    private sealed record Received(ReceivingLink Link, Message Message, EventEnvelope Envelope, long At);
}

/// <summary>
/// A receiver link with credit of our own accounting. New credit is given only when all that was given before has been used:
/// RabbitMQ 3's plugin does not count what is under way when it hears of new credit, sends more than it may, and the library
/// answers that by closing the connection. None is given any more once the link is being detached.
/// </summary>
internal sealed class ReceivingLink
{
    // For the clocks' difference and the way of the answer.
    private static readonly TimeSpan BeforeLockEnds = TimeSpan.FromSeconds(5);

    private readonly ReceiverLink _link;
    private readonly BrokerDialect _dialect;
    private readonly TransportSettings _settings;
    private readonly CancellationToken _stopping;
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<Message> _held = [];
    private readonly HashSet<Message> _parked = [];
    private readonly Lock _gate = new();
    private int _coming;
    private int _owed;
    private bool _detaching;

    /// <param name="link">Attached, without credit.</param>
    /// <param name="dialect">Of its broker.</param>
    /// <param name="settings">How much credit.</param>
    /// <param name="stopping">From then on no more credit is given.</param>
    public ReceivingLink(ReceiverLink link, BrokerDialect dialect, TransportSettings settings, CancellationToken stopping)
    {
        (_link, _dialect, _settings, _stopping) = (link, dialect, settings, stopping);
        link.AddClosedCallback((_, error) => _ended.TrySetResult(LinkAttachment.Reason(error)));
    }

    public BrokerDialect Dialect => _dialect;

    /// <summary>Completes with the reason.</summary>
    public Task<string> Ended => _ended.Task;

    public bool HasDelivered { get; private set; }

    public void Start(Action<Message> take)
    {
        // Zero first: it only sets the callback.
        _link.Start(0, (_, message) =>
        {
            HasDelivered = true;
            lock (_gate)
            {
                _coming--;
            }

            take(message);
            Grant();
        });
        lock (_gate)
        {
            _owed = _settings.Credit;
        }

        Grant();
    }

    /// <summary>How long from now the message can still be kept here before the broker takes it back.</summary>
    public TimeSpan Left(Message message, long at, TimeProvider time)
    {
        var left = (_settings.HoldFor ?? _dialect.HoldFor) - time.GetElapsedTime(at);
        return message.MessageAnnotations?.Map.TryGetValue(new Symbol("x-opt-locked-until"), out var until) is true && until is DateTime lockedUntil
            && lockedUntil - time.GetUtcNow().UtcDateTime - BeforeLockEnds is var locked && locked < left ? locked : left;
    }

    public void Accept(Message message) => Settle(message, new Accepted());

    /// <summary>A dead letter, with the reason where the broker keeps one.</summary>
    public void Reject(Message message, string reason)
    {
        var error = ReferenceEquals(_dialect, BrokerDialect.ServiceBus)
            ? new Error(new Symbol("com.microsoft:dead-letter")) { Info = new Fields { [new Symbol("DeadLetterReason")] = "rejected", [new Symbol("DeadLetterErrorDescription")] = reason } }
            : new Error(new Symbol("wave16:rejected")) { Description = reason };
        Settle(message, new Rejected { Error = error });
    }

    /// <summary>Another attempt, which the broker counts.</summary>
    public void Fail(Message message) => Settle(message, new Modified { DeliveryFailed = true, UndeliverableHere = false });

    /// <summary>Not handled at all.</summary>
    public void Release(Message message) => Settle(message, new Released());

    /// <summary>
    /// Waits here behind one that has failed: others come in its stead, up to <see cref="TransportSettings.MostParked"/> of them.
    /// </summary>
    public void Park(Message message)
    {
        lock (_gate)
        {
            if (_parked.Count >= _settings.MostParked || !_parked.Add(message))
            {
                return;
            }

            _owed++;
        }

        Grant();
    }

    /// <summary>Came after the end had begun: given back when the others are settled, and not before, or it would come again at once.</summary>
    public void Hold(Message message)
    {
        lock (_gate)
        {
            if (!_detaching)
            {
                _held.Add(message);
                return;
            }
        }

        Release(message);
    }

    public async Task DetachAsync(TimeSpan within)
    {
        List<Message> held;
        lock (_gate)
        {
            _detaching = true;
            held = [.. _held];
        }

        held.ForEach(Release);
        await _link.CloseAsync(within, null).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _link.Session.CloseAsync(within, null).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private void Settle(Message message, DeliveryState state)
    {
        try
        {
            _link.Complete(message, state);
            lock (_gate)
            {
                // For one that was parked the credit has been given.
                _owed += _parked.Remove(message) ? 0 : 1;
            }

            Grant();
        }
        catch (Exception ended) when (ended is AmqpException or ObjectDisposedException or InvalidOperationException)
        {
            // The link it came on has ended, so the broker has it again: it comes once more, and the inbox knows it.
        }
    }

    private void Grant()
    {
        lock (_gate)
        {
            if (_coming > 0 || _owed < Math.Max(1, _settings.Credit / 4) || _stopping.IsCancellationRequested)
            {
                return;
            }

            (_coming, _owed) = (_owed, 0);
            try
            {
                _link.SetCredit(_coming, CreditMode.Manual);
            }
            catch (Exception ended) when (ended is AmqpException or ObjectDisposedException)
            {
                // With its session or its connection: nothing more comes on it.
            }
        }
    }
}

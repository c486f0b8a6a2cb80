using System.Collections.Concurrent;
using System.Diagnostics;
using Amqp;
using Microsoft.Extensions.Logging;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// Handles one event: attempts, the waits between them, and how it is settled. It is accepted when its handler has committed. Failing
/// waits a growing time before the broker is told, so that an immediate redelivery does not use up the attempts in a second; while
/// something that the handler needs is down, the event is held and tried here, and the broker counts nothing.
/// </summary>
internal sealed class EventHandling : IDisposable
{
    // Failures remembered by event id, for brokers that do not say how often they delivered.
    private const int Remembered = 10_000;
    private const int LongestReason = 1000;

    private readonly EventSubscription _subscription;
    private readonly TransportSettings _settings;
    private readonly TransportMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationToken _stopping;
    private readonly HashSet<string> _types;
    private readonly SemaphoreSlim _handlers;
    private readonly ConcurrentDictionary<string, int> _failures = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, byte> _unknown = new(StringComparer.Ordinal);

    /// <param name="subscription">Whose events these are.</param>
    /// <param name="settings">How long, how often, how many at a time.</param>
    /// <param name="metrics">Where outcomes are counted.</param>
    /// <param name="time">Of the waits.</param>
    /// <param name="log">What operators should know.</param>
    /// <param name="stopping">From then on no attempt is begun.</param>
    public EventHandling(
        EventSubscription subscription, TransportSettings settings, TransportMetrics metrics, TimeProvider time, ILogger log, CancellationToken stopping)
    {
        (_subscription, _settings, _metrics, _time, _log, _stopping) = (subscription, settings, metrics, time, log, stopping);
        _types = new(subscription.Types, StringComparer.Ordinal);
        _handlers = new(settings.Concurrency, settings.Concurrency);
    }

    public bool Knows(string type) => _types.Contains(type);

    /// <summary>The reason as brokers and logs can keep it.</summary>
    public static string Short(string reason) => reason.Length <= LongestReason ? reason : reason[..LongestReason];

    /// <param name="received">To be settled.</param>
    /// <param name="pausing">Called whenever it begins to wait.</param>
    public async Task RunAsync(Received received, Action pausing)
    {
        try
        {
            await HandleAsync(received, pausing);
        }
        catch (Exception bug)
        {
            _log.LogError(bug, "{Consumer}: event {EventId} is given back", _subscription.Consumer, received.Envelope.Id);
            received.Link.Fail(received.Message);
        }
    }

    public void Dispose() => _handlers.Dispose();

    private async Task HandleAsync(Received received, Action pausing)
    {
        var (link, message, envelope, at) = received;
        for (var tries = 1; ; tries++)
        {
            if (_stopping.IsCancellationRequested || link.Ended.IsCompleted || HasPassed(received))
            {
                link.Release(message);
                return;
            }

            if (!Knows(envelope.Type))
            {
                // Asked for by another release of this consumer, with which this one shares the subscription, or by a filter that
                // was left behind. Not ours to drop: a newer replica may get it next, and in the end it is a dead letter.
                _metrics.Received(_subscription.Consumer, "unknown");
                if (_unknown.TryAdd(envelope.Type, 0))
                {
                    _log.LogWarning("{Consumer}: {Type} comes and is not known to this release; such events are given back", _subscription.Consumer, envelope.Type);
                }

                await PauseAsync(_settings.Wait(Failures(message, envelope)), link, pausing);
                link.Fail(message);
                return;
            }

            if (await TryAsync(received) is not { } outcome)
            {
                link.Release(message);
                return;
            }

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

                    await PauseAsync(wait, link, pausing);
                    break;
                default:
                    await PauseAsync(_settings.Wait(Failures(message, envelope)), link, pausing);
                    link.Fail(message);
                    return;
            }
        }
    }

    // It waited here until it was, or soon will be, someone else's.
    private bool HasPassed(Received received) => received.Link.Left(received.Message, received.At, _time) <= TimeSpan.Zero;

    /// <summary>Null when other subjects were handled until the broker had it back.</summary>
    private async Task<DeliveryOutcome?> TryAsync(Received received)
    {
        var envelope = received.Envelope;
        await _handlers.WaitAsync(CancellationToken.None);
        if (HasPassed(received))
        {
            _handlers.Release();
            return null;
        }

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

    private async Task PauseAsync(TimeSpan wait, ReceivingLink link, Action pausing)
    {
        pausing();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(_stopping);
        await Task.WhenAny(Task.Delay(wait, _time, over.Token), link.Ended);
        await over.CancelAsync();
    }
}

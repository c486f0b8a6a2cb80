using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Events;

/// <summary>
/// Takes one destination's deliveries out of the outbox: run by one process at a time, one subject in order, different
/// subjects at once. A delivery leaves the store only after the destination has it; so a crash repeats, and loses nothing.
/// </summary>
internal sealed class Lane(
    IDestination destination,
    ModuleDatabase database,
    ModuleLocks locks,
    LaneSettings settings,
    DependencyHealth health,
    OutboxMetrics metrics,
    TimeProvider time,
    ILogger log)
{
    private const int SettleAt = 64;
    private const int LongestReason = 1000;

    // Ids of transactions that ran at the same time lie closer together. One that was open for longer is seen by the next look from the start.
    private const long Overlap = 10_000;
    private static readonly TimeSpan Soonest = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan SampleEvery = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan OthersFor = TimeSpan.FromSeconds(10);

    private readonly OutboxStore _store = new(database);
    private readonly LaneGate _gate = new(settings, time);
    private readonly WakeUp _wake = new();
    private readonly LaneTimeouts _timeouts = new(time);
    private readonly List<Task> _workers = [];
    private LaneQueue _queue = new(settings.Batch, settings.Concurrency);
    private volatile bool _signalled;
    private (long Looked, long From) _start;

    public string Destination => destination.Name;

    private string Lock => $"outbox/{destination.Name}";

    public LaneState State => _gate.State;

    /// <summary>Something was committed for this destination. Where another process runs the lane, that one is told.</summary>
    public void Signal()
    {
        Ring();
        locks.Tell(Lock);
    }

    /// <summary>Runs until stopped.</summary>
    /// <param name="stopping">Take nothing new, finish what is being delivered, settle it, give the lane up.</param>
    /// <param name="abort">Leave everything as it is, at once.</param>
    public async Task RunAsync(CancellationToken stopping, CancellationToken abort)
    {
        await using var ring = stopping.Register(_wake.Ring);
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await using var lease = await locks.AcquireAsync(Lock, stopping);
                lease.Told += Ring;
                using var live = CancellationTokenSource.CreateLinkedTokenSource(abort, lease.Lost);
                _gate.Enter();
                await DispatchAsync(stopping, live.Token);
                Leave(null);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested || abort.IsCancellationRequested)
            {
                return;
            }
            catch (OperationCanceledException)
            {
                Leave("the lane's lock was lost");
            }
            catch (NpgsqlException away)
            {
                Leave("the store is away");
                log.LogWarning(away, "{Module} outbox to {Destination}: the store is away", database.Module, destination.Name);
                await _wake.WaitAsync(settings.PollEvery, time, stopping);
            }
            catch (Exception bug)
            {
                // The lane must outlive what nobody thought of: a dead one would look like a quiet one.
                Leave(bug.GetType().Name);
                log.LogError(bug, "{Module} outbox to {Destination}: the lane failed and starts again", database.Module, destination.Name);
                await _wake.WaitAsync(settings.PollEvery, time, stopping);
            }
        }
    }

    private void Ring()
    {
        _signalled = true;
        _wake.Ring();
    }

    /// <summary>Another process may run the lane now: what this one knew of the destination is nothing to go by.</summary>
    private void Leave(string? reason)
    {
        _gate.Leave(reason);
        health.Forget(destination.Name, database.Module);
    }

    private async Task DispatchAsync(CancellationToken stopping, CancellationToken live)
    {
        _queue = new LaneQueue(settings.Batch, settings.Concurrency);
        _timeouts.Clear();
        _start = default;
        await using var ring = live.Register(_wake.Ring);
        using var working = CancellationTokenSource.CreateLinkedTokenSource(live);
        var (polled, sampled, settled) = (time.GetTimestamp(), 0L, time.GetTimestamp());
        var (pollAfter, others) = (Jittered(settings.PollEvery), 0L);
        try
        {
            while (true)
            {
                live.ThrowIfCancellationRequested();
                if (_queue.Tried is var tried && (tried >= SettleAt || (tried > 0 && (_queue.IsAtRest || time.GetElapsedTime(settled) >= settings.SettleWithin))))
                {
                    var batch = _queue.TakeTried();
                    await _store.SettleAsync(destination.Name, batch, time.GetUtcNow(), live);
                    metrics.DeadLettered(database.Module, destination.Name, batch.Count(one => one.Fate == Fate.Dead));
                    _queue.Settled(batch);
                    settled = time.GetTimestamp();
                }

                if (stopping.IsCancellationRequested)
                {
                    _queue.ForgetQueued();
                    if (_queue is { IsAtRest: true, Tried: 0 })
                    {
                        return;
                    }
                }
                else
                {
                    var signalled = _signalled;
                    var poll = time.GetElapsedTime(polled) >= pollAfter;
                    if (signalled || poll)
                    {
                        _signalled = false;
                        polled = time.GetTimestamp();
                        _queue.ExpectMore();
                    }

                    // What nobody here has signalled was committed by another process, and more of it is likely.
                    if (await FetchAsync(live) && poll && !signalled)
                    {
                        others = time.GetTimestamp();
                    }

                    if (poll)
                    {
                        pollAfter = Jittered(others != 0 && time.GetElapsedTime(others) < OthersFor ? settings.PollOthersEvery : settings.PollEvery);
                    }

                    await StartWorkersAsync(working.Token);
                    if (sampled == 0 || time.GetElapsedTime(sampled) >= SampleEvery)
                    {
                        metrics.Report(database.Module, destination.Name, await _store.BacklogAsync(destination.Name, live));
                        sampled = time.GetTimestamp();
                    }
                }

                var pollIn = pollAfter - time.GetElapsedTime(polled);
                if (_queue.Tried > 0 || pollIn > TimeSpan.Zero || stopping.IsCancellationRequested)
                {
                    await _wake.WaitAsync(_queue.Tried > 0 ? settings.SettleWithin : pollIn > Soonest ? pollIn : Soonest, time, live);
                }
            }
        }
        finally
        {
            metrics.Forget(database.Module, destination.Name);
            await working.CancelAsync();
            await Task.WhenAll(_workers).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _workers.Clear();
        }
    }

    /// <returns>Whether anything was there.</returns>
    private async Task<bool> FetchAsync(CancellationToken live)
    {
        var found = false;
        while (_gate.Look() is var status and not LaneStatus.Paused && _queue.NextFetch(status == LaneStatus.Probing) is { } plan)
        {
            var fromTheStart = _start.Looked == 0 || time.GetElapsedTime(_start.Looked) >= settings.PollEvery / 2;
            var fetched = await _store.FetchAsync(destination.Name, time.GetUtcNow(), plan, fromTheStart ? 0 : _start.From, live);
            found |= fetched.Count > 0;
            _queue.Add(fetched, plan);
            if (fromTheStart)
            {
                _start = (time.GetTimestamp(), plan.InHand.Concat(fetched.Select(delivery => delivery.Id)).DefaultIfEmpty(_start.From + Overlap).Min() - Overlap);
            }
        }

        return found;
    }

    private async Task StartWorkersAsync(CancellationToken working)
    {
        await Task.WhenAll(_workers.Where(worker => worker.IsCompleted)); // to hear of one that failed
        _workers.RemoveAll(worker => worker.IsCompleted);
        for (var wanted = Math.Min(_queue.Ready, settings.Concurrency - _workers.Count); wanted > 0; wanted--)
        {
            _workers.Add(Task.Run(() => WorkAsync(working), working));
        }
    }

    private async Task WorkAsync(CancellationToken working)
    {
        while (_queue.Take(Allowed()) is { } delivery)
        {
            var began = time.GetTimestamp();
            var outcome = await TryAsync(delivery, working);
            _queue.Complete(Judge(delivery, _timeouts.Judge(delivery, outcome, began)));
            _wake.Ring();
        }

        int Allowed() => _gate.Look() switch
        {
            LaneStatus.Open => settings.Concurrency,
            LaneStatus.Probing => 1,
            _ => 0,
        };
    }

    private async Task<DeliveryOutcome> TryAsync(PendingDelivery delivery, CancellationToken working)
    {
        if (delivery.Envelope is not { } envelope)
        {
            return new DeliveryOutcome.Rejected("retention has dropped the event before it was delivered");
        }

        using var activity = OutboxMetrics.StartDelivery(database.Module, destination.Name, envelope);
        using var overdue = new CancellationTokenSource(settings.DeliveryTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(working, overdue.Token);
        var started = time.GetTimestamp();
        DeliveryOutcome outcome;
        try
        {
            // On a thread of its own: a destination that blocks, or does not listen, is left behind.
            var attempt = Task.Run(() => destination.DeliverAsync(envelope, either.Token), CancellationToken.None);
            await attempt.OrAbandonedAsync(settings.Grace, either.Token);
            outcome = await attempt;
        }
        catch (OperationCanceledException) when (overdue.IsCancellationRequested && !working.IsCancellationRequested)
        {
            outcome = new DeliveryOutcome.Retry($"took longer than {settings.DeliveryTimeout}") { TimedOut = true };
        }
        catch (Exception failure) when (!working.IsCancellationRequested)
        {
            outcome = failure.ToOutcome();
            // A destination that is down is told of once, by the pause.
            log.Log(
                outcome is DeliveryOutcome.Unavailable ? LogLevel.Debug : LogLevel.Warning, failure,
                "{Module} outbox to {Destination}: {Type} {EventId} was not delivered", database.Module, destination.Name, envelope.Type, envelope.Id);
        }

        metrics.Delivered(database.Module, destination.Name, outcome, time.GetElapsedTime(started));
        if (outcome is not DeliveryOutcome.Delivered)
        {
            activity?.SetStatus(ActivityStatusCode.Error, outcome.GetType().Name);
        }

        return outcome;
    }

    private Settlement Judge(PendingDelivery delivery, DeliveryOutcome outcome)
    {
        if (outcome is DeliveryOutcome.Unavailable down)
        {
            if (_gate.State.Status is LaneStatus.Open)
            {
                log.LogWarning("{Module} outbox to {Destination}: unavailable ({Reason}); deliveries wait", database.Module, destination.Name, Short(down.Reason));
            }

            var nextAt = _gate.Down(Short(down.Reason), down.RetryAfter);
            _queue.ForgetQueued();
            health.Report(destination.Name, DependencyState.Degraded, "unavailable; deliveries wait in the outbox", database.Module);
            return new Settlement(delivery, Fate.Held, delivery.Attempts, nextAt, Short(down.Reason));
        }

        if (_gate.Reached())
        {
            log.LogInformation("{Module} outbox to {Destination}: answers again", database.Module, destination.Name);
            _queue.ExpectMore();
        }

        if (_gate.Look() is LaneStatus.Open)
        {
            health.Report(destination.Name, DependencyState.Healthy, reporter: database.Module);
        }

        return outcome switch
        {
            DeliveryOutcome.Delivered => new Settlement(delivery, Fate.Delivered),
            DeliveryOutcome.Retry retry when delivery.Attempts + 1 < settings.MaxAttempts =>
                new Settlement(delivery, Fate.Held, delivery.Attempts + 1, time.GetUtcNow() + settings.Backoff(delivery.Attempts + 1), Short(retry.Reason)),
            DeliveryOutcome.Retry retry => Dead(retry.Reason),
            DeliveryOutcome.Rejected rejected => Dead(rejected.Reason),
            _ => throw new UnreachableException(),
        };

        Settlement Dead(string reason)
        {
            log.LogError("{Module} outbox to {Destination}: delivery {Delivery} is a dead letter: {Reason}", database.Module, destination.Name, delivery.Id, Short(reason));
            return new Settlement(delivery, Fate.Dead, delivery.Attempts + 1, default, Short(reason), delivery.Envelope is { } known ? Kept(known) : null);
        }
    }

    private string? Kept(EventEnvelope envelope)
    {
        try
        {
            return EventFormat.EncodeText(envelope);
        }
        catch (Exception malformed) when (malformed is ArgumentException or InvalidOperationException)
        {
            // What cannot be written as a CloudEvent was refused for it, and must not stop the lane on top.
            log.LogError(malformed, "{Module}: event {EventId} of {Type} is kept without its content", database.Module, envelope.Id, envelope.Type);
            return null;
        }
    }

    private static string Short(string reason) => reason.Length <= LongestReason ? reason : reason[..LongestReason];

    private static TimeSpan Jittered(TimeSpan time) => time * (0.75 + (Random.Shared.NextDouble() / 4));
}

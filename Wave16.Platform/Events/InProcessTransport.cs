using System.Collections.Concurrent;

namespace Wave16.Platform.Events;

/// <summary>
/// The bus of a process that holds all modules. It keeps nothing: a publish returns when all handlers have committed, so the
/// outbox it came from is the queue, its retries the redelivery, and its dead letters the poison.
/// </summary>
/// <remarks>A consumer that fails an event therefore holds back that subject's later events for the other consumers too.</remarks>
internal sealed class InProcessTransport : IEventTransport
{
    private readonly ConcurrentDictionary<string, Receiver> _receivers = new(StringComparer.Ordinal);

    /// <summary>How long a handler may take to end when it is cancelled. Shorter than a lane's, so that its subject is free before the lane goes on.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(5);

    public async Task<DeliveryOutcome> PublishAsync(EventEnvelope envelope, CancellationToken cancellation)
    {
        var takers = _receivers.Values.Where(receiver => receiver.Takes(envelope.Type)).ToList();
        var outcomes = await Task.WhenAll(takers.Select(receiver => receiver.HandleAsync(envelope, cancellation)));
        cancellation.ThrowIfCancellationRequested();

        // One that is down must not make a dead letter of what it has not seen; one that failed is tried again, before one
        // that refused for good makes a dead letter for all.
        return Find<DeliveryOutcome.Unavailable>() ?? Find<DeliveryOutcome.Retry>() ?? Find<DeliveryOutcome.Rejected>() ?? DeliveryOutcome.Done;

        DeliveryOutcome? Find<T>() => outcomes.FirstOrDefault(outcome => outcome is T);
    }

    public Task<IAsyncDisposable> SubscribeAsync(EventSubscription subscription, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var receiver = new Receiver(subscription, Grace);
        _receivers.AddOrUpdate(
            subscription.Consumer,
            receiver,
            (consumer, known) => known.IsDetached ? receiver : throw new InvalidOperationException($"{consumer} is subscribed already."));
        return Task.FromResult<IAsyncDisposable>(receiver);
    }

    private sealed class Receiver(EventSubscription subscription, TimeSpan grace) : IAsyncDisposable
    {
        // Subjects share a few locks: what matters is that one subject never runs twice at once.
        private readonly SemaphoreSlim[] _subjects = [.. Enumerable.Range(0, 64).Select(_ => new SemaphoreSlim(1, 1))];
        private readonly HashSet<string> _types = new(subscription.Types, StringComparer.Ordinal);
        private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Lock _gate = new();
        private int _handling;
        private bool _detaching;

        public bool IsDetached => _drained.Task.IsCompleted;

        public bool Takes(string type) => _types.Contains(type);

        public async Task<DeliveryOutcome> HandleAsync(EventEnvelope envelope, CancellationToken cancellation)
        {
            if (!TryEnter())
            {
                return new DeliveryOutcome.Unavailable($"{subscription.Consumer} has no receiver attached");
            }

            var handling = Task.CompletedTask;
            try
            {
                var subject = _subjects[(HashCode.Combine(envelope.Source, envelope.TenantId, envelope.Subject) & int.MaxValue) % _subjects.Length];
                await subject.WaitAsync(cancellation);
                try
                {
                    // A handler that blocks, or does not listen, must not hold the lock of its subject for ever.
                    handling = Task.Run(() => subscription.Handle(envelope, cancellation), CancellationToken.None);
                    await handling.OrAbandonedAsync(grace, cancellation);
                    await handling;
                    return DeliveryOutcome.Done;
                }
                finally
                {
                    subject.Release();
                }
            }
            catch (Exception failure) when (!cancellation.IsCancellationRequested)
            {
                return Named(failure.ToOutcome());
            }
            finally
            {
                if (handling.IsCompleted)
                {
                    Exit();
                }
                else
                {
                    _ = handling.ContinueWith(_ => Exit(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
                }
            }
        }

        public async ValueTask DisposeAsync()
        {
            lock (_gate)
            {
                _detaching = true;
                if (_handling == 0)
                {
                    _drained.TrySetResult();
                }
            }

            await _drained.Task;
        }

        private DeliveryOutcome Named(DeliveryOutcome outcome) => outcome switch
        {
            DeliveryOutcome.Retry retry => new DeliveryOutcome.Retry($"{subscription.Consumer}: {retry.Reason}"),
            DeliveryOutcome.Rejected rejected => new DeliveryOutcome.Rejected($"{subscription.Consumer}: {rejected.Reason}"),
            DeliveryOutcome.Unavailable down => down with { Reason = $"{subscription.Consumer}: {down.Reason}" },
            _ => outcome,
        };

        private bool TryEnter()
        {
            lock (_gate)
            {
                if (_detaching)
                {
                    return false;
                }

                _handling++;
                return true;
            }
        }

        private void Exit()
        {
            lock (_gate)
            {
                if (--_handling == 0 && _detaching)
                {
                    _drained.TrySetResult();
                }
            }
        }
    }
}

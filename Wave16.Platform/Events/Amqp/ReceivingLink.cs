using Amqp;
using Amqp.Framing;
using Amqp.Types;

namespace Wave16.Platform.Events.Amqp;

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
    private bool _drained;
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
    public void Release(Message message)
    {
        if (_stopping.IsCancellationRequested)
        {
            Drain();
        }

        Settle(message, new Released());
    }

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

    /// <summary>Takes back the credit that is left: what is given back would come on this link again, and to the next one late.</summary>
    private void Drain()
    {
        lock (_gate)
        {
            if (_drained || _coming == 0)
            {
                return;
            }

            _drained = true;
            try
            {
                _link.SetCredit(_coming, CreditMode.Drain);
            }
            catch (Exception ended) when (ended is AmqpException or ObjectDisposedException)
            {
                // With its session or its connection: nothing more comes on it.
            }
        }
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

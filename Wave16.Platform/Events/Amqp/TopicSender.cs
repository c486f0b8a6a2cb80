using System.Collections.Concurrent;
using Amqp;
using Amqp.Framing;

namespace Wave16.Platform.Events.Amqp;

/// <summary>An attached sender link; any number of messages are under way at once.</summary>
internal sealed class TopicSender
{
    // What the envelope of a message adds to its event, at most.
    private const int Overhead = 4096;

    private readonly SenderLink _link;
    private readonly BrokerDialect _dialect;
    private readonly ulong _largest;
    private readonly Task<string> _ended;
    private readonly ConcurrentDictionary<(string Source, string Id), Lazy<Task<DeliveryOutcome>>> _underWay = new();
    private readonly ConcurrentDictionary<TaskCompletionSource<DeliveryOutcome>, byte> _waiting = new();

    /// <param name="link">Attached.</param>
    /// <param name="attached">What the broker said to it.</param>
    /// <param name="dialect">The broker's.</param>
    /// <param name="ended">Completes with the reason when the connection has ended.</param>
    public TopicSender(SenderLink link, Attach attached, BrokerDialect dialect, Task<string> ended)
    {
        (_link, _dialect, _largest, _ended) = (link, dialect, attached.MaxMessageSize, ended);
        link.AddClosedCallback((_, _) =>
        {
            foreach (var waiting in _waiting.Keys)
            {
                waiting.TrySetResult(Lost());
            }
        });
    }

    public bool IsClosed => _link.IsClosed;

    /// <summary>Nobody subscribes to this type.</summary>
    public static DeliveryOutcome Unrouted { get; } = new DeliveryOutcome.Delivered();

    public async Task<DeliveryOutcome> SendAsync(EventEnvelope envelope, CancellationToken cancellation)
    {
        if (_largest > 0 && (ulong)(System.Text.Encoding.UTF8.GetByteCount(envelope.Data) + Overhead) > _largest && (ulong)EventMessage.Encode(envelope).Encode().Length > _largest)
        {
            return new DeliveryOutcome.Rejected($"the broker takes messages of at most {_largest} bytes");
        }

        // Whoever stops to wait leaves the message where it is: the library keeps it until the broker gives credit, and to cancel one
        // that has been sent breaks its list of the others. The next attempt waits for the same one instead of adding a copy.
        var sent = _underWay.GetOrAdd((envelope.Source, envelope.Id), _ => new Lazy<Task<DeliveryOutcome>>(() => HandOverAsync(envelope)));
        return await sent.Value.WaitAsync(cancellation);
    }

    private async Task<DeliveryOutcome> HandOverAsync(EventEnvelope envelope)
    {
        var answer = new TaskCompletionSource<DeliveryOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting[answer] = 0;
        try
        {
            _link.Send(EventMessage.Encode(envelope), (_, _, outcome, _) => answer.TrySetResult(Judge(outcome)), null);
            if (_link.IsClosed)
            {
                // It may have closed before it knew of this one.
                answer.TrySetResult(Lost());
            }

            return await answer.Task;
        }
        catch (Exception closed) when (closed is AmqpException or ObjectDisposedException)
        {
            return Lost();
        }
        finally
        {
            _waiting.TryRemove(answer, out _);
            _underWay.TryRemove((envelope.Source, envelope.Id), out _);
        }
    }

    private DeliveryOutcome Judge(Outcome? outcome) => outcome switch
    {
        Accepted => DeliveryOutcome.Done,
        // When a link ends, the library itself answers for what was under way, with released or rejected.
        _ when _link.IsClosed || _link.LinkState >= LinkState.DetachPipe || _link.Session.IsClosed => Lost(),
        Released when _dialect.ReleasesUnrouted => Unrouted,
        Released => new DeliveryOutcome.Unavailable("the broker gave it back"),
        Rejected { Error: var error } => Refused(error),
        Modified { UndeliverableHere: true } => new DeliveryOutcome.Retry("the broker cannot deliver it"),
        Modified => new DeliveryOutcome.Unavailable("the broker gave it back"),
        _ => Lost(),
    };

    // The conditions of AMQP 1.0, 2.8.15 to 2.8.18, and of Azure Service Bus ("Service Bus messaging exceptions").
    private static DeliveryOutcome Refused(Error? error) => (string?)error?.Condition switch
    {
        "amqp:link:message-size-exceeded" => new DeliveryOutcome.Rejected(LinkAttachment.Reason(error)),
        "amqp:resource-limit-exceeded" or "amqp:unauthorized-access" or "amqp:internal-error" or "amqp:not-found" or "amqp:resource-locked" or "amqp:resource-deleted"
            or "com.microsoft:server-busy" or "com.microsoft:timeout" or "com.microsoft:entity-disabled" => new DeliveryOutcome.Unavailable(LinkAttachment.Reason(error)),
        null => new DeliveryOutcome.Retry("the broker rejected it"),
        _ => new DeliveryOutcome.Retry(LinkAttachment.Reason(error)),
    };

    private DeliveryOutcome.Unavailable Lost() => new($"the broker is away: {(_ended.IsCompletedSuccessfully ? _ended.Result : LinkAttachment.Reason(_link.Error))}");
}

namespace Wave16.Platform.Events;

/// <summary>
/// Carries events between modules: within the process, or over a broker. At least once; in order for one source, tenant and
/// subject as long as nothing fails; one at a time for a consumer and subject.
/// </summary>
/// <remarks>
/// Order and one at a time hold for one receiver. Over a broker the replicas of a consumer share its subscription: two of them may
/// have events of one subject at the same time, and finish them in either order. <see cref="EventEnvelope.EntityVersion"/> tells
/// which is the later one.
/// </remarks>
public interface IEventTransport
{
    /// <summary>
    /// Returns <see cref="DeliveryOutcome.Delivered"/> only when every subscription that takes this type has the event for good:
    /// after that the outbox forgets it. Nobody subscribing is delivered, too.
    /// </summary>
    Task<DeliveryOutcome> PublishAsync(EventEnvelope envelope, CancellationToken cancellation);

    /// <summary>
    /// Attaches a receiver. The subscription outlives it: what is published while no receiver is attached waits.
    /// Disposing of the result takes no new event, waits for the handler of those that were taken, and detaches.
    /// </summary>
    Task<IAsyncDisposable> SubscribeAsync(EventSubscription subscription, CancellationToken cancellation);
}

/// <summary>A consumer's claim on some event types.</summary>
/// <param name="Consumer"><c>&lt;module&gt;/&lt;purpose&gt;</c>, stable: it names the queue, and is part of what makes handling idempotent.</param>
/// <param name="Types">Event types, exactly.</param>
/// <param name="Handle">Completes when the effect is committed; what it throws is read by <see cref="DeliveryFailures.ToOutcome(Exception)"/>.</param>
public sealed record EventSubscription(
    string Consumer,
    IReadOnlyCollection<string> Types,
    Func<EventEnvelope, CancellationToken, Task> Handle);

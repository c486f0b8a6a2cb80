namespace Wave16.Platform.Events;

/// <summary>Where a module's events go: a neighbour over HTTP, or the bus. Each has its own lane in the outbox.</summary>
public interface IDestination
{
    /// <summary>Kebab-case, the name that routes use: <c>integration-hub</c>.</summary>
    string Name { get; }

    /// <summary>
    /// Hands one event over. The same event can come again; events of one subject come one at a time, in order. What it
    /// throws is read by <see cref="DeliveryFailures.ToOutcome(Exception)"/>.
    /// When cancelled it must end soon: one that does not is left behind, and the event comes again while it may still run.
    /// </summary>
    Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation);
}

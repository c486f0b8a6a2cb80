namespace Wave16.Platform.Events;

/// <summary>The destination that reaches other modules. Route an event type to <see cref="BusName"/> and they can subscribe to it.</summary>
public sealed class BusDestination : IDestination
{
    public const string BusName = "bus";
    private readonly IEventTransport _transport;

    internal BusDestination(IEventTransport transport) => _transport = transport;

    public string Name => BusName;

    public Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation) =>
        _transport.PublishAsync(envelope, cancellation);
}

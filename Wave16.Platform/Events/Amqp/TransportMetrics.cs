using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Wave16.Platform.Events.Amqp;

/// <summary>Of meter and activity source <c>Wave16.Platform</c>.</summary>
internal sealed class TransportMetrics
{
    private static readonly ActivitySource Activities = new(OutboxMetrics.Name);

    private readonly Counter<long> _received;
    private readonly Counter<long> _unrouted;

    public TransportMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(OutboxMetrics.Name);
        _received = meter.CreateCounter<long>("messaging.received", "{event}", "Events received from the broker, by consumer and outcome.");
        _unrouted = meter.CreateCounter<long>("messaging.unrouted", "{event}", "Events that no subscription at the broker asked for, by type.");
    }

    public void Received(string consumer, string outcome) => _received.Add(1, new TagList { { "consumer", consumer }, { "outcome", outcome } });

    public void Unrouted(string type) => _unrouted.Add(1, new TagList { { "type", type } });

    public static string Label(DeliveryOutcome outcome) => outcome switch
    {
        DeliveryOutcome.Delivered => "handled",
        DeliveryOutcome.Retry => "failed",
        DeliveryOutcome.Unavailable => "held",
        _ => "rejected",
    };

    public static Activity? StartHandling(string consumer, EventEnvelope envelope)
    {
        // The request that caused the event is the parent, not whatever ran here before.
        var cause = ActivityContext.TryParse(envelope.TraceParent, null, isRemote: true, out var parsed) ? parsed : default;
        var activity = Activities.StartActivity($"handle {envelope.Type}", ActivityKind.Consumer, cause);
        activity?.SetTag("messaging.consumer", consumer);
        activity?.SetTag("cloudevents.event_id", envelope.Id);
        activity?.SetTag("cloudevents.event_type", envelope.Type);
        return activity;
    }
}

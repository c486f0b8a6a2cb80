using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Wave16.Platform.Events;

/// <summary>Meter and activity source <c>Wave16.Platform</c>; every instrument carries the tags <c>module</c> and <c>destination</c>.</summary>
internal sealed class OutboxMetrics
{
    public const string Name = "Wave16.Platform";
    private static readonly ActivitySource Activities = new(Name);

    private readonly ConcurrentDictionary<(string Module, string Destination), Backlog> _backlogs = new();
    private readonly TimeProvider _time;
    private readonly Counter<long> _deliveries;
    private readonly Histogram<double> _duration;
    private readonly Counter<long> _deadLetters;

    public OutboxMetrics(IMeterFactory meters, TimeProvider time)
    {
        _time = time;
        var meter = meters.Create(Name);
        _deliveries = meter.CreateCounter<long>("outbox.deliveries", "{delivery}", "Deliveries tried, by outcome.");
        _duration = meter.CreateHistogram(
            "outbox.delivery.duration", "s", "How long a destination took to answer.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] });
        _deadLetters = meter.CreateCounter<long>("outbox.dead_letters", "{delivery}", "Deliveries given up: refused, failed too often, or undelivered for too long.");
        meter.CreateObservableGauge("outbox.lag", Lags, "s", "Age of the oldest event that waits for this destination.");
        meter.CreateObservableGauge("outbox.pending", Pendings, "{delivery}", $"Deliveries that wait, counted up to {Backlog.CountedUpTo}.");
    }

    public static Activity? StartDelivery(string module, string destination, EventEnvelope envelope)
    {
        // The request that caused the event is the parent, not whatever the lane was doing.
        var cause = ActivityContext.TryParse(envelope.TraceParent, null, isRemote: true, out var parsed) ? parsed : default;
        var activity = Activities.StartActivity($"deliver {destination}", ActivityKind.Producer, cause);
        activity?.SetTag("module", module);
        activity?.SetTag("messaging.destination.name", destination);
        activity?.SetTag("cloudevents.event_id", envelope.Id);
        activity?.SetTag("cloudevents.event_type", envelope.Type);
        return activity;
    }

    public void Delivered(string module, string destination, DeliveryOutcome outcome, TimeSpan took)
    {
        var label = outcome switch
        {
            DeliveryOutcome.Delivered => "delivered",
            DeliveryOutcome.Retry => "retry",
            DeliveryOutcome.Unavailable => "unavailable",
            _ => "rejected",
        };
        var tags = new TagList { { "module", module }, { "destination", destination }, { "outcome", label } };
        _deliveries.Add(1, tags);
        _duration.Record(took.TotalSeconds, tags);
    }

    public void DeadLettered(string module, string destination, int deliveries)
    {
        if (deliveries > 0)
        {
            _deadLetters.Add(deliveries, Tags((module, destination)));
        }
    }

    public void Report(string module, string destination, Backlog backlog) => _backlogs[(module, destination)] = backlog;

    /// <summary>Another process runs the lane now, and reports it.</summary>
    public void Forget(string module, string destination) => _backlogs.TryRemove((module, destination), out _);

    private IEnumerable<Measurement<double>> Lags() => _backlogs.Select(lane =>
        new Measurement<double>(lane.Value.Oldest is { } oldest ? Math.Max(0, (_time.GetUtcNow() - oldest).TotalSeconds) : 0, Tags(lane.Key)));

    private IEnumerable<Measurement<long>> Pendings() => _backlogs.Select(lane => new Measurement<long>(lane.Value.Pending, Tags(lane.Key)));

    private static TagList Tags((string Module, string Destination) lane) => new() { { "module", lane.Module }, { "destination", lane.Destination } };
}

using System.Collections.Concurrent;

namespace Wave16.Platform.Events;

/// <summary>
/// No answer in time says nothing about whose fault it is. It is the event's when the destination has answered others since
/// the event was last tried: then it counts, and the lane goes on. Otherwise the destination is down.
/// </summary>
internal sealed class LaneTimeouts(TimeProvider time)
{
    private readonly ConcurrentDictionary<long, long> _timedOut = new();
    private long _answered = long.MinValue;

    public void Clear() => _timedOut.Clear();

    /// <param name="delivery">What was tried.</param>
    /// <param name="outcome">What came of it.</param>
    /// <param name="began">When it was tried, as a timestamp of the clock.</param>
    public DeliveryOutcome Judge(PendingDelivery delivery, DeliveryOutcome outcome, long began)
    {
        if (outcome is not DeliveryOutcome.Unavailable down)
        {
            _timedOut.TryRemove(delivery.Id, out _);
            if (outcome is not DeliveryOutcome.Retry { TimedOut: true })
            {
                Interlocked.Exchange(ref _answered, time.GetTimestamp());
            }

            return outcome;
        }

        if (!down.TimedOut)
        {
            return outcome;
        }

        var since = _timedOut.GetValueOrDefault(delivery.Id, began);
        _timedOut[delivery.Id] = time.GetTimestamp();
        return Interlocked.Read(ref _answered) >= since ? new DeliveryOutcome.Retry($"{down.Reason}, while others were answered") : outcome;
    }
}

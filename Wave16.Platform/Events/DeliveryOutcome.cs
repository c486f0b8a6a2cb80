namespace Wave16.Platform.Events;

/// <summary>What became of one delivery. Anything but <see cref="Delivered"/> keeps the later events of the same subject back.</summary>
public abstract record DeliveryOutcome
{
    private DeliveryOutcome()
    {
    }

    /// <summary>The destination has it for good.</summary>
    public static DeliveryOutcome Done { get; } = new Delivered();

    public sealed record Delivered : DeliveryOutcome;

    /// <summary>This event failed; others may not. Counted, repeated with backoff, a dead letter after the last attempt.</summary>
    public sealed record Retry(string Reason) : DeliveryOutcome
    {
        /// <summary>The destination has not answered.</summary>
        internal bool TimedOut { get; init; }
    }

    /// <summary>The destination is down. The whole lane pauses, nothing is counted, nothing becomes a dead letter until <c>Retention:UndeliveredEvents</c> is over.</summary>
    /// <param name="Reason">For operators.</param>
    /// <param name="RetryAfter">What the destination asked for; the lane waits at least this long, up to 15 minutes.</param>
    public sealed record Unavailable(string Reason, TimeSpan? RetryAfter = null) : DeliveryOutcome
    {
        /// <summary>
        /// Nobody answered in time. That may be this event's fault: once the destination has answered others between two such
        /// attempts, it counts as <see cref="Retry"/>.
        /// </summary>
        public bool TimedOut { get; init; }
    }

    /// <summary>The destination will never take this event: a dead letter at once.</summary>
    public sealed record Rejected(string Reason) : DeliveryOutcome;
}

/// <summary>Thrown by a handler for an event it will never be able to handle: a dead letter at once.</summary>
public sealed class EventRejectedException(string reason) : Exception(reason);

/// <summary>Thrown by a handler or a destination when what it needs is down: the lane waits, nothing is counted.</summary>
public sealed class DestinationUnavailableException(string reason, TimeSpan? retryAfter = null) : Exception(reason)
{
    public TimeSpan? RetryAfter { get; } = retryAfter;
}

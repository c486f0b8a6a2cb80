namespace Wave16.Platform.Events.Amqp;

/// <summary>How the transport paces itself.</summary>
internal sealed record TransportSettings
{
    /// <summary>Messages that one receiver has in hand, at most; the broker keeps the rest for others.</summary>
    public int Credit { get; init; } = 64;

    /// <summary>Messages that are in hand beyond that, at most, because they wait behind one of their subject that has failed.</summary>
    public int MostParked { get; init; } = 192;

    /// <summary>Subjects of one consumer that are handled at the same time.</summary>
    public int Concurrency { get; init; } = 16;

    /// <summary>Handling that takes longer has failed.</summary>
    public TimeSpan HandleWithin { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a handler that was cut off may take to end. Later it is left behind, and its subject goes on.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The wait after the first failure of an event, before the broker is told. Each later one is twice as long.</summary>
    public TimeSpan FirstWait { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan LongestWait { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan ConnectWithin { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long the broker may take to answer to a link or a token.</summary>
    public TimeSpan AnswerWithin { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A connection on which nothing came for this long is dead. The broker is asked for a sign of life every half of it.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The ceiling of the first wait before a new attempt to connect; each later one has twice that, up to half a minute.</summary>
    public TimeSpan FirstReconnect { get; init; } = TimeSpan.FromMilliseconds(500);

    public TimeSpan LongestReconnect { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a message may be held while what its handler needs is down; the broker's own limit when null.</summary>
    public TimeSpan? HoldFor { get; init; }

    /// <summary>With jitter, never less than half, so that a broker that comes back is not met by all at once.</summary>
    public TimeSpan Reconnect(int failures) => new Backoff(FirstReconnect, LongestReconnect).AtLeastHalf(failures);

    public TimeSpan Wait(int failures) => new Backoff(FirstWait, LongestWait).AtLeastHalf(failures);
}

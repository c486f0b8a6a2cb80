namespace Wave16.Platform.Events;

/// <summary>How a lane paces itself.</summary>
internal sealed record LaneSettings
{
    public int Batch { get; init; } = 200;

    /// <summary>Subjects served at the same time.</summary>
    public int Concurrency { get; init; } = 16;

    /// <summary>How long what another process committed, or what has become due, can wait to be seen.</summary>
    public TimeSpan PollEvery { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A delivery that takes longer has failed.</summary>
    public TimeSpan DeliveryTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a finished delivery may wait for others to be settled with it. A crash repeats what was not settled.</summary>
    public TimeSpan SettleWithin { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Twelve attempts span half an hour on average, an hour at most.</summary>
    public int MaxAttempts { get; init; } = 12;

    /// <summary>The ceiling of the first wait; each later one has twice that, up to ten minutes for an event and one for a destination.</summary>
    public TimeSpan FirstWait { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Exponential backoff with full jitter, for an event that failed <paramref name="attempts"/> times.</summary>
    public TimeSpan Backoff(int attempts) => Ceiling(attempts, TimeSpan.FromMinutes(10)) * Random.Shared.NextDouble();

    /// <summary>How long a lane leaves a destination alone that was found down <paramref name="times"/> times in a row: never less than half.</summary>
    public TimeSpan Pause(int times) => Ceiling(times, TimeSpan.FromMinutes(1)) * (0.5 + (Random.Shared.NextDouble() / 2));

    private TimeSpan Ceiling(int times, TimeSpan most)
    {
        var ceiling = FirstWait * Math.Pow(2, Math.Min(times, 20) - 1);
        return ceiling < most ? ceiling : most;
    }
}

using System.Globalization;
using Microsoft.Extensions.Configuration;

namespace Wave16.Platform.Events;

/// <summary>How a lane paces itself.</summary>
internal sealed record LaneSettings
{
    public int Batch { get; init; } = 200;

    /// <summary>Subjects served at the same time.</summary>
    public int Concurrency { get; init; } = 16;

    /// <summary>How long what another process committed, or what has become due, can wait to be seen.</summary>
    public TimeSpan PollEvery { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The same for ten seconds after another process was seen to commit something.</summary>
    public TimeSpan PollOthersEvery { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>A delivery that takes longer has failed: <c>Outbox:DeliveryTimeoutSeconds</c>.</summary>
    public TimeSpan DeliveryTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a delivery that was cut off may take to end. Later it is left behind, and its subject goes on.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a finished delivery may wait for others to be settled with it. A crash repeats what was not settled.</summary>
    public TimeSpan SettleWithin { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Twelve attempts span half an hour on average, an hour at most.</summary>
    public int MaxAttempts { get; init; } = 12;

    /// <summary>The ceiling of the first wait; each later one has twice that, up to ten minutes for an event and one for a destination.</summary>
    public TimeSpan FirstWait { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Exponential backoff with full jitter, for an event that failed <paramref name="attempts"/> times.</summary>
    public TimeSpan Backoff(int attempts) => new Backoff(FirstWait, TimeSpan.FromMinutes(10)).Any(attempts);

    /// <summary>How long a lane leaves a destination alone that was found down <paramref name="times"/> times in a row: never less than half.</summary>
    public TimeSpan Pause(int times) => new Backoff(FirstWait, TimeSpan.FromMinutes(1)).AtLeastHalf(times);

    /// <exception cref="InvalidOperationException">The timeout is no number of seconds.</exception>
    public static LaneSettings From(IConfiguration configuration)
    {
        const string Key = "Outbox:DeliveryTimeoutSeconds";
        if (configuration[Key] is not { Length: > 0 } given)
        {
            return new LaneSettings();
        }

        return int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds is >= 1 and <= 600
            ? new LaneSettings { DeliveryTimeout = TimeSpan.FromSeconds(seconds) }
            : throw new InvalidOperationException($"{Key} is '{given}': whole seconds are expected, from 1 to 600.");
    }
}

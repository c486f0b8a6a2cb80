namespace Wave16.Platform.Tests;

/// <summary>Real time, except that asking for it fails so many times first: a failure that no code expects.</summary>
internal sealed class BrokenClock(int times) : TimeProvider
{
    private int _left = times;

    public override DateTimeOffset GetUtcNow() => Interlocked.Decrement(ref _left) >= 0
        ? throw new InvalidOperationException("This clock is broken.")
        : base.GetUtcNow();
}

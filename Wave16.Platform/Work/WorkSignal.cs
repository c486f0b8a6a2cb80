using System.Threading.Channels;

namespace Wave16.Platform.Work;

/// <summary>Tells a loop in this process that there is something to do before its next poll. Signals given while it works are one.</summary>
internal sealed class WorkSignal(TimeProvider clock)
{
    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public void Set() => _signal.Writer.TryWrite(true);

    /// <summary>Returns when signalled, when the time is over, or when cancelled; never throws.</summary>
    public async Task WaitAsync(TimeSpan atMost, CancellationToken cancellation)
    {
        using var over = new CancellationTokenSource(atMost > TimeSpan.Zero ? atMost : TimeSpan.Zero, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancellation);
        Task signalled = _signal.Reader.WaitToReadAsync(either.Token).AsTask();
        await signalled.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _signal.Reader.TryRead(out _);
    }
}

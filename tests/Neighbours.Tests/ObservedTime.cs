using System.Threading.Channels;
using Microsoft.Extensions.Time.Testing;

namespace Wave16.Neighbours.Tests;

/// <summary>A clock moved by hand that tells when somebody began to wait on it, and for how long.</summary>
sealed class ObservedTime : FakeTimeProvider
{
    readonly Channel<TimeSpan> _waits = Channel.CreateUnbounded<TimeSpan>();

    public ValueTask<TimeSpan> NextWait => _waits.Reader.ReadAsync(TestContext.Current.CancellationToken);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = base.CreateTimer(callback, state, dueTime, period);
        _waits.Writer.TryWrite(dueTime);
        return timer;
    }
}

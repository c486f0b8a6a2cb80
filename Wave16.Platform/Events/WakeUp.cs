namespace Wave16.Platform.Events;

/// <summary>An alarm that several may ring and one waits for; a ring during the waiter's work ends its next wait at once.</summary>
internal sealed class WakeUp
{
    private volatile TaskCompletionSource _rung = New();

    public void Ring() => _rung.TrySetResult();

    /// <summary>Returns when rung, when the time is over, or when cancelled. Look at the state afterwards, not before.</summary>
    public async Task WaitAsync(TimeSpan atMost, TimeProvider time, CancellationToken cancellation)
    {
        var rung = _rung;
        if (!rung.Task.IsCompleted)
        {
            using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            await Task.WhenAny(rung.Task, Task.Delay(atMost, time, timer.Token));
            await timer.CancelAsync();
        }

        if (rung.Task.IsCompleted)
        {
            _rung = New();
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

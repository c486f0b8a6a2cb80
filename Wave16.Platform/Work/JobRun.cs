namespace Wave16.Platform.Work;

internal enum Interruption
{
    None,
    Cancelled,
    LeaseLost,
    Stopping,
}

/// <summary>One attempt that runs in this process, and the token its handler watches.</summary>
internal sealed class JobRun : IDisposable
{
    // A beat proves at least 20 s of lease (30 s, renewed every 10 s); without one for this long the handler stops by itself.
    private static readonly TimeSpan Trust = JobLeases.Duration / 2;
    private readonly CancellationTokenSource _cancellation;
    private readonly Lock _gate = new();
    private bool _over;

    public JobRun(ClaimedJob job, TimeProvider clock)
    {
        Job = job;
        _cancellation = new CancellationTokenSource(Trust, clock);
        Token = _cancellation.Token;
    }

    public ClaimedJob Job { get; }

    public CancellationToken Token { get; }

    /// <summary>Why <see cref="Token"/> was cancelled. Nobody said: no beat has come through, so the lease is as good as lost.</summary>
    public Interruption Why { get; private set; }

    /// <summary>Completes when the handler and the last write of this attempt are done.</summary>
    public Task Finished { get; set; } = Task.CompletedTask;

    public void Extend()
    {
        lock (_gate)
        {
            if (!_over && !Token.IsCancellationRequested)
            {
                _cancellation.CancelAfter(Trust);
            }
        }
    }

    public void Interrupt(Interruption why)
    {
        lock (_gate)
        {
            if (_over || Why is not Interruption.None)
            {
                return;
            }

            Why = why;
            // On the thread pool: what a handler hangs on its token must not hold up the other jobs' beat.
            _ = _cancellation.CancelAsync();
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _over = true;
            _cancellation.Dispose();
        }
    }
}

namespace Wave16.Platform.Events;

internal static class Abandon
{
    /// <summary>
    /// Returns when the work has ended, however it did, or throws when it still runs that long after it was cancelled: it is
    /// then nobody's, and what it throws later is ignored.
    /// </summary>
    /// <exception cref="OperationCanceledException">It does not end.</exception>
    public static async Task OrAbandonedAsync(this Task work, TimeSpan grace, CancellationToken cancellation)
    {
        if (work.IsCompleted)
        {
            return;
        }

        await work.WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (work.IsCompleted)
        {
            return;
        }

        // By the machine's own time: what is measured is this process.
        await work.WaitAsync(grace, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!work.IsCompleted)
        {
            _ = work.ContinueWith(static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            throw new OperationCanceledException("It still runs after it was cancelled.", cancellation);
        }
    }
}

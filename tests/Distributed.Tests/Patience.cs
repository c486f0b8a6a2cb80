namespace Wave16.Distributed.Tests;

/// <summary>Waits for what must come, and fails with what is missing when it does not: a loss must not look like a test that hangs.</summary>
internal static class Patience
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    public static async Task WhileAsync(Func<Task<bool>> isMissing, Func<Task<string>> what, CancellationToken cancellation)
    {
        using var overdue = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        overdue.CancelAfter(Limit);
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (await isMissing())
        {
            try
            {
                await look.WaitForNextTickAsync(overdue.Token);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                Assert.Fail($"After {Limit.TotalMinutes} minutes: {await what()}");
            }
        }
    }
}

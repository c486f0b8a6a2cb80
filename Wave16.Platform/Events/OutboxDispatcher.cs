using Microsoft.Extensions.Hosting;

namespace Wave16.Platform.Events;

/// <summary>
/// Runs a module's lanes: from when everything in the process has started (its subscriptions too), until the server has
/// answered its last request; then it drains while the services that handle events are still there.
/// </summary>
internal sealed class OutboxDispatcher(IReadOnlyList<Lane> lanes) : IHostedLifecycleService, IDisposable
{
    // Of its own, less than the host's: a destination that hangs must leave time for what stops after this.
    private static readonly TimeSpan DrainWithin = TimeSpan.FromSeconds(10);

    private readonly CancellationTokenSource _stopping = new();
    private readonly CancellationTokenSource _abort = new();
    private Task _running = Task.CompletedTask;

    public IReadOnlyList<Lane> Lanes { get; } = lanes;

    public Task StartedAsync(CancellationToken cancellationToken)
    {
        _running = Task.WhenAll(Lanes.Select(lane => Task.Run(() => lane.RunAsync(_stopping.Token, _abort.Token), CancellationToken.None)));
        return Task.CompletedTask;
    }

    // Hosted services stop in the reverse of their order: the server first, then this, subscriptions and silo last.
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        _abort.CancelAfter(DrainWithin);
        await using var impatience = cancellationToken.Register(_abort.Cancel);
        await _running;
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
        _stopping.Dispose();
        _abort.Dispose();
    }
}

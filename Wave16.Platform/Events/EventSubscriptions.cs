using Microsoft.Extensions.Hosting;
using Wave16.Platform.Store;

namespace Wave16.Platform.Events;

/// <summary>Attaches a module's handlers to the transport, and detaches them, drained, when the process stops.</summary>
internal sealed class EventSubscriptions(IEventTransport transport, ModuleDatabase database, IReadOnlyList<IEventHandler> handlers) : IHostedService
{
    private readonly List<IAsyncDisposable> _attached = [];

    /// <summary>Less than the host's shutdown: a handler that hangs must leave time for the silo, which stops after this.</summary>
    public TimeSpan DrainWithin { get; init; } = TimeSpan.FromSeconds(10);

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (var handler in handlers)
        {
            _attached.Add(await transport.SubscribeAsync(
                new EventSubscription(handler.Consumer, handler.Types, (envelope, cancellation) => HandleAsync(handler, envelope, cancellation)),
                cancellationToken));
        }
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        var drained = Task.WhenAll(_attached.Select(attached => attached.DisposeAsync().AsTask()));
        await drained.WaitAsync(DrainWithin, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (drained.IsCompleted)
        {
            await drained;
        }
        else
        {
            // What still runs is left behind: its event was not settled and comes again, and the inbox knows if it was done.
            _ = drained.ContinueWith(static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        }

        _attached.Clear();
    }

    private Task HandleAsync(IEventHandler handler, EventEnvelope envelope, CancellationToken cancellation) =>
        database.WhenReadyAsync(cancellation).IsCompletedSuccessfully
            ? handler.HandleAsync(envelope, Inbox.CommandId(handler.Consumer, envelope.Id), cancellation)
            : throw new DestinationUnavailableException($"{database.Module} is not ready");
}

/// <summary>The inbox is the command table: an event is a command whose id is the event's own, per consumer.</summary>
public static class Inbox
{
    public static string CommandId(string consumer, string eventId) => $"evt:{consumer}:{eventId}";
}

using Wave16.Platform.Store;

namespace Wave16.Platform.Events;

/// <summary>
/// Tells this process's lanes that events were committed, so that they need not wait for their next poll. Registered once
/// per module, keyed by its name. Call it after the commit; forgetting it delays, and loses nothing.
/// </summary>
public sealed class OutboxSignal
{
    private readonly EventRoutes _routes;
    private readonly Dictionary<string, Action> _lanes = new(StringComparer.Ordinal);

    internal OutboxSignal(EventRoutes routes) => _routes = routes;

    /// <summary>After a save: wakes the lanes that the change's events go to.</summary>
    public void Committed(EntityChange change)
    {
        foreach (var raised in change.Events)
        {
            Committed(_routes.For(raised.Type));
        }
    }

    /// <summary>After a statement that wrote to the outbox by itself.</summary>
    public void Committed(IReadOnlyList<string> destinations)
    {
        foreach (var destination in destinations)
        {
            if (_lanes.TryGetValue(destination, out var wake))
            {
                wake();
            }
        }
    }

    // Filled when the lanes are made, before anything runs.
    internal void Connect(string destination, Action wake) => _lanes.Add(destination, wake);
}

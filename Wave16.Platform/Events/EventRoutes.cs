namespace Wave16.Platform.Events;

/// <summary>Which destinations each of a module's event types goes to. Filled at start, read in every save.</summary>
public sealed class EventRoutes
{
    private readonly Dictionary<string, string[]> _routes = new(StringComparer.Ordinal);

    internal void Add(string eventType, string destination)
    {
        var known = _routes.GetValueOrDefault(eventType) ?? [];
        if (!known.Contains(destination, StringComparer.Ordinal))
        {
            _routes[eventType] = [.. known, destination];
        }
    }

    internal IReadOnlySet<string> Destinations => _routes.Values.SelectMany(destinations => destinations).ToHashSet(StringComparer.Ordinal);

    /// <summary>Destinations in the order they were declared; empty for a type nobody listens to.</summary>
    public IReadOnlyList<string> For(string eventType) => _routes.GetValueOrDefault(eventType) ?? [];
}

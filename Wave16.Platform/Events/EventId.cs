using Wave16.Platform.Store;

namespace Wave16.Platform.Events;

/// <summary>CloudEvents <c>id</c>: (store epoch, entity, version, ordinal), so that a retried save never makes a second event.</summary>
public static class EventId
{
    public static string Of(StoreEpoch epoch, string tenant, string kind, string entityId, long version, int ordinal) =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{epoch.Token}:{tenant}/{kind}/{entityId}:{version}:{ordinal}");
}

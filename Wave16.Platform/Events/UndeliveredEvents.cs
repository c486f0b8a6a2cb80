using System.Globalization;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Retention;
using Wave16.Platform.Store;

namespace Wave16.Platform.Events;

/// <summary>A destination that has been down for weeks must not keep every event since: what waited too long becomes a dead letter.</summary>
internal sealed class UndeliveredEvents(ModuleDatabase database, RetentionPeriods periods, OutboxMetrics metrics, TimeProvider clock, ILogger<UndeliveredEvents> log)
{
    private readonly OutboxStore _store = new(database);

    /// <returns>How many were given up; call again while it equals the limit.</returns>
    public async Task<int> GiveUpAsync(int limit, CancellationToken cancellation)
    {
        var period = periods[RetentionPeriods.UndeliveredEvents];
        var now = clock.GetUtcNow();
        var expired = await _store.ExpiredAsync(now, period, limit, cancellation);
        foreach (var (destination, deliveries) in expired.GroupBy(one => one.Destination, one => one, (destination, of) => (destination, of.ToList())))
        {
            await _store.SettleAsync(destination, deliveries.ConvertAll(one => Dead(one.Delivery, one.LastError, period)), now, cancellation);
            metrics.DeadLettered(database.Module, destination, deliveries.Count);
            log.LogError("{Module} outbox to {Destination}: {Count} events were not delivered within {Days} days and are dead letters",
                database.Module, destination, deliveries.Count, period.TotalDays);
        }

        return expired.Count;
    }

    private static Settlement Dead(PendingDelivery delivery, string? lastError, TimeSpan period) => new(
        delivery, Fate.Dead, delivery.Attempts,
        Reason: string.Create(CultureInfo.InvariantCulture, $"not delivered within {period.TotalDays:F0} days; last: {lastError ?? "not tried"}"),
        Envelope: delivery.Envelope is { } envelope ? EventFormat.EncodeText(envelope) : null);
}

using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace Wave16.Platform.Work;

/// <summary>Meter <c>Wave16.Platform</c>; reported by the replica that sweeps, with the tag <c>module</c>.</summary>
internal sealed class DueMetrics
{
    public const int CountedUpTo = 10_000;
    private readonly ConcurrentDictionary<string, (long Pending, DateTimeOffset? Oldest)> _stands = new(StringComparer.Ordinal);
    private readonly TimeProvider _clock;

    public DueMetrics(IMeterFactory meters, TimeProvider clock)
    {
        _clock = clock;
        var meter = meters.Create("Wave16.Platform");
        meter.CreateObservableGauge("due.lag", Lags, "s", "How long the most overdue deadline has been waiting.");
        meter.CreateObservableGauge("due.pending", Pendings, "{deadline}", $"Deadlines that are due and not yet met, counted up to {CountedUpTo}.");
    }

    public void Report(string module, long pending, DateTimeOffset? oldest) => _stands[module] = (pending, oldest);

    /// <summary>Another replica sweeps now, and reports.</summary>
    public void Forget(string module) => _stands.TryRemove(module, out _);

    private IEnumerable<Measurement<double>> Lags() => _stands.Select(stand => new Measurement<double>(
        stand.Value.Oldest is { } oldest ? Math.Max(0, (_clock.GetUtcNow() - oldest).TotalSeconds) : 0,
        new KeyValuePair<string, object?>("module", stand.Key)));

    private IEnumerable<Measurement<long>> Pendings() => _stands.Select(stand => new Measurement<long>(
        stand.Value.Pending,
        new KeyValuePair<string, object?>("module", stand.Key)));
}

using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace Wave16.Platform.Audit;

/// <summary>Instruments of the audit logs on the meter <c>Wave16.Platform</c>, tagged with <c>module</c>.</summary>
internal sealed class AuditMetrics
{
    private readonly ConcurrentDictionary<string, DateTimeOffset?> _oldestUnsealed = new(StringComparer.Ordinal);
    private readonly TimeProvider _clock;
    private readonly Counter<long> _sealed;

    public AuditMetrics(IMeterFactory meters, TimeProvider clock)
    {
        _clock = clock;
        var meter = meters.Create("Wave16.Platform");
        _sealed = meter.CreateCounter<long>("audit.sealed", "{leaf}", "Leaves taken into the log.");
        meter.CreateObservableGauge("audit.unsealed.age", Ages, "s", "Age of the oldest audit leaf that is not in the log.");
    }

    public void Sealed(string module, long leaves) => _sealed.Add(leaves, new KeyValuePair<string, object?>("module", module));

    public void ReportTail(string module, DateTimeOffset? oldest) => _oldestUnsealed[module] = oldest;

    private IEnumerable<Measurement<double>> Ages() => _oldestUnsealed.Select(tail => new Measurement<double>(
        tail.Value is { } oldest ? Math.Max(0, (_clock.GetUtcNow() - oldest).TotalSeconds) : 0,
        new KeyValuePair<string, object?>("module", tail.Key)));
}

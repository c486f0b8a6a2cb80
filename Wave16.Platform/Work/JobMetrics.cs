using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Wave16.Platform.Work;

/// <summary>Meter <c>Wave16.Platform</c>: the jobs of this process, tagged with <c>module</c> and <c>kind</c>.</summary>
internal sealed class JobMetrics
{
    private readonly ConcurrentDictionary<(string Module, string Kind), int> _running = new();
    private readonly Histogram<double> _duration;

    public JobMetrics(IMeterFactory meters)
    {
        var meter = meters.Create("Wave16.Platform");
        _duration = meter.CreateHistogram(
            "jobs.duration", "s", "How long an attempt at a job took, by outcome: succeeded, failed, cancelled, interrupted (by a shutdown or a lost lease).",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600] });
        meter.CreateObservableGauge("jobs.running", Running, "{job}", "Jobs that run in this process.");
    }

    public void Began(string module, string kind) => _running.AddOrUpdate((module, kind), 1, (_, running) => running + 1);

    public void Ended(string module, string kind, string outcome, TimeSpan took)
    {
        _running.AddOrUpdate((module, kind), 0, (_, running) => running - 1);
        _duration.Record(took.TotalSeconds, new TagList { { "module", module }, { "kind", kind }, { "outcome", outcome } });
    }

    private IEnumerable<Measurement<int>> Running() =>
        _running.Select(kind => new Measurement<int>(kind.Value, new TagList { { "module", kind.Key.Module }, { "kind", kind.Key.Kind } }));
}

using System.Diagnostics.Metrics;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Summary;

namespace Wave16.VulnCenter;

/// <summary>
/// The module's own meter, <c>Wave16.VulnCenter</c>. A tenant, service or source is no tag, since their number has no bound; but for <c>findings.open</c>, which
/// tells the services with the most (<see cref="BacklogQueries.MostServices"/>) and sums up the rest.
/// </summary>
/// <remarks>The backlog is reported by one replica, the others have no such series.</remarks>
internal sealed class VulnCenterMetrics
{
    private readonly Counter<long> _observations;
    private readonly Histogram<double> _merges;
    private readonly Counter<long> _overMerged;
    private readonly Counter<long> _unjoined;
    private volatile Backlog? _backlog;

    public VulnCenterMetrics(IMeterFactory meters)
    {
        var meter = meters.Create("Wave16.VulnCenter");
        _observations = meter.CreateCounter<long>("imports.observations", "{observation}", "Raw results of imported reports, by outcome.");
        _merges = meter.CreateHistogram(
            "imports.merge.duration", "s", "How long a report's merge held its service, waiting for it not included.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120] });
        _overMerged = meter.CreateCounter<long>("dedup.overmerged", "{key}", "Keys that took in results of different rules or many places; GET /findings/overmerged lists them.");
        _unjoined = meter.CreateCounter<long>("aliases.unjoined", "{edge}", "Edges of aliases that were kept and not joined, since the cluster would have been too large.");
        meter.CreateObservableGauge("findings.open", Open, "{finding}", "Findings that are open or triaged and not suppressed, by tenant, service, severity and status; of the services with the most, the rest together as other.");
        meter.CreateObservableGauge("findings.aging", Ages, "{finding}", "The same, by days since they were first seen and severity.");
        meter.CreateObservableGauge("findings.sla", Sla, "{finding}", "Findings by where their deadline stands; met and missed are of closed ones.");
        meter.CreateObservableGauge("findings.kev", () => Of(backlog => backlog.KnownExploited), "{finding}", "Open findings that are known to be exploited.");
        meter.CreateObservableGauge("findings.suppressed", () => Of(backlog => backlog.Suppressed), "{finding}", "Open findings that are set aside.");
        meter.CreateObservableGauge("findings.time_to_fix", SecondsToFix, "s", "Average time from opening to the fix, of what was fixed in the last 90 days, by severity.");
    }

    /// <param name="keys">That were not known to be so before.</param>
    public void OverMerged(long keys)
    {
        if (keys > 0)
        {
            _overMerged.Add(keys);
        }
    }

    public void AliasesUnjoined(long edges)
    {
        if (edges > 0)
        {
            _unjoined.Add(edges);
        }
    }

    /// <param name="scan">A scan whose merge has been committed.</param>
    /// <param name="held">How long its lock was held.</param>
    public void Merged(ScanResult scan, TimeSpan held)
    {
        Count("new", scan.New);
        Count("matched", scan.Matched);
        Count("reopened", scan.Reopened);
        Count("rejected", scan.Rejected);
        _merges.Record(held.TotalSeconds);
    }

    public void Report(Backlog backlog) => _backlog = backlog;

    /// <summary>Another replica counts now, or nobody can.</summary>
    public void Forget() => _backlog = null;

    private void Count(string outcome, long observations) => _observations.Add(observations, Tag("outcome", outcome));

    private IEnumerable<Measurement<long>> Open() => _backlog?.Open.Select(count =>
        new Measurement<long>(
            count.Value, Tag("tenant", count.Key.Tenant), Tag("service", count.Key.Service),
            Tag("severity", FindingFilter.KebabCase(count.Key.Severity)), Tag("status", FindingFilter.KebabCase(count.Key.Status)))) ?? [];

    private IEnumerable<Measurement<long>> Ages() => _backlog?.Ages.Select(count =>
        new Measurement<long>(count.Value, Tag("bucket", count.Key.Days), Tag("severity", FindingFilter.KebabCase(count.Key.Severity)))) ?? [];

    private IEnumerable<Measurement<long>> Sla() => _backlog?.Sla.Select(count => new Measurement<long>(count.Value, Tag("state", FindingFilter.KebabCase(count.Key)))) ?? [];

    private IEnumerable<Measurement<double>> SecondsToFix() =>
        _backlog?.SecondsToFix.Select(fix => new Measurement<double>(fix.Value, Tag("severity", FindingFilter.KebabCase(fix.Key)))) ?? [];

    private IEnumerable<Measurement<long>> Of(Func<Backlog, long> count) => _backlog is { } backlog ? [new Measurement<long>(count(backlog))] : [];

    private static KeyValuePair<string, object?> Tag(string name, string value) => new(name, value);
}

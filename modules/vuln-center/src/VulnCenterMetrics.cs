using System.Diagnostics.Metrics;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter;

/// <summary>The module's own meter, <c>Wave16.VulnCenter</c>. No tenant, service or source is a tag: their number has no bound.</summary>
internal sealed class VulnCenterMetrics
{
    private readonly Counter<long> _observations;
    private readonly Histogram<double> _merges;
    private readonly Counter<long> _overMerged;

    public VulnCenterMetrics(IMeterFactory meters)
    {
        var meter = meters.Create("Wave16.VulnCenter");
        _observations = meter.CreateCounter<long>("imports.observations", "{observation}", "Raw results of imported reports, by outcome.");
        _merges = meter.CreateHistogram<double>("imports.merge.duration", "s", "How long a report's merge held its service, waiting for it not included.");
        _overMerged = meter.CreateCounter<long>("dedup.overmerged", "{key}", "Keys that took in results of different rules or many places; GET /findings/overmerged lists them.");
    }

    /// <param name="keys">That were not known to be so before.</param>
    public void OverMerged(long keys)
    {
        if (keys > 0)
        {
            _overMerged.Add(keys);
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

    private void Count(string outcome, long observations) => _observations.Add(observations, new KeyValuePair<string, object?>("outcome", outcome));
}

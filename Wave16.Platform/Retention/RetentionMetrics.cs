using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Wave16.Platform.Retention;

/// <summary>Meter <c>Wave16.Platform</c>; every instrument carries the tags <c>module</c> and <c>table</c>.</summary>
internal sealed class RetentionMetrics
{
    private readonly ConcurrentDictionary<(string Module, string Table), long> _strays = new();
    private readonly Counter<long> _dropped;
    private readonly Counter<long> _removed;

    public RetentionMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(Events.OutboxMetrics.Name);
        _dropped = meter.CreateCounter<long>("retention.partitions.dropped", "{partition}", "Partitions dropped because their period is over.");
        _removed = meter.CreateCounter<long>("retention.rows.removed", "{row}", "Rows removed one by one from a default partition because their period is over.");
        meter.CreateObservableGauge("retention.default.rows", Strays, "{row}", $"Rows in a default partition, counted up to {Partitions.CountedUpTo}. None, while partitions are made in time.");
    }

    public void Dropped(string module, string table) => _dropped.Add(1, Tags(module, table));

    public void Removed(string module, string table, long rows) => _removed.Add(rows, Tags(module, table));

    public void Report(string module, string table, long strays) => _strays[(module, table)] = strays;

    private IEnumerable<Measurement<long>> Strays() => _strays.Select(table => new Measurement<long>(table.Value, Tags(table.Key.Module, table.Key.Table)));

    private static TagList Tags(string module, string table) => new() { { "module", module }, { "table", table } };
}

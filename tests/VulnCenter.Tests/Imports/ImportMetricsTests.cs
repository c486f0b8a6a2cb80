using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class ImportMetricsTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Fact]
    public async Task The_modules_meter_counts_results_by_outcome_and_measures_the_merge()
    {
        var (observations, merges) = (new ConcurrentDictionary<string, long>(StringComparer.Ordinal), 0);
        var factory = host.Module.Services.GetRequiredService<IMeterFactory>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, each) =>
        {
            if (instrument.Meter.Name == "Wave16.VulnCenter" && instrument.Name.StartsWith("imports.", StringComparison.Ordinal) && ReferenceEquals(instrument.Meter.Scope, factory))
            {
                each.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((_, count, tags, _) => observations.AddOrUpdate($"{tags[0].Value}", count, (_, sum) => sum + count));
        listener.SetMeasurementEventCallback<double>((_, seconds, _, _) => merges += seconds > 0 ? 1 : 0);
        listener.Start();
        using var client = await host.OperatorAsync("measured");
        var report = await File.ReadAllBytesAsync(VulnCenterCalls.Fixture("trivy-shop-api.json"), TestContext.Current.CancellationToken);

        var first = await client.ImportAsync("trivy", "shop-api", report);
        var second = await client.ImportAsync("trivy", "shop-api", report);

        Assert.Equal((first.New, first.Rejected + second.Rejected, second.Matched), (observations["new"], observations["rejected"], observations["matched"]));
        Assert.Equal(2, merges);
    }
}

using System.Diagnostics;

namespace Wave16.Bench;

/// <summary>The most memory that vuln-center, in its own process, holds while a report of 200 MB goes through it.</summary>
internal static class LargeImportBenchmark
{
    private const long Bytes = 200_000_000;
    private const int SampleSize = 14_000;

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        var sample = await SyntheticReport.WriteAsync(ground.Folder, SampleSize, "2024-12-20T09:14:03Z", cancellation);
        var findings = (int)(Bytes * SampleSize / new FileInfo(sample).Length);
        var report = await SyntheticReport.WriteAsync(ground.Folder, findings, "2024-12-20T09:14:03Z", cancellation);
        await using var server = await OwnProcess.StartAsync(await ground.DatabaseAsync("bench_large", cancellation), cancellation);
        using var client = await Hosted.ClientAsync(server.Address, "large", cancellation);
        var idle = server.PeakBytes;
        var started = Stopwatch.GetTimestamp();
        var result = await client.ImportAsync(report, cancellation);
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        var table = new Table("import-200mb: one report through vuln-center in its own process", "report", "findings", "seconds", "peak before", "peak working set");
        table.Add($"{new FileInfo(report).Length / 1e6:F0} MB", $"{result.New:N0}", $"{seconds:F1}", $"{idle / 1e6:F0} MB", $"{server.PeakBytes / 1e6:F0} MB");
        table.Print();
    }
}

using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using Wave16.Neighbours;
using Wave16.VulnCenter;

namespace Wave16.Bench;

/// <summary>The most memory that vuln-center, in its own process, holds while a report of 200 MB goes through it.</summary>
internal static class LargeImportBenchmark
{
    private const long Bytes = 200_000_000;
    private const int SampleSize = 14_000;
    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(60);

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        var sample = await SyntheticReport.WriteAsync(ground.Folder, SampleSize, "2024-12-20T09:14:03Z", cancellation);
        var findings = (int)(Bytes * SampleSize / new FileInfo(sample).Length);
        var report = await SyntheticReport.WriteAsync(ground.Folder, findings, "2024-12-20T09:14:03Z", cancellation);
        var address = FreeAddress();
        await using var neighbours = await Hosted.StartNeighboursAsync(cancellation);
        using var server = Start(address, await ground.DatabaseAsync("bench_large", cancellation), neighbours.Urls.First());
        try
        {
            await ReadyAsync(server, address, cancellation);
            using var client = await Hosted.ClientAsync(address, "large", cancellation);
            var idle = PeakBytes(server);
            var started = Stopwatch.GetTimestamp();
            var result = await client.ImportAsync(report, cancellation);
            var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            var table = new Table("import-200mb: one report through vuln-center in its own process", "report", "findings", "seconds", "peak before", "peak working set");
            table.Add($"{new FileInfo(report).Length / 1e6:F0} MB", $"{result.New:N0}", $"{seconds:F1}", $"{idle / 1e6:F0} MB", $"{PeakBytes(server) / 1e6:F0} MB");
            table.Print();
        }
        finally
        {
            server.Kill(entireProcessTree: true);
            await server.WaitForExitAsync(CancellationToken.None);
        }
    }

    private static Process Start(Uri address, string connectionString, string neighbours)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet") { UseShellExecute = false, RedirectStandardOutput = true };
        start.ArgumentList.Add(Assembly.GetAssembly(typeof(VulnCenterModule))?.Location ?? throw new InvalidOperationException("No module."));
        start.Environment["ASPNETCORE_ENVIRONMENT"] = "Development";
        start.Environment["ASPNETCORE_URLS"] = address.ToString();
        start.Environment["Logging__LogLevel__Default"] = "Warning";
        start.Environment["ConnectionStrings__vuln-center-db"] = connectionString;
        foreach (var name in NeighboursExtensions.Names)
        {
            start.Environment[$"Neighbours__{name}__Url"] = $"{neighbours}/{name}/";
        }

        var server = Process.Start(start) ?? throw new InvalidOperationException("vuln-center did not start.");
        server.OutputDataReceived += (_, line) => Console.Error.WriteLine(line.Data);
        server.BeginOutputReadLine();
        return server;
    }

    private static async Task ReadyAsync(Process server, Uri address, CancellationToken cancellation)
    {
        using var within = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        within.CancelAfter(StartWithin);
        using var client = new HttpClient { BaseAddress = address };
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        while (await look.WaitForNextTickAsync(within.Token) && !server.HasExited)
        {
            try
            {
                using var health = await client.GetAsync(new Uri("/health", UriKind.Relative), within.Token);
                if (health.IsSuccessStatusCode)
                {
                    return;
                }
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }
        }

        throw new InvalidOperationException("vuln-center ended while it started.");
    }

    // The kernel's own high-water mark: nothing between two samples is missed.
    private static long PeakBytes(Process server)
    {
        server.Refresh();
        return server.PeakWorkingSet64;
    }

    private static Uri FreeAddress()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return new Uri($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
    }
}

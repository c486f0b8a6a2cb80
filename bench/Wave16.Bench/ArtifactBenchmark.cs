using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.Bench;

/// <summary>The most memory that vuln-center, in its own process, holds while an artifact of 100 MB comes and goes.</summary>
internal static class ArtifactBenchmark
{
    private const long Bytes = 100_000_000;

    // As TCP dumps begin: content is looked at before it is taken.
    private static readonly byte[] Magic = [0xD4, 0xC3, 0xB2, 0xA1];

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        var path = await WriteAsync(ground.Folder, cancellation);
        var report = await SyntheticReport.WriteAsync(ground.Folder, 1, "2024-12-20T09:14:03Z", cancellation);
        await using var server = await OwnProcess.StartAsync(
            await ground.DatabaseAsync("bench_artifact", cancellation), cancellation, ("VulnCenter__MaxArtifactBytes", $"{Bytes}"));
        using var client = await Hosted.ClientAsync(server.Address, "artifacts", cancellation);
        await client.ImportAsync(report, cancellation);
        var page = await client.GetFromJsonAsync<FindingPage>("/findings?limit=1", Wave16Json.Options, cancellation);
        var address = $"/findings/{page?.Items[0].Id}/artifacts";
        var table = new Table($"artifact-100mb: {Bytes / 1e6:F0} MB through vuln-center in its own process", "", "seconds", "peak working set before", "after");
        var sha256 = await MeasureAsync("upload", () => UploadAsync(client, address, path, cancellation));
        if (await MeasureAsync("download", () => DownloadAsync(client, $"{address}/{sha256}", cancellation)) != sha256)
        {
            throw new InvalidOperationException("What came back is something else.");
        }

        table.Print();

        async Task<string> MeasureAsync(string name, Func<Task<string>> action)
        {
            var before = server.PeakBytes;
            var started = Stopwatch.GetTimestamp();
            var digest = await action();
            table.Add(name, $"{Stopwatch.GetElapsedTime(started).TotalSeconds:F1}", $"{before / 1e6:F0} MB", $"{server.PeakBytes / 1e6:F0} MB");
            return digest;
        }
    }

    private static async Task<string> WriteAsync(string folder, CancellationToken cancellation)
    {
        var path = Path.Combine(folder, "artifact.pcap");
        await using var file = File.Create(path);
        await file.WriteAsync(Magic, cancellation);
        var random = new Random(16);
        var buffer = new byte[1 << 20];
        for (var left = Bytes - Magic.Length; left > 0; left -= buffer.Length)
        {
            random.NextBytes(buffer);
            await file.WriteAsync(buffer.AsMemory(0, (int)Math.Min(left, buffer.Length)), cancellation);
        }

        return path;
    }

    private static async Task<string> UploadAsync(HttpClient client, string address, string path, CancellationToken cancellation)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.Asynchronous);
        using var part = new StreamContent(file, 1 << 16);
        part.Headers.ContentType = new MediaTypeHeaderValue("application/vnd.tcpdump.pcap");
        using MultipartFormDataContent parts = new() { { part, "file", "artifact.pcap" } };
        using var answer = await client.PostAsync(new Uri(address, UriKind.Relative), parts, cancellation);
        return answer.IsSuccessStatusCode && await answer.Content.ReadFromJsonAsync<ArtifactList>(Wave16Json.Options, cancellation) is { Items: [var artifact] }
            ? artifact.Sha256
            : throw new InvalidOperationException($"{answer.StatusCode}: {await answer.Content.ReadAsStringAsync(cancellation)}");
    }

    private static async Task<string> DownloadAsync(HttpClient client, string address, CancellationToken cancellation)
    {
        await using var content = await client.GetStreamAsync(new Uri(address, UriKind.Relative), cancellation);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(content, cancellation));
    }
}

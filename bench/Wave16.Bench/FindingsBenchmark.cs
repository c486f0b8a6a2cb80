using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Store;
using Wave16.VulnCenter;

namespace Wave16.Bench;

/// <summary><c>GET /findings</c> over a million findings of one tenant, beside another tenant's: the first page, and the one at row 50,000.</summary>
internal static class FindingsBenchmark
{
    private const int Findings = 1_000_000;
    private const int OtherFindings = 50_000;
    private const int Requests = 80;
    private const int Deep = 50_000;
    private const double BarMilliseconds = 50;

    private static readonly string[] Words = ["overflow", "injection", "parser", "overflow parser", "package", "injection session", "cve"];

    private static readonly (string Name, Func<int, string> Query)[] Lists =
    [
        ("no filter", _ => ""),
        ("service", i => $"service={Service(i)}"),
        ("service+severity", i => $"service={Service(i)}&severity={Severity(i)}"),
        ("status+severity", i => $"status={Status(i)}&severity={Severity(i)}"),
        ("age>30", i => $"age>{30 + (i % 300)}"),
        ("age>30, status open", i => $"age>{30 + (i % 300)}&status=open"),
        ("cve", i => $"cve={Cve(i)}"),
        ("component", i => $"component=package-{Zipf(i, 30_000)}"),
        ("component by purl", i => $"component=pkg:npm/package-{Zipf(i, 30_000)}"),
        ("source+status", i => $"source=source-{1 + (i % 12)}&status={Status(i)}"),
        ("q, frequent words", i => $"q={Words[i % Words.Length]}"),
        ("q, rare words", i => $"q=w{i * 37 % 8192}"),
        ("q, two words", i => $"q={Words[i % Words.Length]} w{i % 80}"),
        ("kev+epss>0.5", i => $"kev=true&epss>0.{5 + (i % 5)}"),
        ("epss>0.5", i => $"epss>0.{50 + (i % 50)}"),
        ("env", i => $"env={(i % 3) switch { 0 => "production", 1 => "lab", _ => "nowhere" }}"),
        ("sla", i => $"sla={(i % 4) switch { 0 => "breached", 1 => "warned", 2 => "running", _ => "missed" }}"),
        ("suppressed", i => $"suppressed={(i % 2 == 0 ? "true" : "false")}"),
        ("service+source+status", i => $"service={Service(i)}&source=source-{1 + (i % 12)}&status=open"),
    ];

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        await using var hosted = await Hosted.StartAsync(new VulnCenterModule(), await ground.DatabaseAsync("bench_findings", cancellation), cancellation);
        var database = hosted.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName).DataSource;
        var now = TimeProvider.System.GetUtcNow();
        var filled = Stopwatch.GetTimestamp();
        await Backlog.WriteAsync(database, "bench", 0, Findings, now, cancellation);
        await Backlog.WriteAsync(database, "other", 2 * Findings, OtherFindings, now, cancellation);
        await using (var settle = database.CreateCommand("vacuum analyze"))
        {
            settle.CommandTimeout = 600;
            await settle.ExecuteNonQueryAsync(cancellation);
        }

        Console.WriteLine($"{Findings:N0} findings written in {Stopwatch.GetElapsedTime(filled).TotalSeconds:F0} s");
        using var client = await hosted.ClientAsync("bench", cancellation);
        Table table = new($"GET /findings over {Findings:N0} findings, {Requests} requests each, milliseconds; bar {BarMilliseconds:F0}",
            "filter", "order", "p50", "p95", "p95 / bar", "at row 50,000: p50", "p95", "p95 / bar");
        foreach (var (name, query) in Lists)
        {
            foreach (var sort in (string[])["severity", "age", "newest", "epss"])
            {
                await MeasureAsync(client, table, name, sort, query, cancellation);
            }
        }

        table.Print();
        await CountsAsync(client, cancellation);
    }

    private static async Task MeasureAsync(HttpClient client, Table table, string name, string sort, Func<int, string> query, CancellationToken cancellation)
    {
        Samples first = new(), deep = new();
        Dictionary<string, string?> cursors = new(StringComparer.Ordinal);
        for (var i = -10; i < Requests; i++)
        {
            var address = $"/findings?sort={sort}&{query(i < 0 ? -i : i)}";
            await TimeAsync(client, address, i < 0 ? new Samples() : first, cancellation);
            // Reached by pages of 500: the keyset is the same.
            if (!cursors.TryGetValue(address, out var cursor) && cursors.Count < 1)
            {
                cursors[address] = cursor = await CursorAtAsync(client, address, cancellation);
            }

            if (cursor is not null)
            {
                await TimeAsync(client, $"{address}&cursor={Uri.EscapeDataString(cursor)}", i < 0 ? new Samples() : deep, cancellation);
            }
        }

        table.Add(name, sort, Number(first.Median), Number(first.Percentile(0.95)), Ratio(first),
            deep.Count == 0 ? "–" : Number(deep.Median), deep.Count == 0 ? "–" : Number(deep.Percentile(0.95)), deep.Count == 0 ? "–" : Ratio(deep));

        Console.Error.WriteLine($"{name}, {sort}: {Number(first.Percentile(0.95))} and {(deep.Count == 0 ? "no such row" : Number(deep.Percentile(0.95)))}");

        static string Number(double seconds) => (seconds * 1_000).ToString("F1", CultureInfo.InvariantCulture);
        static string Ratio(Samples samples) => (samples.Percentile(0.95) * 1_000 / BarMilliseconds).ToString("F2", CultureInfo.InvariantCulture);
    }

    private static async Task<string?> CursorAtAsync(HttpClient client, string address, CancellationToken cancellation)
    {
        string? cursor = null;
        for (var row = 0; row < Deep; row += 500)
        {
            using var answer = await client.GetAsync(new Uri($"{address}&limit=500{(cursor is null ? "" : $"&cursor={Uri.EscapeDataString(cursor)}")}", UriKind.Relative), cancellation);
            answer.EnsureSuccessStatusCode();
            using var page = await JsonDocument.ParseAsync(await answer.Content.ReadAsStreamAsync(cancellation), cancellationToken: cancellation);
            if (!page.RootElement.TryGetProperty("next", out var next) || next.GetString() is not { } given)
            {
                return null;
            }

            cursor = given;
        }

        return cursor;
    }

    private static async Task CountsAsync(HttpClient client, CancellationToken cancellation)
    {
        Table table = new("Counts, 50 requests each, milliseconds", "request", "p50", "p95");
        foreach (var address in (string[])
        [
            "/findings?facets=true&limit=1", "/findings?facets=true&limit=1&service=service-1&severity=high", "/findings?facets=true&limit=1&q=overflow",
            "/findings?facets=true&limit=1&age>30", "/findings/summary", "/findings/summary?service=service-1", "/findings/summary?format=html",
        ])
        {
            Samples samples = new();
            for (var i = -3; i < 50; i++)
            {
                await TimeAsync(client, address, i < 0 ? new Samples() : samples, cancellation);
            }

            table.Add($"`{address}`", (samples.Median * 1_000).ToString("F1", CultureInfo.InvariantCulture), (samples.Percentile(0.95) * 1_000).ToString("F1", CultureInfo.InvariantCulture));
        }

        table.Print();
    }

    private static Task<int> TimeAsync(HttpClient client, string address, Samples samples, CancellationToken cancellation) => samples.TimeAsync(async () =>
    {
        using var answer = await client.GetAsync(new Uri(address, UriKind.Relative), cancellation);
        answer.EnsureSuccessStatusCode();
        return (await answer.Content.ReadAsByteArrayAsync(cancellation)).Length;
    });

    // As the backlog draws them: a few values most of the time.
    private static int Zipf(int i, int values) => (int)Math.Round(Math.Exp(i * 0.618_033_988_75 % 1 * Math.Log(values + 1)), MidpointRounding.ToEven);

    private static string Service(int i) => $"service-{Zipf(i, 400)}";

    private static string Cve(int i) => Zipf(i, 60_000) is var rank ? $"CVE-{2015 + (rank % 11)}-{1000 + rank}" : "";

    private static string Severity(int i) => (i % 4) switch { 0 => "critical", 1 => "high", 2 => "medium", _ => "low,critical" };

    private static string Status(int i) => (i % 4) switch { 0 => "open", 1 => "triaged", 2 => "fixed", _ => "verified,open" };
}

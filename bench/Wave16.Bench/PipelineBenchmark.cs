using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Wave16.ServiceDefaults;

namespace Wave16.Bench;

/// <summary>
/// A GET of a few bytes through everything a host puts before an endpoint (telemetry, problem details, time and rate limits, token,
/// scope, tenant), against a Kestrel with nothing but routing. Clients are sockets in the same process.
/// </summary>
internal static class PipelineBenchmark
{
    private const string Answer = "a tiny answer";
    private const int Clients = 32;
    private static readonly TimeSpan Round = TimeSpan.FromSeconds(3);

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        await using var bare = await BareAsync(cancellation);
        await using var full = await FullAsync(cancellation);
        var toBare = Request(bare, token: null);
        var toFull = Request(full, await TokenAsync(full, cancellation));
        await LoadAsync(bare, toBare, cancellation);
        await LoadAsync(full, toFull, cancellation);
        Samples bareRate = new(), bareCpu = new(), fullRate = new(), fullCpu = new();
        for (var round = 0; round < Ground.Rounds; round++)
        {
            var (rate, cpu) = await LoadAsync(bare, toBare, cancellation);
            bareRate.Add(rate);
            bareCpu.Add(cpu);
            (rate, cpu) = await LoadAsync(full, toFull, cancellation);
            fullRate.Add(rate);
            fullCpu.Add(cpu);
        }

        var table = new Table($"pipeline: {Clients} keep-alive clients in the server's process", "", "requests/s", "CPU µs per request, client included", "ours / floor (requests/s)");
        table.Add("floor: bare Kestrel", $"{bareRate.Median:N0} ({bareRate.Range("F0")})", $"{bareCpu.Median:F1}", "1");
        table.Add("full pipeline", $"{fullRate.Median:N0} ({fullRate.Range("F0")})", $"{fullCpu.Median:F1} (+{fullCpu.Median - bareCpu.Median:F1})", $"{fullRate.Median / bareRate.Median:F2}");
        table.Print();
    }

    private static async Task<WebApplication> BareAsync(CancellationToken cancellation)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        app.MapGet("/tiny", () => TypedResults.Text(Answer));
        await app.StartAsync(cancellation);
        return app;
    }

    private static async Task<WebApplication> FullAsync(CancellationToken cancellation)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Development" });
        builder.Configuration.AddInMemoryCollection([new("Limits:TenantRequestsPerSecond", "1000000"), new("Limits:TenantBurst", "10000000")]);
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.AddServiceDefaults("bench");
        builder.Services.AddScopes(new Scope("tiny.read", "bench", "read a tiny answer", Access.Operator));
        var app = builder.Build();
        app.UseServiceDefaults();
        app.MapServiceDefaults();
        app.MapGet("/tiny", (Caller caller) => TypedResults.Text(caller.Tenant.Length > 0 ? Answer : "")).RequireScope("tiny.read");
        await app.StartAsync(cancellation);
        return app;
    }

    private static async Task<string> TokenAsync(WebApplication app, CancellationToken cancellation)
    {
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.First()) };
        using var answer = await client.PostAsJsonAsync("/dev/token", new { tenant = "bench", roles = (string[])[Access.Operator] }, cancellation);
        answer.EnsureSuccessStatusCode();
        var token = await answer.Content.ReadFromJsonAsync<JsonElement>(cancellation);
        return new AuthenticationHeaderValue("Bearer", token.GetProperty("access_token").GetString()).ToString();
    }

    private static byte[] Request(WebApplication app, string? token) => Encoding.ASCII.GetBytes(
        $"GET /tiny HTTP/1.1\r\nHost: {new Uri(app.Urls.First()).Authority}\r\n{(token is null ? "" : $"Authorization: {token}\r\n")}\r\n");

    private static async Task<(double PerSecond, double CpuMicroseconds)> LoadAsync(WebApplication app, byte[] request, CancellationToken cancellation)
    {
        var server = new Uri(app.Urls.First());
        using var process = Process.GetCurrentProcess();
        var (cpu, started) = (process.TotalProcessorTime, Stopwatch.GetTimestamp());
        var counts = await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => Task.Run(() => ClientAsync(server, request, started, cancellation), cancellation)));
        var elapsed = Stopwatch.GetElapsedTime(started).TotalSeconds;
        process.Refresh();
        return (counts.Sum() / elapsed, (process.TotalProcessorTime - cpu).TotalMicroseconds / counts.Sum());
    }

    private static async Task<long> ClientAsync(Uri server, byte[] request, long started, CancellationToken cancellation)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, server.Port, cancellation);
        var buffer = new byte[8192];
        long count = 0;
        for (; Stopwatch.GetElapsedTime(started) < Round; count++)
        {
            await socket.SendAsync(request, cancellation);
            var length = 0;
            do
            {
                var read = await socket.ReceiveAsync(buffer.AsMemory(length), cancellation);
                length = read > 0 ? length + read : throw new InvalidOperationException("The server hung up.");
            }
            while (!buffer.AsSpan(0, length).EndsWith("a tiny answer"u8) && length < buffer.Length && !IsRefused(buffer.AsSpan(0, length)));
            if (IsRefused(buffer.AsSpan(0, length)))
            {
                throw new InvalidOperationException(Encoding.UTF8.GetString(buffer, 0, length));
            }
        }

        return count;
    }

    private static bool IsRefused(ReadOnlySpan<byte> answer) => answer.Length > 12 && !answer.StartsWith("HTTP/1.1 200"u8);
}

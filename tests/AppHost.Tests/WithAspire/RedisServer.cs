using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>A Redis of the test's own that keeps nothing, on a free loopback port.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly Process _process;
    private Task _output = Task.CompletedTask;

    private RedisServer(Process process, int port) => (_process, ConnectionString) = (process, $"127.0.0.1:{port}");

    public string ConnectionString { get; }

    public static bool IsInstalled =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, "redis-server")));

    public static async Task<RedisServer> StartAsync(CancellationToken cancellationToken)
    {
        int port;
        using (var listener = new TcpListener(IPAddress.Loopback, 0))
        {
            listener.Start();
            port = ((IPEndPoint)listener.LocalEndpoint).Port;
        }

        var process = Process.Start(new ProcessStartInfo("redis-server", ["--bind", "127.0.0.1", "--port", $"{port}", "--save", "", "--appendonly", "no"])
        {
            WorkingDirectory = Path.GetTempPath(),
            UseShellExecute = false,
            RedirectStandardOutput = true,
        }) ?? throw new InvalidOperationException("redis-server did not start");
        var server = new RedisServer(process, port);
        while (await process.StandardOutput.ReadLineAsync(cancellationToken) is { } line)
        {
            if (!line.Contains("eady to accept connections", StringComparison.Ordinal))
                continue;
            server._output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
            return server;
        }

        await server.DisposeAsync();
        throw new InvalidOperationException($"redis-server ended at its start on port {port}");
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync(CancellationToken.None);
        await _output;
        _process.Dispose();
    }
}

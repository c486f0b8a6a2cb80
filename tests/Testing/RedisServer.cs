using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Wave16.Testing;

/// <summary>A Redis of a test's own, from the machine's <c>redis-server</c>: password, loopback, nothing kept on disk.</summary>
public sealed class RedisServer : IAsyncDisposable
{
    private readonly string _program;
    private readonly string _directory = Directory.CreateTempSubdirectory("wave16-redis-").FullName;
    private ChildProcess? _process;

    private RedisServer(string program, string password)
    {
        _program = program;
        Password = password;
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        Port = ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    public int Port { get; }

    public string Password { get; }

    /// <summary>As StackExchange.Redis takes it.</summary>
    public string ConnectionString => $"127.0.0.1:{Port},password={Password}";

    /// <summary>Where the program is; null where there is none.</summary>
    public static string? Program => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(folder => Path.Combine(folder, "redis-server")).FirstOrDefault(File.Exists);

    /// <summary>Whether a test that needs it is to be skipped; in CI it is not, and fails.</summary>
    public static bool IsMissing => Program is null && Environment.GetEnvironmentVariable("CI") is not "true";

    /// <exception cref="InvalidOperationException">The machine has no <c>redis-server</c>, or it does not start.</exception>
    public static async Task<RedisServer> StartAsync(string password, CancellationToken cancellation)
    {
        var server = new RedisServer(Program ?? throw new InvalidOperationException("There is no redis-server on the PATH."), password);
        try
        {
            await server.StartAgainAsync(cancellation);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts it on the same port, as empty as after a loss of its data.</summary>
    public async Task StartAgainAsync(CancellationToken cancellation)
    {
        string[] arguments = ["--port", $"{Port}", "--bind", "127.0.0.1", "--requirepass", Password, "--save", "", "--appendonly", "no"];
        _process = await ChildProcess.StartAsync(new ProcessStartInfo(_program, arguments) { WorkingDirectory = _directory });
        await _process.SaysAsync("Ready to accept connections", cancellation);
    }

    /// <summary>Kills it; what it held is gone.</summary>
    public async Task StopAsync()
    {
        if (Interlocked.Exchange(ref _process, null) is { } process)
        {
            await process.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Directory.Delete(_directory, recursive: true);
    }
}

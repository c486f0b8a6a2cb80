using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Threading.Channels;

namespace Wave16.Standalone.Tests;

/// <summary>The real program in a process of its own, which a test may kill.</summary>
internal sealed partial class StandaloneProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly List<string> _output = [];

    private StandaloneProcess(Process process, int port)
    {
        _process = process;
        Client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.ErrorDataReceived += (_, line) => Take(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public HttpClient Client { get; }

    public string Output
    {
        get
        {
            lock (_output)
            {
                return string.Join('\n', _output);
            }
        }
    }

    /// <param name="directory">Content root; its data are in <c>.wave16</c> there.</param>
    /// <param name="port">Where it listens.</param>
    /// <param name="settings">Further <c>--key=value</c> arguments.</param>
    public static StandaloneProcess Start(string directory, int port, params string[] settings)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "Wave16.Standalone.exe" : "Wave16.Standalone"))
        {
            WorkingDirectory = directory,
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var argument in (string[])["--urls", $"http://127.0.0.1:{port}", "--contentRoot", directory, "--Logging:LogLevel:Default=Warning", .. settings])
        {
            start.ArgumentList.Add(argument);
        }

        return new StandaloneProcess(Process.Start(start) ?? throw new InvalidOperationException("The process did not start."), port);
    }

    public static int FreePort()
    {
        using var probe = new TcpListener(System.Net.IPAddress.Loopback, 0);
        probe.Start();
        return ((System.Net.IPEndPoint)probe.LocalEndpoint).Port;
    }

    /// <summary>Waits until it has said that it is up.</summary>
    public async Task WhenUpAsync(CancellationToken cancellation)
    {
        await foreach (var line in _lines.Reader.ReadAllAsync(cancellation))
        {
            if (line.StartsWith("Wave 16 is up", StringComparison.Ordinal))
            {
                return;
            }
        }

        throw new InvalidOperationException($"It ended without coming up:\n{Output}");
    }

    public async Task SignInAsync(string tenant, CancellationToken cancellation)
    {
        using var answer = await Client.PostAsJsonAsync("/dev/token", new { tenant, roles = (string[])["operator", "auditor"] }, cancellation);
        answer.EnsureSuccessStatusCode();
        var token = await answer.Content.ReadFromJsonAsync<JsonElement>(cancellation);
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token.GetProperty("access_token").GetString());
    }

    public async Task KillAsync(CancellationToken cancellation)
    {
        _process.Kill();
        await _process.WaitForExitAsync(cancellation);
    }

    /// <summary>What Ctrl-C sends. Returns the exit code.</summary>
    public async Task<int> InterruptAsync(CancellationToken cancellation)
    {
        _ = kill(_process.Id, 2);
        return await ExitAsync(cancellation);
    }

    public async Task<int> ExitAsync(CancellationToken cancellation)
    {
        await _process.WaitForExitAsync(cancellation);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync(CancellationToken.None);
        }

        _process.Dispose();
        Client.Dispose();
    }

    private void Take(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (_output)
        {
            _output.Add(line);
        }

        _lines.Writer.TryWrite(line);
    }

    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);
}

using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Wave16.Testing;

namespace Wave16.Standalone.Tests;

/// <summary>The real program in a process of its own, which a test may kill.</summary>
internal sealed class StandaloneProcess : IAsyncDisposable
{
    private readonly ChildProcess _process;

    private StandaloneProcess(ChildProcess process, int port) => (_process, Client) = (process, new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") });

    public HttpClient Client { get; }

    public string Output => _process.Output;

    /// <param name="directory">Content root; its data are in <c>.wave16</c> there.</param>
    /// <param name="port">Where it listens.</param>
    /// <param name="settings">Further <c>--key=value</c> arguments.</param>
    public static async Task<StandaloneProcess> StartAsync(string directory, int port, params string[] settings)
    {
        var program = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "Wave16.Standalone.exe" : "Wave16.Standalone");
        string[] arguments = ["--urls", $"http://127.0.0.1:{port}", "--contentRoot", directory, "--Logging:LogLevel:Default=Warning", .. settings];
        return new StandaloneProcess(await ChildProcess.StartAsync(new ProcessStartInfo(program, arguments) { WorkingDirectory = directory }), port);
    }

    public static int FreePort()
    {
        using var probe = new TcpListener(System.Net.IPAddress.Loopback, 0);
        probe.Start();
        return ((System.Net.IPEndPoint)probe.LocalEndpoint).Port;
    }

    /// <summary>Waits until it has said that it is up.</summary>
    public Task WhenUpAsync(CancellationToken cancellation) => _process.SaysAsync("Wave 16 is up", cancellation);

    public async Task SignInAsync(string tenant, CancellationToken cancellation)
    {
        using var answer = await Client.PostAsJsonAsync("/dev/token", new { tenant, roles = (string[])["operator", "auditor"] }, cancellation);
        answer.EnsureSuccessStatusCode();
        var token = await answer.Content.ReadFromJsonAsync<JsonElement>(cancellation);
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token.GetProperty("access_token").GetString());
    }

    public Task KillAsync() => _process.KillAsync();

    /// <summary>What Ctrl-C sends. Returns the exit code.</summary>
    public Task<int> InterruptAsync(CancellationToken cancellation)
    {
        _process.Signal(ProcessSignal.Interrupt);
        return ExitAsync(cancellation);
    }

    public Task<int> ExitAsync(CancellationToken cancellation) => _process.ExitAsync(cancellation);

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        Client.Dispose();
    }
}

using System.Diagnostics;
using Wave16.Testing;

namespace Wave16.LocalPostgres.Tests;

/// <summary>Another process that owns a server (LocalPostgres.Host), in a process group of its own as a shell would give it.</summary>
internal sealed class HostProcess : IAsyncDisposable
{
    private readonly ChildProcess _process;

    private HostProcess(ChildProcess process, string connectionString) => (_process, ConnectionString) = (process, connectionString);

    public string ConnectionString { get; }

    public static async Task<HostProcess> StartAsync(string dataDirectory, string[] flags, CancellationToken cancellationToken)
    {
        var program = Path.Combine(AppContext.BaseDirectory, "Wave16.LocalPostgres.Host");
        var process = await ChildProcess.StartAsync(new ProcessStartInfo("setsid", [program, .. flags, dataDirectory]));
        return new(process, await process.SaysAsync("", cancellationToken));
    }

    /// <summary>kill -9.</summary>
    public Task KillAsync() => _process.KillAsync();

    /// <summary>What Ctrl-C in a terminal does: SIGINT to the whole foreground process group. Returns what the host says then.</summary>
    public Task<string> InterruptAsync(CancellationToken cancellationToken)
    {
        _process.SignalGroup(ProcessSignal.Interrupt);
        return _process.SaysAsync("", cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process.IsRunning)
        {
            _process.CloseInput();
            await _process.ExitAsync(TestContext.Current.CancellationToken);
        }

        await _process.DisposeAsync();
    }
}

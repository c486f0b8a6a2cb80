using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Wave16.LocalPostgres.Tests;

/// <summary>Another process that owns a server (LocalPostgres.Host), in a process group of its own as a shell would give it.</summary>
internal sealed partial class HostProcess : IAsyncDisposable
{
    private readonly Process _process;

    private HostProcess(Process process, string connectionString) => (_process, ConnectionString) = (process, connectionString);

    public string ConnectionString { get; }

    public static async Task<HostProcess> StartAsync(string dataDirectory, string[] flags, CancellationToken cancellationToken)
    {
        var program = Path.Combine(AppContext.BaseDirectory, "Wave16.LocalPostgres.Host");
        var process = Process.Start(new ProcessStartInfo("setsid", [program, .. flags, dataDirectory])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        });
        Assert.NotNull(process);
        var line = await process.StandardOutput.ReadLineAsync(cancellationToken);
        Assert.NotNull(line);
        return new(process, line);
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync(CancellationToken cancellationToken)
    {
        _process.Kill();
        await _process.WaitForExitAsync(cancellationToken);
    }

    /// <summary>What Ctrl-C in a terminal does: SIGINT to the whole foreground process group. Returns what the host says then.</summary>
    public async Task<string?> InterruptAsync(CancellationToken cancellationToken)
    {
        const int interrupt = 2;
        Assert.Equal(0, Kill(-_process.Id, interrupt));
        return await _process.StandardOutput.ReadLineAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
            await _process.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int processId, int signal);
}

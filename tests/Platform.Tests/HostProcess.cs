using System.Diagnostics;
using Wave16.Platform.TestHost;
using Wave16.Platform.Tests.Events;

namespace Wave16.Platform.Tests;

/// <summary>A test host in a process of its own, killed with SIGKILL at the end.</summary>
internal sealed class HostProcess : IAsyncDisposable
{
    private readonly Process _process;

    public HostProcess(IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet")
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        start.ArgumentList.Add(typeof(TestStore).Assembly.Location);
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        _process = Process.Start(start) ?? throw new InvalidOperationException("The host did not start.");
    }

    /// <summary>Returns when the line has been said once more than it was waited for before.</summary>
    public async Task SaidAsync(string line)
    {
        string? said;
        do
        {
            said = await _process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().Soon();
            Assert.NotNull(said);
        }
        while (said != line);
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
    }
}

using System.Diagnostics;
using Wave16.Platform.TestHost;
using Wave16.Platform.Tests.Events;

namespace Wave16.Platform.Tests;

/// <summary>A test host in a process of its own, killed with SIGKILL at the end.</summary>
internal sealed class HostProcess : IAsyncDisposable
{
    private readonly Process _process;

    /// <param name="arguments">See the host's <c>Program.cs</c>.</param>
    /// <param name="environment">Beside what it inherits.</param>
    public HostProcess(IEnumerable<string> arguments, params ReadOnlySpan<(string Name, string Value)> environment)
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

        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        _process = Process.Start(start) ?? throw new InvalidOperationException("The host did not start.");
    }

    /// <returns>The next line it says.</returns>
    public async Task<string?> NextAsync() => await _process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().Soon();

    /// <summary>Returns when the line has been said once more than it was waited for before.</summary>
    public async Task SaidAsync(string line)
    {
        string? said;
        do
        {
            said = await NextAsync();
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

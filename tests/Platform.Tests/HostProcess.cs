using System.Diagnostics;
using Wave16.Platform.TestHost;
using Wave16.Platform.Tests.Events;
using Wave16.Testing;

namespace Wave16.Platform.Tests;

/// <summary>A test host in a process of its own, killed with SIGKILL at the end.</summary>
internal sealed class HostProcess : IAsyncDisposable
{
    private readonly ChildProcess _process;

    private HostProcess(ChildProcess process) => _process = process;

    /// <param name="arguments">See the host's <c>Program.cs</c>.</param>
    /// <param name="environment">Beside what it inherits.</param>
    public static async Task<HostProcess> StartAsync(IEnumerable<string> arguments, params IEnumerable<(string Name, string Value)> environment)
    {
        var start = new ProcessStartInfo(
            Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet", [typeof(TestStore).Assembly.Location, .. arguments]);
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        return new(await ChildProcess.StartAsync(start));
    }

    /// <returns>The next line it says.</returns>
    public Task<string> NextAsync() => _process.SaysAsync("", TestContext.Current.CancellationToken).Soon();

    /// <summary>Returns when the line has been said once more than it was waited for before.</summary>
    public Task SaidAsync(string line) => _process.SaysAsync(line, TestContext.Current.CancellationToken).Soon();

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}

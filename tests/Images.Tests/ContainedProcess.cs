using System.Diagnostics;
using Wave16.Testing;

namespace Wave16.Images.Tests;

/// <summary>
/// A module's image as a container runs it, without a container: its files under a folder in which it can write nothing, its user, its
/// environment and no other; the machine's own runtime instead of the base image's.
/// </summary>
internal sealed class ContainedProcess : IAsyncDisposable
{
    private const string Listening = "Now listening on: ";
    private readonly string _root;
    private readonly ChildProcess _process;

    private ContainedProcess(string root, ChildProcess process) => (_root, _process) = (root, process);

    /// <summary>The only folder in which it can write: what <c>/tmp</c> is in the container.</summary>
    public string Temporary => Path.Combine(_root, "tmp");

    public string Program => Path.Combine(_root, "app");

    public string Output => _process.Output;

    public static async Task<ContainedProcess> StartAsync(ImageArchive image, IEnumerable<KeyValuePair<string, string>> settings)
    {
        var root = Directory.CreateTempSubdirectory("wave16-contained-").FullName;
        const UnixFileMode all = (UnixFileMode)0b111_111_111;
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(root, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
            File.SetUnixFileMode(Directory.CreateDirectory(Path.Combine(root, "tmp")).FullName, all | UnixFileMode.StickyBit);
        }

        image.ExtractTo(root);
        var user = image.Config.GetProperty("User").GetString() ?? "";
        var arguments = image.Entrypoint.Skip(1).Select(argument => Path.Combine(root, argument.TrimStart('/')));
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", arguments) { WorkingDirectory = Path.Combine(root, "app") };
        var path = start.Environment["PATH"];
        start.Environment.Clear();
        foreach (var (name, value) in image.Environment.Concat(settings))
        {
            start.Environment[name] = value;
        }

        start.Environment["PATH"] = path;
        start.Environment["TMPDIR"] = Path.Combine(root, "tmp");
        return new ContainedProcess(root, await ChildProcess.StartAsync(start, (user, user)));
    }

    /// <summary>Where it says that it listens.</summary>
    public async Task<Uri> AddressAsync(CancellationToken cancellation)
    {
        var line = await _process.SaysAsync(Listening, cancellation);
        return new Uri(line[(line.IndexOf(Listening, StringComparison.Ordinal) + Listening.Length)..]);
    }

    /// <summary>What a runtime does to stop a container.</summary>
    /// <returns>The exit code.</returns>
    public Task<int> TerminateAsync(CancellationToken cancellation)
    {
        _process.Signal(ProcessSignal.Terminate);
        return _process.ExitAsync(cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(Program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        Directory.Delete(_root, recursive: true);
    }
}

using System.Diagnostics;
using System.Threading.Channels;

namespace Wave16.Images.Tests;

/// <summary>
/// A module's image as a container runs it, without a container: its files under a folder in which it can write nothing, its user, its
/// environment and no other; the machine's own runtime instead of the base image's.
/// </summary>
internal sealed class ContainedProcess : IAsyncDisposable
{
    private const string Listening = "Now listening on: ";
    private readonly string _root;
    private readonly Process _process;
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly List<string> _output = [];

    private ContainedProcess(string root, Process process)
    {
        _root = root;
        _process = process;
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.ErrorDataReceived += (_, line) => Take(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>The only folder in which it can write: what <c>/tmp</c> is in the container.</summary>
    public string Temporary => Path.Combine(_root, "tmp");

    public string Program => Path.Combine(_root, "app");

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

    public static ContainedProcess Start(ImageArchive image, IEnumerable<KeyValuePair<string, string>> settings)
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
        string[] command =
        [
            .. Environment.IsPrivilegedProcess ? (string[])["setpriv", $"--reuid={user}", $"--regid={user}", "--clear-groups", "--no-new-privs"] : [],
            Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet",
            .. image.Entrypoint.Skip(1).Select(argument => Path.Combine(root, argument.TrimStart('/'))),
        ];
        var start = new ProcessStartInfo(command[0], command[1..]) { WorkingDirectory = Path.Combine(root, "app"), UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        var path = start.Environment["PATH"];
        start.Environment.Clear();
        foreach (var (name, value) in image.Environment.Concat(settings))
        {
            start.Environment[name] = value;
        }

        start.Environment["PATH"] = path;
        start.Environment["TMPDIR"] = Path.Combine(root, "tmp");
        return new ContainedProcess(root, Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start."));
    }

    /// <summary>Where it says that it listens.</summary>
    public async Task<Uri> AddressAsync(CancellationToken cancellation)
    {
        await foreach (var line in _lines.Reader.ReadAllAsync(cancellation))
        {
            if (line.IndexOf(Listening, StringComparison.Ordinal) is >= 0 and var at)
            {
                return new Uri(line[(at + Listening.Length)..]);
            }
        }

        throw new InvalidOperationException($"It ended without listening:\n{Output}");
    }

    /// <summary>What a runtime does to stop a container.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> TerminateAsync(CancellationToken cancellation)
    {
        using var kill = Process.Start("sh", ["-c", $"kill -TERM {_process.Id}"]);
        await kill.WaitForExitAsync(cancellation);
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
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(Program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        Directory.Delete(_root, recursive: true);
    }

    private void Take(string? line)
    {
        if (line is null)
        {
            _lines.Writer.TryComplete();
            return;
        }

        lock (_output)
        {
            _output.Add(line);
        }

        _lines.Writer.TryWrite(line);
    }
}

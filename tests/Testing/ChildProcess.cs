using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading.Channels;

namespace Wave16.Testing;

/// <summary>A program that a test starts: what it says is kept and can be waited for, and it ends with the one that started it, however that ends.</summary>
public sealed partial class ChildProcess : IAsyncDisposable
{
    private const int MaxLines = 2_000;
    private const string SetPriv = "/usr/bin/setpriv";
    private readonly Process _process;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<int> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Queue<string> _output = [];
    private readonly Channel<string> _lines = Channel.CreateBounded<string>(new BoundedChannelOptions(MaxLines) { FullMode = BoundedChannelFullMode.DropOldest });

    private ChildProcess(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.ErrorDataReceived += (_, line) => Take(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        AppDomain.CurrentDomain.ProcessExit += KillNow;
    }

    public bool IsRunning => !_process.HasExited;

    /// <summary>The last 2,000 lines of what it and its own children wrote, to either stream.</summary>
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

    /// <param name="start">Program, arguments, folder and environment; the rest is set here.</param>
    /// <param name="account">Whom it runs as, where we are root; null for ourselves.</param>
    public static async Task<ChildProcess> StartAsync(ProcessStartInfo start, (string User, string Group)? account = null)
    {
        string[] drop = account is var (user, group) && Environment.IsPrivilegedProcess ? [$"--reuid={user}", $"--regid={group}", "--clear-groups", "--no-new-privs"] : [];
        // BusyBox's, a link, can do none of this.
        if (drop.Length > 0 || (OperatingSystem.IsLinux() && new FileInfo(SetPriv) is { Exists: true, LinkTarget: null }))
        {
            string[] arguments = [.. drop, "--pdeathsig=KILL", start.FileName, .. start.ArgumentList];
            start.FileName = SetPriv;
            start.ArgumentList.Clear();
            foreach (var argument in arguments)
            {
                start.ArgumentList.Add(argument);
            }
        }

        start.UseShellExecute = false;
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        var started = new TaskCompletionSource<ChildProcess>(TaskCreationOptions.RunContinuationsAsynchronously);
        // The parent-death signal follows the thread that forked, not the process: this one lives as long as the child.
        new Thread(() => Run(start, started)) { IsBackground = true, Name = start.FileName }.Start();
        return await started.Task;
    }

    /// <summary>Runs it to its end.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(ProcessStartInfo start, CancellationToken cancellation)
    {
        await using var child = await StartAsync(start);
        return (await child.ExitAsync(cancellation), child.Output);
    }

    /// <summary>Waits for a line with the text, from behind the last one that was waited for, and returns it.</summary>
    /// <exception cref="InvalidOperationException">It ended without saying so.</exception>
    public async Task<string> SaysAsync(string text, CancellationToken cancellation)
    {
        await foreach (var line in _lines.Reader.ReadAllAsync(cancellation))
        {
            if (line.Contains(text, StringComparison.Ordinal))
            {
                return line;
            }
        }

        throw new InvalidOperationException($"It ended without saying “{text}”:\n{Output}");
    }

    /// <summary>Nothing when it has ended.</summary>
    public void Signal(ProcessSignal signal)
    {
        if (IsRunning)
        {
            _ = Signal(_process.Id, (int)signal);
        }
    }

    /// <summary>Also to what it has started, and when it has ended itself: for one in a session of its own (<c>setsid</c>).</summary>
    public void SignalGroup(ProcessSignal signal) => _ = Signal(-_process.Id, (int)signal);

    /// <summary>Lets its standard input end.</summary>
    public void CloseInput() => _process.StandardInput.Close();

    /// <summary>SIGKILL. Completes when it has ended; what it started may live on.</summary>
    public Task KillAsync()
    {
        _process.Kill();
        return _ended.Task;
    }

    /// <summary>Waits until all it wrote is in <see cref="Output"/>: until it has ended, and what it started and gave its output to. Returns the exit code.</summary>
    public Task<int> ExitAsync(CancellationToken cancellation) => _exit.Task.WaitAsync(cancellation);

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        await ExitAsync(CancellationToken.None);
        AppDomain.CurrentDomain.ProcessExit -= KillNow;
        _process.Dispose();
    }

    private static void Run(ProcessStartInfo start, TaskCompletionSource<ChildProcess> started)
    {
        try
        {
            var child = new ChildProcess(Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} did not start."));
            started.SetResult(child);
            // With a limit it does not wait for the output, too.
            child._process.WaitForExit(int.MaxValue);
            child._ended.SetResult();
            child._process.WaitForExit();
            child._lines.Writer.Complete();
            child._exit.SetResult(child._process.ExitCode);
        }
        catch (Exception failure) when (started.TrySetException(failure))
        {
            // Whoever started it gets it.
        }
    }

    private void Take(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (_output)
        {
            _output.Enqueue(line);
            while (_output.Count > MaxLines)
            {
                _output.Dequeue();
            }
        }

        _lines.Writer.TryWrite(line);
    }

    private void KillNow(object? sender, EventArgs e) => _process.Kill();

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Signal(int process, int signal);
}

/// <summary>As Linux numbers them.</summary>
public enum ProcessSignal
{
    /// <summary>What Ctrl-C sends.</summary>
    Interrupt = 2,

    Kill = 9,

    /// <summary>What an orchestrator sends first.</summary>
    Terminate = 15,

    Continue = 18,

    /// <summary>It is there and does nothing, until <see cref="Continue"/>.</summary>
    Stop = 19,
}

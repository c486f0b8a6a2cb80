using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Wave16.LocalPostgres;

/// <summary>One run of the server, from its start to its end.</summary>
internal sealed partial class Postmaster
{
    private static readonly TimeSpan s_lastBreath = TimeSpan.FromSeconds(10);

    private readonly TaskCompletionSource _launched = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private StreamWriter? _hold;

    private Postmaster()
    {
    }

    /// <summary>Completes when the server says that it accepts connections.</summary>
    public Task Ready => _ready.Task;

    /// <summary>Completes when the server and all its backends are gone.</summary>
    public Task Exited => _exited.Task;

    public static async Task<Postmaster> LaunchAsync(ProcessStartInfo start, PostgresLog log)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardError = true;
        var postmaster = new Postmaster();
        // The parent-death signal follows the thread that forked, not the process: this one lives as long as the server.
        new Thread(() => postmaster.Run(start, log)) { IsBackground = true, Name = "postgres" }.Start();
        await postmaster._launched.Task;
        return postmaster;
    }

    /// <summary>The process that was started: the postmaster, or the shell that watches for it.</summary>
    public int ProcessId { get; private set; }

    /// <summary>Lets go of the pipe by which a watching shell knows that we live.</summary>
    public void LetGo() => _hold?.Close();

    /// <exception cref="PostgresUnavailableException">The process is not ours to signal.</exception>
    [UnsupportedOSPlatform("windows")]
    public static void Signal(int processId, PostmasterSignal signal)
    {
        const int noSuchProcess = 3;
        if (SendSignal(processId, (int)signal) != 0 && Marshal.GetLastPInvokeError() is not noSuchProcess)
            throw new PostgresUnavailableException($"PostgreSQL, process {processId}, cannot be stopped: {Marshal.GetLastPInvokeErrorMessage()}. Stop it and start again.");
    }

    /// <summary>Ends a server at once, and its backends with it; nothing when it has gone.</summary>
    /// <exception cref="PostgresUnavailableException">The process is not ours to kill.</exception>
    public static void Kill(int processId)
    {
        if (!OperatingSystem.IsWindows())
        {
            // The backends see that their postmaster has gone.
            Signal(processId, PostmasterSignal.Kill);
            return;
        }
        try
        {
            using var process = Process.GetProcessById(processId);
            process.Kill(entireProcessTree: true);
            // Until then its files cannot be removed.
            process.WaitForExit(s_lastBreath);
        }
        catch (Exception gone) when (gone is ArgumentException or InvalidOperationException)
        {
            // It ended by itself.
        }
        catch (Exception failure) when (failure is Win32Exception or AggregateException)
        {
            throw new PostgresUnavailableException($"PostgreSQL, process {processId}, cannot be stopped: {failure.Message} Stop it and start again.", failure);
        }
    }

    private void Run(ProcessStartInfo start, PostgresLog log)
    {
        try
        {
            using var process = Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} did not start.");
            using var end = EndWithUs(process);
            ProcessId = process.Id;
            _hold = process.StandardInput;
            _launched.SetResult();
            while (process.StandardError.ReadLine() is { } line)
            {
                log.Add(line);
                if (line.Contains("database system is ready to accept connections", StringComparison.Ordinal))
                    _ready.TrySetResult();
            }
            process.WaitForExit();
        }
        catch (Exception failure) when (_launched.TrySetException(failure))
        {
            // Whoever launched gets it.
        }
        finally
        {
            _exited.SetResult();
        }
    }

    /// <summary>Windows tells no child that its parent has gone.</summary>
    private static ExitHook? EndWithUs(Process process) => OperatingSystem.IsWindows() ? new(process) : null;

    private sealed class ExitHook : IDisposable
    {
        private readonly EventHandler _handler;

        public ExitHook(Process process)
        {
            _handler = (_, _) => process.Kill(entireProcessTree: true);
            AppDomain.CurrentDomain.ProcessExit += _handler;
        }

        public void Dispose() => AppDomain.CurrentDomain.ProcessExit -= _handler;
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    [UnsupportedOSPlatform("windows")]
    private static partial int SendSignal(int processId, int signal);
}

/// <summary>What each signal asks of a postmaster (PostgreSQL manual, "Shutting Down the Server").</summary>
internal enum PostmasterSignal
{
    /// <summary>Fast shutdown: sessions are ended, a checkpoint is written.</summary>
    Interrupt = 2,

    /// <summary>Immediate shutdown: no checkpoint; the next start recovers.</summary>
    Quit = 3,

    Kill = 9,
}

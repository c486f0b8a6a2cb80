using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Wave16.Distributed.Tests;

/// <summary>One process of a module, with the environment the manifest gives it.</summary>
internal sealed partial class Replica : IAsyncDisposable
{
    private const int MaxLines = 2_000;
    private readonly ProcessStartInfo _start;
    private readonly string _previous;
    private readonly string _program;
    private readonly HttpClient _probe;
    private readonly Queue<string> _output = [];
    private readonly TaskCompletionSource _startedAgain = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Process? _told;
    private Process? _process;

    /// <param name="name">For messages: the module and which of its replicas.</param>
    /// <param name="previous">The assembly it begins with; null for <paramref name="program"/>.</param>
    /// <param name="program">The assembly as built with the tests.</param>
    /// <param name="environment">All of it, but for what finds the runtime.</param>
    /// <param name="address">Where it will listen.</param>
    public Replica(string name, string? previous, string program, IReadOnlyDictionary<string, string> environment, Uri address)
    {
        Name = name;
        Address = address;
        _probe = new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromSeconds(5) };
        _start = new ProcessStartInfo("dotnet")
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetDirectoryName(program) ?? "",
        };
        (_previous, _program) = (previous ?? program, program);
        _start.ArgumentList.Add(previous ?? program);
        foreach (var inherited in _start.Environment.Keys.Except(["PATH", "HOME", "DOTNET_ROOT", "TMPDIR", "LANG"]).ToList())
        {
            _start.Environment.Remove(inherited);
        }

        foreach (var (key, value) in environment)
        {
            _start.Environment[key] = value;
        }
    }

    public string Name { get; }

    public Uri Address { get; }

    public bool IsRunning => _process is { HasExited: false };

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

    /// <summary>Completes when it was started again after it had ended by itself.</summary>
    public Task StartedAgain => _startedAgain.Task;

    /// <summary>Starts it whenever it ends, but after <see cref="TerminateAsync"/> and <see cref="KillAsync"/>.</summary>
    public void StartAgainWhenItEnds()
    {
        if (_process is { } process)
        {
            process.EnableRaisingEvents = true;
            process.Exited += (_, _) =>
            {
                if (!ReferenceEquals(_told, process))
                {
                    Start();
                    StartAgainWhenItEnds();
                    _startedAgain.TrySetResult();
                }
            };
        }
    }

    /// <summary>The next start is of what was built with the tests.</summary>
    public void Upgrade() => _start.ArgumentList[0] = _program;

    /// <summary>The next start is of what it began with.</summary>
    public void RollBack() => _start.ArgumentList[0] = _previous;

    public void Start()
    {
        var process = Process.Start(_start) ?? throw new InvalidOperationException($"{Name} did not start.");
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.ErrorDataReceived += (_, line) => Take(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _process = process;
        AppDomain.CurrentDomain.ProcessExit += KillNow;
    }

    /// <summary>Waits until <c>/health</c> answers 200, as the orchestrator's readiness probe does.</summary>
    public async Task WhenReadyAsync(CancellationToken cancellation)
    {
        await Patience.WhileAsync(
            async () => !await IsReadyAsync(cancellation) && (IsRunning ? true : throw new InvalidOperationException($"{Name} ended with {_process?.ExitCode}:\n{Output}")),
            () => Task.FromResult($"{Name} is not ready:\n{Output}"),
            cancellation);
    }

    public async Task<bool> IsReadyAsync(CancellationToken cancellation)
    {
        try
        {
            using var answer = await _probe.GetAsync(new Uri("/health", UriKind.Relative), cancellation);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception away) when (away is HttpRequestException || (away is TaskCanceledException && !cancellation.IsCancellationRequested))
        {
            return false;
        }
    }

    /// <returns>What <c>/health</c> says, whatever its status.</returns>
    public async Task<JsonElement> HealthAsync(CancellationToken cancellation)
    {
        using var answer = await _probe.GetAsync(new Uri("/health", UriKind.Relative), cancellation);
        return JsonElement.Parse(await answer.Content.ReadAsStringAsync(cancellation));
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        _told = _process;
        _process?.Kill();
        await ExitAsync(CancellationToken.None);
    }

    /// <summary>SIGTERM, as at a rolling restart. Returns the exit code.</summary>
    public async Task<int> TerminateAsync(CancellationToken cancellation)
    {
        _told = _process;
        if (_process is { } process)
        {
            _ = kill(process.Id, 15);
        }

        return await ExitAsync(cancellation);
    }

    /// <summary>SIGSTOP: it is there and does not answer.</summary>
    public void Pause() => _ = _process is { } process ? kill(process.Id, 19) : 0;

    /// <summary>SIGCONT.</summary>
    public void Resume() => _ = _process is { HasExited: false } process ? kill(process.Id, 18) : 0;

    public async Task<int> ExitAsync(CancellationToken cancellation)
    {
        if (_process is not { } process)
        {
            return 0;
        }

        await process.WaitForExitAsync(cancellation);
        AppDomain.CurrentDomain.ProcessExit -= KillNow;
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (IsRunning)
        {
            await KillAsync();
        }

        AppDomain.CurrentDomain.ProcessExit -= KillNow;
        _process?.Dispose();
        _probe.Dispose();
    }

    private void KillNow(object? sender, EventArgs e)
    {
        if (IsRunning)
        {
            _process?.Kill();
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
    }

    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);
}

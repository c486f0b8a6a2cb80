using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Wave16.Testing;

namespace Wave16.Distributed.Tests;

/// <summary>One process of a module, with the environment the manifest gives it.</summary>
internal sealed class Replica : IAsyncDisposable
{
    private static readonly string[] Inherited = ["PATH", "HOME", "DOTNET_ROOT", "TMPDIR", "LANG"];
    private readonly string _previous;
    private readonly string _program;
    private readonly IReadOnlyDictionary<string, string> _environment;
    private readonly HttpClient _probe;
    private readonly TaskCompletionSource _startedAgain = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentQueue<ChildProcess> _lives = new();
    private string _next;
    private bool _isStartedAgain;
    private ChildProcess? _told;
    private ChildProcess? _process;

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
        _next = _previous = previous ?? program;
        (_program, _environment) = (program, environment);
    }

    public string Name { get; }

    public Uri Address { get; }

    /// <summary>Of all its lives.</summary>
    public string Output => string.Join('\n', _lives.Select(life => life.Output));

    /// <summary>Completes when it was started again after it had ended by itself.</summary>
    public Task StartedAgain => _startedAgain.Task;

    /// <summary>Starts it whenever it ends, but after <see cref="TerminateAsync"/> and <see cref="KillAsync"/>.</summary>
    public void StartAgainWhenItEnds()
    {
        _isStartedAgain = true;
        _ = WatchAsync();
    }

    /// <summary>The next start is of what was built with the tests.</summary>
    public void Upgrade() => _next = _program;

    /// <summary>The next start is of what it began with.</summary>
    public void RollBack() => _next = _previous;

    public async Task StartAsync()
    {
        var start = new ProcessStartInfo("dotnet", [_next]) { WorkingDirectory = Path.GetDirectoryName(_program) };
        foreach (var name in start.Environment.Keys.Except(Inherited).ToList())
        {
            start.Environment.Remove(name);
        }

        foreach (var (name, value) in _environment)
        {
            start.Environment[name] = value;
        }

        _lives.Enqueue(_process = await ChildProcess.StartAsync(start));
    }

    /// <summary>Waits until <c>/health</c> answers 200, as the orchestrator's readiness probe does.</summary>
    public async Task WhenReadyAsync(CancellationToken cancellation)
    {
        await Patience.WhileAsync(
            async () => !await IsReadyAsync(cancellation) && (!HasEnded ? true : throw new InvalidOperationException($"{Name} ended with {await ExitAsync(cancellation)}:\n{Output}")),
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
        if (_process is { } process)
        {
            await process.KillAsync();
        }
    }

    /// <summary>SIGTERM, as at a rolling restart. Returns the exit code.</summary>
    public Task<int> TerminateAsync(CancellationToken cancellation)
    {
        _told = _process;
        _process?.Signal(ProcessSignal.Terminate);
        return ExitAsync(cancellation);
    }

    /// <summary>It is there and does not answer.</summary>
    public void Pause() => _process?.Signal(ProcessSignal.Stop);

    public void Resume() => _process?.Signal(ProcessSignal.Continue);

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        foreach (var life in _lives)
        {
            await life.DisposeAsync();
        }

        _probe.Dispose();
    }

    /// <summary>And nobody will start it again.</summary>
    private bool HasEnded => _process is { IsRunning: false } process && (!_isStartedAgain || ReferenceEquals(_told, process));

    private Task<int> ExitAsync(CancellationToken cancellation) => _process?.ExitAsync(cancellation) ?? Task.FromResult(0);

    private async Task WatchAsync()
    {
        while (_process is { } process)
        {
            await process.ExitAsync(CancellationToken.None);
            if (ReferenceEquals(_told, process))
            {
                return;
            }

            await StartAsync();
            _startedAgain.TrySetResult();
        }
    }
}

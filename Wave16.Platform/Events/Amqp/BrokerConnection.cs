using Microsoft.Extensions.Logging;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// Keeps a connection to the broker, for ever: connects when first needed, and again whenever it ends, with backoff and jitter.
/// Publishing and receiving have one each, because brokers hold back a connection that publishes too much.
/// </summary>
internal sealed class BrokerConnection : IAsyncDisposable
{
    private readonly string _purpose;
    private readonly Func<CancellationToken, Task<OpenBroker>> _connect;
    private readonly TransportSettings _settings;
    private readonly TimeProvider _time;
    private readonly DependencyHealth _health;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lazy<Task> _running;
    private volatile TaskCompletionSource<OpenBroker?> _attempt = New();
    private volatile TaskCompletionSource<OpenBroker> _open = NewOpen();

    /// <param name="purpose">For logs and the health report: <c>publishing</c>.</param>
    /// <param name="connect">Opens one.</param>
    public BrokerConnection(
        string purpose, Func<CancellationToken, Task<OpenBroker>> connect, TransportSettings settings, TimeProvider time, DependencyHealth health, ILogger log)
    {
        (_purpose, _connect, _settings, _time, _health, _log) = (purpose, connect, settings, time, health, log);
        _running = new Lazy<Task>(() => Task.Run(RunAsync, CancellationToken.None));
    }

    /// <summary>Why there is no connection.</summary>
    public string Away { get; private set; } = "not connected yet";

    /// <summary>The connection, or null while there is none; waits for an attempt that is under way.</summary>
    public async ValueTask<OpenBroker?> NowAsync(CancellationToken cancellation)
    {
        _ = _running.Value;
        var attempt = _attempt.Task;
        return attempt.IsCompletedSuccessfully ? attempt.Result : await attempt.WaitAsync(cancellation);
    }

    /// <summary>Waits until there is a connection.</summary>
    public async Task<OpenBroker> OpenAsync(CancellationToken cancellation)
    {
        _ = _running.Value;
        return await _open.Task.WaitAsync(cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        if (_running.IsValueCreated)
        {
            await _running.Value;
            _health.Forget(BrokerAddress.Name, _purpose);
        }

        _attempt.TrySetResult(null);
        _stopping.Dispose();
    }

    private static TaskCompletionSource<OpenBroker?> New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static TaskCompletionSource<OpenBroker> NewOpen() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task RunAsync()
    {
        var stopping = _stopping.Token;
        for (var failures = 0; !stopping.IsCancellationRequested;)
        {
            var since = _time.GetTimestamp();
            try
            {
                await using var broker = await _connect(stopping);
                Opened(broker, failures > 0);
                var reason = await broker.Ended.WaitAsync(stopping);
                Lost(reason, first: true);
                // One that breaks as soon as it is made is no better than none.
                failures = _time.GetElapsedTime(since) > _settings.LongestReconnect ? 1 : failures + 1;
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                Reset();
                return;
            }
            catch (BrokerException away)
            {
                Lost(away.Message, first: failures == 0, away);
                failures++;
            }
            catch (Exception bug)
            {
                // The loop must outlive what nobody thought of.
                _log.LogError(bug, "The broker connection for {Purpose} failed and starts again", _purpose);
                Lost(bug.GetType().Name, first: false);
                failures++;
            }

            await Task.Delay(_settings.Reconnect(failures), _time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            // Whoever asks from now on waits for the next attempt.
            _attempt = New();
        }

        Reset();
    }

    private void Opened(OpenBroker broker, bool again)
    {
        _health.Report(BrokerAddress.Name, DependencyState.Healthy, reporter: _purpose);
        _log.Log(again ? LogLevel.Warning : LogLevel.Information, "{Product}: connected for {Purpose}", broker.Dialect.Product, _purpose);
        _attempt.TrySetResult(broker);
        _open.TrySetResult(broker);
    }

    private void Lost(string reason, bool first, Exception? cause = null)
    {
        Away = reason;
        var attempt = New();
        attempt.SetResult(null);
        var asked = Interlocked.Exchange(ref _attempt, attempt);
        asked.TrySetResult(null);
        if (_open.Task.IsCompleted)
        {
            _open = NewOpen();
        }

        // Anyone can read the report: what the broker said may name hosts, so it is only in the log.
        _health.Report(BrokerAddress.Name, DependencyState.Degraded, $"no connection for {_purpose}; events wait in the outbox or at the broker", _purpose);
        if (first)
        {
            _log.LogWarning(cause, "The broker is away for {Purpose} ({Reason}); it is tried again until it is back", _purpose, reason);
        }
    }

    private void Reset()
    {
        Away = "stopping";
        _attempt.TrySetResult(null);
        var attempt = New();
        attempt.SetResult(null);
        _attempt = attempt;
        _open.TrySetCanceled(_stopping.Token);
    }
}

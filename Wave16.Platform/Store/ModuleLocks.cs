using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Modules;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Store;

/// <summary>
/// Session-level advisory locks on a module's database: which process runs a lane, the sealer, the sweeper. All locks of
/// this process share one connection outside the pool. When it is lost, so is every lease, at once. Over the same connection a
/// process tells the holder of a lock that there is something to do.
/// </summary>
/// <remarks>
/// Registered once per module, keyed by its name. The server ends a session that has been silent for 30 s, so a process
/// that is paused loses its locks too; it learns of it as soon as it runs again. What a lease guards must therefore bear
/// a moment with two owners. A connection pooler in transaction mode cannot carry these locks.
/// </remarks>
public sealed class ModuleLocks : IAsyncDisposable
{
    private static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ReopenAfter = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan BeatEvery = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan TellEvery = TimeSpan.FromMilliseconds(20);

    private readonly ModuleDatabase _database;
    private readonly LoopHealth _health;
    private readonly Lock _gate = new();
    private readonly List<Waiter> _waiting = [];
    private readonly Dictionary<string, ModuleLease> _held = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TaskCompletionSource> _releasing = new(StringComparer.Ordinal);
    private readonly HashSet<string> _telling = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stopping = new();
    private CancellationTokenSource _changed = new();
    private long _told;
    private Task? _session;
    private bool _disposed;

    internal ModuleLocks(ModuleDatabase database, DependencyHealth health, ILogger<ModuleLocks> log)
    {
        _database = database;
        _health = new LoopHealth($"{database.Module}-locks", health, log);
    }

    /// <summary>Waits until this process holds the lock, however long that takes and whatever the connection does meanwhile.</summary>
    /// <remarks>A name is unique within the module (<c>outbox/integration-hub</c>), and excludes a second holder in this process too.</remarks>
    public async Task<ModuleLease> AcquireAsync(string name, CancellationToken cancellation)
    {
        await _database.WhenReadyAsync(cancellation);
        var waiter = new Waiter(name);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _waiting.Add(waiter);
            _session ??= Task.Run(() => RunAsync(_stopping.Token), CancellationToken.None);
        }

        Wake();
        await using var registration = cancellation.Register(() =>
        {
            lock (_gate)
            {
                _waiting.Remove(waiter);
            }

            waiter.Granted.TrySetCanceled(cancellation);
        });
        return await waiter.Granted.Task;
    }

    /// <summary>
    /// Tells the process that holds the lock, within 20 ms: <see cref="ModuleLease.Told"/> is raised there. While either's connection
    /// is away it comes late or not at all, so a holder must look by itself from time to time. Does not wait.
    /// </summary>
    public void Tell(string name)
    {
        TimeSpan wait;
        lock (_gate)
        {
            if (_disposed || _session is null || _held.ContainsKey(name) || !_telling.Add(name) || _telling.Count > 1)
            {
                return;
            }

            // A notification is a commit of its own, and those of a server wait for each other: many are told together.
            wait = TellEvery - Stopwatch.GetElapsedTime(_told);
        }

        _ = WakeAsync(wait);
    }

    internal async ValueTask ReleaseAsync(ModuleLease lease)
    {
        TaskCompletionSource released;
        lock (_gate)
        {
            if (!_held.TryGetValue(lease.Name, out var held) || held != lease)
            {
                return;
            }

            _held.Remove(lease.Name);
            released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _releasing.Add(lease.Name, released);
        }

        Wake();
        await released.Task;
    }

    public async ValueTask DisposeAsync()
    {
        Waiter[] waiting;
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            waiting = [.. _waiting];
            _waiting.Clear();
        }

        await _stopping.CancelAsync();
        if (_session is { } session)
        {
            await session;
        }

        foreach (var waiter in waiting)
        {
            waiter.Granted.TrySetException(new ObjectDisposedException(nameof(ModuleLocks)));
        }

        _stopping.Dispose();
        _changed.Dispose();
    }

    private async Task RunAsync(CancellationToken stopping)
    {
        var wait = ReopenAfter;
        while (!stopping.IsCancellationRequested)
        {
            var opened = Stopwatch.GetTimestamp();
            try
            {
                await using var connection = await _database.OpenLockConnectionAsync(stopping);
                connection.Notification += (_, told) => Told(told.Payload);
                // A notification that a crash of the server loses would find nobody who listens.
                await using (var prepare = new NpgsqlCommand("set idle_session_timeout = '30s'; set synchronous_commit = off; listen wave16", connection))
                {
                    await prepare.ExecuteNonQueryAsync(stopping);
                }

                _health.Works();
                try
                {
                    await HoldAsync(connection, stopping);
                }
                finally
                {
                    LoseAll();
                }
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
            catch (Exception lost)
            {
                _health.Failed(lost);
            }

            wait = Stopwatch.GetElapsedTime(opened) > RetryEvery ? ReopenAfter : wait * 2 < RetryEvery ? wait * 2 : RetryEvery;
            await Task.Delay(Jittered(wait), stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task HoldAsync(NpgsqlConnection connection, CancellationToken stopping)
    {
        await using var unlock = new NpgsqlCommand("select pg_advisory_unlock(hashtextextended(name, 16)) from unnest($1::text[]) as name", connection);
        await using var tryLock = new NpgsqlCommand("select name, pg_try_advisory_lock(hashtextextended(name, 16)) from unnest($1::text[]) as name", connection);
        await using var tell = new NpgsqlCommand("select pg_notify('wave16', name) from unnest($1::text[]) as name", connection);
        unlock.CommandTimeout = tryLock.CommandTimeout = tell.CommandTimeout = 5;
        var told = new NpgsqlParameter<string[]>();
        tell.Parameters.Add(told);
        var unlocked = new NpgsqlParameter<string[]>();
        var wanted = new NpgsqlParameter<string[]>();
        unlock.Parameters.Add(unlocked);
        tryLock.Parameters.Add(wanted);

        while (true)
        {
            (unlocked.TypedValue, wanted.TypedValue, told.TypedValue, var changed) = Take();
            if (told.TypedValue.Length > 0)
            {
                await tell.ExecuteNonQueryAsync(stopping);
            }

            if (unlocked.TypedValue.Length > 0)
            {
                await unlock.ExecuteNonQueryAsync(stopping);
                Released(unlocked.TypedValue);
            }

            // With nothing wanted this is the heartbeat.
            var granted = new List<string>();
            await using (var reader = await tryLock.ExecuteReaderAsync(stopping))
            {
                while (await reader.ReadAsync(stopping))
                {
                    if (reader.GetBoolean(1))
                    {
                        granted.Add(reader.GetString(0));
                    }
                }
            }

            Grant(granted);
            using var pause = CancellationTokenSource.CreateLinkedTokenSource(changed, stopping);
            try
            {
                // Waiting on the socket, not on a timer: a session that the server ends is noticed when it ends.
                await connection.WaitAsync(granted.Count < wanted.TypedValue.Length ? Jittered(RetryEvery) : BeatEvery, pause.Token);
            }
            catch (OperationCanceledException) when (!stopping.IsCancellationRequested)
            {
                continue;
            }
        }
    }

    private (string[] Release, string[] Wanted, string[] Tell, CancellationToken Changed) Take()
    {
        lock (_gate)
        {
            if (_changed.IsCancellationRequested)
            {
                _changed.Dispose();
                _changed = new CancellationTokenSource();
            }

            var wanted = _waiting.Select(waiter => waiter.Name).Where(name => !_held.ContainsKey(name)).Distinct(StringComparer.Ordinal);
            string[] tell = [.. _telling];
            _telling.Clear();
            _told = tell.Length > 0 ? Stopwatch.GetTimestamp() : _told;
            return ([.. _releasing.Keys], [.. wanted], tell, _changed.Token);
        }
    }

    private void Told(string name)
    {
        ModuleLease? lease;
        lock (_gate)
        {
            _held.TryGetValue(name, out lease);
        }

        lease?.Tell();
    }

    private async Task WakeAsync(TimeSpan wait)
    {
        if (wait > TimeSpan.Zero)
        {
            await Task.Delay(wait, CancellationToken.None);
        }

        Wake();
    }

    private void Released(string[] names)
    {
        lock (_gate)
        {
            foreach (var name in names)
            {
                _releasing.Remove(name, out var released);
                released?.SetResult();
            }
        }
    }

    private void Grant(List<string> names)
    {
        var unwanted = false;
        lock (_gate)
        {
            foreach (var name in names)
            {
                var lease = new ModuleLease(this, name);
                while (true)
                {
                    var waiter = _waiting.Find(waiter => waiter.Name == name);
                    if (waiter is null)
                    {
                        // Whoever asked has given up in the meantime.
                        _releasing.Add(name, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
                        unwanted = true;
                        break;
                    }

                    _waiting.Remove(waiter);
                    if (waiter.Granted.TrySetResult(lease))
                    {
                        _held.Add(name, lease);
                        break;
                    }
                }
            }
        }

        if (unwanted)
        {
            Wake();
        }
    }

    private void LoseAll()
    {
        ModuleLease[] lost;
        TaskCompletionSource[] released;
        lock (_gate)
        {
            lost = [.. _held.Values];
            released = [.. _releasing.Values];
            _held.Clear();
            _releasing.Clear();
        }

        foreach (var lease in lost)
        {
            lease.Lose();
        }

        foreach (var release in released)
        {
            release.SetResult();
        }
    }

    private void Wake()
    {
        lock (_gate)
        {
            // Only the wait on the socket listens, and what it does on cancellation never comes back in here.
            if (!_disposed)
            {
                _changed.Cancel();
            }
        }
    }

    private static TimeSpan Jittered(TimeSpan time) => time * (0.75 + (Random.Shared.NextDouble() / 2));

    private sealed record Waiter(string Name)
    {
        public TaskCompletionSource<ModuleLease> Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>A lock this process holds until it is disposed of, or <see cref="Lost"/>.</summary>
public sealed class ModuleLease : IAsyncDisposable
{
    private readonly ModuleLocks _locks;
    private readonly CancellationTokenSource _lost = new();

    internal ModuleLease(ModuleLocks locks, string name)
    {
        _locks = locks;
        Name = name;
        Lost = _lost.Token;
    }

    public string Name { get; }

    /// <summary>Called when another process has called <see cref="ModuleLocks.Tell"/>. It must not wait.</summary>
    public Action? Told { get; set; }

    /// <summary>Cancelled when another process may hold the lock: stop what it guards at once, then acquire it again.</summary>
    public CancellationToken Lost { get; }

    /// <summary>Returns when the server has released the lock.</summary>
    public ValueTask DisposeAsync() => _locks.ReleaseAsync(this);

    internal void Tell() => Told?.Invoke();

    // Listeners run on the thread pool: what they do must not keep the session from being opened again.
    internal void Lose() => _ = _lost.CancelAsync();
}

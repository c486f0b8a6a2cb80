using System.Diagnostics;
using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Work;

/// <summary>A module's long work: enqueued here, run by the first replica that is free. Registered keyed by the module's name.</summary>
public sealed class Jobs
{
    private static readonly TimeSpan FirstLook = TimeSpan.FromMilliseconds(25);
    private static readonly TimeSpan LongestLook = TimeSpan.FromSeconds(1);
    private readonly ModuleDatabase _database;
    private readonly JobStore _store;
    private readonly JobBoard _board;
    private readonly JobKinds _kinds;
    private readonly TimeProvider _clock;

    internal Jobs(ModuleDatabase database, JobStore store, JobBoard board, JobKinds kinds, TimeProvider clock)
    {
        _database = database;
        _store = store;
        _board = board;
        _kinds = kinds;
        _clock = clock;
    }

    /// <returns>False when the tenant has a job of that id already; nothing was changed then.</returns>
    public async Task<bool> EnqueueAsync(NewJob job, CancellationToken cancellation)
    {
        await using var connection = await _database.OpenAsync(cancellation);
        var added = await EnqueueAsync(connection, job, cancellation);
        Wake();
        return added;
    }

    /// <summary>
    /// Enqueues inside the caller's transaction: the job exists if that commits. Call <see cref="Wake"/> after the commit;
    /// otherwise it waits for the next poll, at most a second.
    /// </summary>
    /// <returns>False when the tenant has a job of that id already; nothing was changed then.</returns>
    public async Task<bool> EnqueueAsync(NpgsqlConnection connection, NewJob job, CancellationToken cancellation)
    {
        if (!_kinds.Contains(job.Kind))
        {
            throw new ArgumentException($"No handler for jobs of kind {job.Kind} is registered in {_database.Module}.", nameof(job));
        }

        return await JobStore.AddAsync(connection, job, _clock.GetUtcNow(), TraceParent, cancellation);
    }

    /// <summary>This process looks for work at once.</summary>
    public void Wake() => _board.Changed.Ring();

    /// <returns>Null when the tenant has no job of that id.</returns>
    public Task<Job?> FindAsync(string tenant, Guid id, CancellationToken cancellation) => _store.FindAsync(tenant, id, cancellation);

    /// <summary>
    /// Ends a queued job at once; a running one is told within a second, and counts as cancelled when its handler has ended.
    /// One that has ended stays as it is.
    /// </summary>
    /// <returns>The job after the request; null when the tenant has no job of that id.</returns>
    public async Task<Job?> CancelAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await _store.AskToCancelAsync(tenant, id, _clock.GetUtcNow(), cancellation);
        Wake();
        return await FindAsync(tenant, id, cancellation);
    }

    /// <summary>Waits until the job has ended, or for the given time. Costs nothing while the job runs in this process.</summary>
    /// <returns>The job as it stands then; null when the tenant has no job of that id.</returns>
    public async Task<Job?> WaitAsync(string tenant, Guid id, TimeSpan timeout, CancellationToken cancellation)
    {
        var began = _clock.GetTimestamp();
        using var watch = _board.WatchFor(tenant, id);
        for (var look = FirstLook; ; look = look < LongestLook / 2 ? look * 2 : LongestLook)
        {
            var job = await FindAsync(tenant, id, cancellation);
            var left = timeout - _clock.GetElapsedTime(began);
            if (job is null || job.IsFinished || left <= TimeSpan.Zero)
            {
                return job;
            }

            await watch.Ended.WaitAsync(_board.RunsHere(tenant, id) || look > left ? left : look, _clock, cancellation);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    private static string? TraceParent => Activity.Current is { IdFormat: ActivityIdFormat.W3C } activity ? activity.Id : null;
}

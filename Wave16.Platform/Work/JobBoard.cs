using Wave16.Platform.Events;

namespace Wave16.Platform.Work;

/// <summary>What one process knows of a module's jobs without asking the database: which run here, and who waits for the end of one.</summary>
internal sealed class JobBoard
{
    private readonly Lock _gate = new();
    private readonly HashSet<(string Tenant, Guid Id)> _here = [];
    private readonly List<Watch> _watches = [];

    /// <summary>Something was enqueued or cancelled, or a runner has a free place.</summary>
    public WakeUp Changed { get; } = new();

    public bool RunsHere(string tenant, Guid id)
    {
        lock (_gate)
        {
            return _here.Contains((tenant, id));
        }
    }

    public void Begin(ClaimedJob job)
    {
        lock (_gate)
        {
            _here.Add((job.Tenant, job.Id));
        }
    }

    /// <summary>The attempt here is over, whatever became of the job.</summary>
    public void End(ClaimedJob job)
    {
        lock (_gate)
        {
            _here.Remove((job.Tenant, job.Id));
            foreach (var watch in _watches)
            {
                if (watch.Id == job.Id && watch.Tenant == job.Tenant)
                {
                    watch.Ended.Ring();
                }
            }
        }

        Changed.Ring();
    }

    public Watch WatchFor(string tenant, Guid id)
    {
        var watch = new Watch(this, tenant, id);
        lock (_gate)
        {
            _watches.Add(watch);
        }

        return watch;
    }

    public sealed class Watch(JobBoard board, string tenant, Guid id) : IDisposable
    {
        public string Tenant { get; } = tenant;

        public Guid Id { get; } = id;

        public WakeUp Ended { get; } = new();

        public void Dispose()
        {
            lock (board._gate)
            {
                board._watches.Remove(this);
            }
        }
    }
}

namespace Wave16.Platform.Work;

/// <summary>
/// What the sweeper has in hand: of every entity one deadline. Hands them out tenant by tenant in turn, and of one tenant
/// only so many at once, so that a tenant whose handlers hang leaves room for the others.
/// </summary>
internal sealed class DueQueue(int parallel, int perTenant, int batch)
{
    private readonly Lock _gate = new();
    private readonly HashSet<(string Tenant, string Entity)> _inHand = [];
    private readonly Dictionary<string, Line> _lines = new(StringComparer.Ordinal);
    private readonly Queue<Line> _ready = new();
    private readonly List<DueOutcome> _tried = [];
    private readonly int _enough = batch / 4;
    private int _running;
    private int _waiting;

    /// <summary>Deadlines that nobody has begun.</summary>
    public int Waiting
    {
        get
        {
            lock (_gate)
            {
                return _waiting;
            }
        }
    }

    /// <summary>What to read from the store, or null while there is enough to begin.</summary>
    public DueFetch? NextFetch()
    {
        lock (_gate)
        {
            var free = parallel - _running;
            if (free <= _lines.Values.Sum(line => Math.Min(line.Waiting.Count, perTenant - line.Running)))
            {
                return null;
            }

            return new DueFetch(
                batch,
                [.. _inHand.Select(item => item.Tenant)],
                [.. _inHand.Select(item => item.Entity)],
                [.. _lines.Values.Where(line => line.Waiting.Count >= _enough).Select(line => line.Tenant)]);
        }
    }

    public void Add(IReadOnlyList<DueItem> read)
    {
        lock (_gate)
        {
            foreach (var item in read)
            {
                if (!_inHand.Add((item.Tenant, item.Entity)))
                {
                    continue;
                }

                if (!_lines.TryGetValue(item.Tenant, out var line))
                {
                    line = new Line(item.Tenant);
                    _lines.Add(item.Tenant, line);
                }

                line.Waiting.Enqueue(item);
                _waiting++;
                Offer(line);
            }
        }
    }

    /// <summary>The next deadline to bring to its entity, unless as many as may be are under way.</summary>
    public DueItem? Take()
    {
        lock (_gate)
        {
            if (_running >= parallel || !_ready.TryDequeue(out var line))
            {
                return null;
            }

            line.IsReady = false;
            line.Running++;
            _running++;
            _waiting--;
            var item = line.Waiting.Dequeue();
            Offer(line);
            return item;
        }
    }

    public void Complete(DueOutcome outcome)
    {
        lock (_gate)
        {
            _tried.Add(outcome);
            _running--;
            var line = _lines[outcome.Item.Tenant];
            line.Running--;
            Offer(line);
            if (line is { Running: 0, Waiting.Count: 0 })
            {
                _lines.Remove(line.Tenant);
            }
        }
    }

    /// <summary>What has been tried and is not settled; it stays in hand until it is.</summary>
    public List<DueOutcome> Tried()
    {
        lock (_gate)
        {
            return [.. _tried];
        }
    }

    public void Settled(List<DueOutcome> settled)
    {
        lock (_gate)
        {
            _tried.RemoveRange(0, settled.Count);
            foreach (var outcome in settled)
            {
                _inHand.Remove((outcome.Item.Tenant, outcome.Item.Entity));
            }
        }
    }

    private void Offer(Line line)
    {
        if (!line.IsReady && line.Waiting.Count > 0 && line.Running < perTenant)
        {
            line.IsReady = true;
            _ready.Enqueue(line);
        }
    }

    private sealed class Line(string tenant)
    {
        public string Tenant { get; } = tenant;

        public Queue<DueItem> Waiting { get; } = new();

        public int Running { get; set; }

        /// <summary>In the queue of those that may begin another.</summary>
        public bool IsReady { get; set; }
    }
}

/// <summary>A deadline that was brought to its entity.</summary>
/// <param name="Until">When to try again; null when the entity has decided.</param>
internal sealed record DueOutcome(DueItem Item, DateTimeOffset? Until = null, string? Error = null);

/// <summary>What to read: so many, none of an entity in hand (<paramref name="Tenants"/> and <paramref name="Entities"/>, pairwise), none of the tenants that have enough.</summary>
internal sealed record DueFetch(int Limit, string[] Tenants, string[] Entities, string[] Enough);

namespace Wave16.Platform.Events;

/// <summary>
/// What a lane has in hand. Hands out one delivery per subject at a time, in order; a subject whose head failed is let go
/// of, and comes back from the store when it is due.
/// </summary>
internal sealed class LaneQueue(int batch, int concurrency)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<SubjectKey, Line> _lines = [];
    private readonly Queue<Line> _ready = new();
    private readonly HashSet<long> _inHand = [];
    private readonly List<Settlement> _tried = [];
    private readonly int _enough = Math.Max(1, batch / 4);
    private int _running;
    private int _forgotten;
    private bool _more = true;

    /// <summary>Whether all that was tried has come to rest; what is queued does not count.</summary>
    public bool IsAtRest => Read(() => _running == 0);

    /// <summary>Subjects that could be served now.</summary>
    public int Ready => Read(() => _ready.Count);

    /// <summary>Deliveries tried and not settled yet.</summary>
    public int Tried => Read(() => _tried.Count);

    /// <summary>The store may hold more than has been fetched.</summary>
    public void ExpectMore()
    {
        lock (_gate)
        {
            _more = true;
        }
    }

    /// <summary>What to fetch now, or null while nothing more is expected or there is enough to do.</summary>
    public FetchPlan? NextFetch(bool probing)
    {
        lock (_gate)
        {
            if (!_more || (probing ? _lines.Count > 0 : _ready.Count >= concurrency))
            {
                return null;
            }

            _more = false;
            List<SubjectKey> enough = [];
            foreach (var line in _lines.Values)
            {
                // What the store returned of a subject that has failed would be passed over, and be returned again, and again.
                line.LeftOut = line.Failed || line.Waiting.Count >= _enough;
                if (line.LeftOut)
                {
                    enough.Add(line.Subject);
                }
            }

            return new FetchPlan(probing ? 1 : batch, [.. _inHand], enough, _forgotten);
        }
    }

    public void Add(IReadOnlyList<PendingDelivery> fetched, FetchPlan plan)
    {
        lock (_gate)
        {
            // The plan passed over what was in hand and no longer is: what came back would overtake it.
            if (plan.Forgotten != _forgotten)
            {
                return;
            }

            foreach (var delivery in fetched)
            {
                if (!_lines.TryGetValue(delivery.Subject, out var line))
                {
                    line = new Line(delivery.Subject);
                    _lines.Add(delivery.Subject, line);
                }

                // Its head failed while these were on their way: the store holds them back once that is settled.
                if (line.Failed)
                {
                    continue;
                }

                _inHand.Add(delivery.Id);
                line.Waiting.Enqueue(delivery);
                if (!line.Busy)
                {
                    line.Busy = true;
                    _ready.Enqueue(line);
                }
            }

            _more |= fetched.Count == plan.Limit;
        }
    }

    /// <summary>The next delivery to try, unless as many as may be are running.</summary>
    public PendingDelivery? Take(int limit)
    {
        lock (_gate)
        {
            if (_running >= limit || !_ready.TryDequeue(out var line))
            {
                return null;
            }

            _running++;
            return line.Waiting.Dequeue();
        }
    }

    public void Complete(Settlement settlement)
    {
        lock (_gate)
        {
            _running--;
            _tried.Add(settlement);
            var line = _lines[settlement.Delivery.Subject];
            if (settlement.Fate == Fate.Held)
            {
                line.Failed = true;
                Forget(line);
                return;
            }

            if (line.LeftOut && line.Waiting.Count <= _enough / 2)
            {
                line.LeftOut = false;
                _more = true;
            }

            if (line.Waiting.Count > 0)
            {
                _ready.Enqueue(line);
            }
            else
            {
                _lines.Remove(line.Subject);
            }
        }
    }

    /// <summary>Lets go of all that is not running; the store still has it.</summary>
    public void ForgetQueued()
    {
        lock (_gate)
        {
            foreach (var line in _ready)
            {
                Forget(line);
                _lines.Remove(line.Subject);
            }

            foreach (var line in _lines.Values)
            {
                Forget(line);
            }

            _ready.Clear();
            _forgotten++;
            _more = true;
        }
    }

    public List<Settlement> TakeTried()
    {
        lock (_gate)
        {
            List<Settlement> tried = [.. _tried];
            _tried.Clear();
            return tried;
        }
    }

    public void Settled(List<Settlement> settled)
    {
        lock (_gate)
        {
            foreach (var settlement in settled)
            {
                _inHand.Remove(settlement.Delivery.Id);
                if (settlement.Fate == Fate.Held)
                {
                    _lines.Remove(settlement.Delivery.Subject);
                }
            }
        }
    }

    private void Forget(Line line)
    {
        foreach (var waiting in line.Waiting)
        {
            _inHand.Remove(waiting.Id);
        }

        line.Waiting.Clear();
    }

    private T Read<T>(Func<T> read)
    {
        lock (_gate)
        {
            return read();
        }
    }

    private sealed class Line(SubjectKey subject)
    {
        public SubjectKey Subject { get; } = subject;

        public Queue<PendingDelivery> Waiting { get; } = new();

        /// <summary>In the ready queue, or running.</summary>
        public bool Busy { get; set; }

        /// <summary>The head failed and that is not settled yet.</summary>
        public bool Failed { get; set; }

        /// <summary>The last fetch passed this subject over.</summary>
        public bool LeftOut { get; set; }
    }
}

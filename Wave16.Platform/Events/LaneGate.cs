namespace Wave16.Platform.Events;

internal enum LaneStatus
{
    /// <summary>Another process runs this lane, or nobody can: the store is away.</summary>
    Standby,
    Open,

    /// <summary>The destination is down and is left alone for a while.</summary>
    Paused,

    /// <summary>One delivery at a time, to see whether the destination is back.</summary>
    Probing,
}

/// <param name="Status">Of the lane in this process.</param>
/// <param name="Since">When it entered that status.</param>
/// <param name="Reason">Why it is paused or probing.</param>
/// <param name="Until">When a paused lane probes.</param>
internal sealed record LaneState(LaneStatus Status, DateTimeOffset Since, string? Reason = null, DateTimeOffset? Until = null);

/// <summary>The lane's circuit: open while the destination answers, whatever it answers.</summary>
internal sealed class LaneGate(LaneSettings settings, TimeProvider time)
{
    private static readonly TimeSpan LongestRetryAfter = TimeSpan.FromMinutes(15);
    private readonly Lock _gate = new();
    private LaneState _state = new(LaneStatus.Standby, time.GetUtcNow());
    private long _pausedAt;
    private TimeSpan _pause;
    private int _timesDown;

    public LaneState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    public void Enter()
    {
        lock (_gate)
        {
            _timesDown = 0;
            _state = new LaneState(LaneStatus.Open, time.GetUtcNow());
        }
    }

    public void Leave(string? reason)
    {
        lock (_gate)
        {
            _state = new LaneState(LaneStatus.Standby, time.GetUtcNow(), reason);
        }
    }

    /// <summary>The destination is down. Returns when this delivery may be tried again, which is later than the next probe.</summary>
    public DateTimeOffset Down(string reason, TimeSpan? retryAfter)
    {
        lock (_gate)
        {
            var now = time.GetUtcNow();
            if (_state.Status != LaneStatus.Paused)
            {
                _timesDown++;
            }

            var pause = settings.Pause(_timesDown);
            if (retryAfter > pause)
            {
                pause = retryAfter < LongestRetryAfter ? retryAfter.Value : LongestRetryAfter;
            }

            // Measured, not read off the wall clock: one that is set back would keep the lane paused.
            var left = _state.Status == LaneStatus.Paused ? _pause - time.GetElapsedTime(_pausedAt) : TimeSpan.Zero;
            if (left <= TimeSpan.Zero || (retryAfter is not null && pause > left))
            {
                (_pausedAt, _pause, left) = (time.GetTimestamp(), pause, pause);
            }

            var until = now + left;
            _state = new LaneState(LaneStatus.Paused, _state.Reason is null ? now : _state.Since, reason, until);

            // The next probe is another subject's, if there is one: an event that hangs its destination must not be the only one tried.
            return until + (pause * Random.Shared.NextDouble());
        }
    }

    /// <summary>The destination answered. Returns whether the lane was not open before.</summary>
    public bool Reached()
    {
        lock (_gate)
        {
            // An answer to what was sent before the pause does not end it.
            if (_state.Status != LaneStatus.Probing)
            {
                return false;
            }

            _timesDown = 0;
            _state = new LaneState(LaneStatus.Open, time.GetUtcNow());
            return true;
        }
    }

    /// <summary>The status now: a pause that is over has turned into probing.</summary>
    public LaneStatus Look()
    {
        lock (_gate)
        {
            if (_state.Status == LaneStatus.Paused && time.GetElapsedTime(_pausedAt) >= _pause)
            {
                _state = _state with { Status = LaneStatus.Probing, Until = null };
            }

            return _state.Status;
        }
    }
}

namespace Wave16.Neighbours;

/// <summary>What <c>PUT /neighbours/{name}/faults</c> takes; what is left out is off.</summary>
internal sealed record FaultsBody(int? LatencyMs, double? FailRate, int? Status, bool? Down, int? Seed);

/// <summary>How a neighbour misbehaves.</summary>
/// <param name="LatencyMs">Waited before anything else.</param>
/// <param name="FailRate">The fraction of calls answered with <paramref name="Status"/>, 0 to 1.</param>
/// <param name="Status">What a failing call is answered, 400 to 599.</param>
/// <param name="Down">Every connection is aborted without an answer.</param>
/// <param name="Seed">Of the sequence that decides which calls fail: the same seed fails the same calls.</param>
internal sealed record Faults(int LatencyMs, double FailRate, int Status, bool Down, int Seed)
{
    public static readonly Faults None = new(0, 0, StatusCodes.Status503ServiceUnavailable, Down: false, 0);

    /// <summary>A status without a rate means every call; a rate without a status means 503.</summary>
    public static Faults Of(FaultsBody body, Checks checks)
    {
        checks.Range("latencyMs", body.LatencyMs, 0, 600_000);
        checks.Range("failRate", body.FailRate, 0, 1);
        checks.Range("status", body.Status, 400, 599);
        return new(
            body.LatencyMs ?? 0,
            body.FailRate ?? (body.Status is null ? 0 : 1),
            body.Status ?? StatusCodes.Status503ServiceUnavailable,
            body.Down ?? false,
            body.Seed ?? 0);
    }
}

internal enum Outcome { Served, Failed, Down }

/// <summary>What one call meets.</summary>
internal sealed record Fate(TimeSpan Latency, Outcome Outcome, int Status);

internal sealed class FaultSwitch
{
    readonly Lock _gate = new();
    Faults _faults = Faults.None;
    Random _sequence = new(0);

    public Faults Current
    {
        get
        {
            lock (_gate) return _faults;
        }
    }

    /// <summary>Replaces the faults and starts their sequence again.</summary>
    public void Set(Faults faults)
    {
        lock (_gate)
        {
            _faults = faults;
            _sequence = new Random(faults.Seed);
        }
    }

    public Fate Next()
    {
        lock (_gate)
        {
            var outcome = _faults switch
            {
                { Down: true } => Outcome.Down,
                { FailRate: > 0 } when _sequence.NextDouble() < _faults.FailRate => Outcome.Failed,
                _ => Outcome.Served,
            };
            return new(TimeSpan.FromMilliseconds(_faults.LatencyMs), outcome, _faults.Status);
        }
    }
}

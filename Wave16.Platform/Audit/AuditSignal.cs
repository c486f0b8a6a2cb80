using Wave16.Platform.Events;

namespace Wave16.Platform.Audit;

/// <summary>
/// Tells this process's sealer that a leaf was committed, so that it need not wait for its next poll. Registered once per
/// module, keyed by its name. Forgetting to call it delays the seal by a second at most.
/// </summary>
internal sealed class AuditSignal(TimeProvider clock)
{
    private readonly WakeUp _wakeUp = new();

    /// <summary>Call after the commit.</summary>
    public void Committed() => _wakeUp.Ring();

    public Task WaitAsync(TimeSpan atMost, CancellationToken cancellation) => _wakeUp.WaitAsync(atMost, clock, cancellation);
}

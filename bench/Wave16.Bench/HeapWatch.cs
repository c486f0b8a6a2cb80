namespace Wave16.Bench;

/// <summary>The largest managed heap seen, looked at ten times a second.</summary>
internal sealed class HeapWatch : IDisposable
{
    private readonly Timer _look;
    private long _peak;

    public HeapWatch()
    {
        GC.Collect();
        _look = new Timer(_ => _peak = Math.Max(_peak, GC.GetTotalMemory(forceFullCollection: false)), state: null, TimeSpan.Zero, TimeSpan.FromMilliseconds(100));
    }

    public long Peak => _peak;

    public void Dispose() => _look.Dispose();
}

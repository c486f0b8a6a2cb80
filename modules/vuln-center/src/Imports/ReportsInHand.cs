namespace Wave16.VulnCenter.Imports;

/// <summary>
/// Bounds the reports of requests that are not over yet, for all tenants together and for each: one that arrives slowly keeps
/// its place and its disk, and must not keep everybody's.
/// </summary>
internal sealed class ReportsInHand(int most, int mostOfOne)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _ofTenant = new(StringComparer.Ordinal);
    private int _all;

    /// <summary>A place until disposed of; null when there is none left.</summary>
    public IDisposable? TryEnter(string tenant)
    {
        lock (_gate)
        {
            var ofTenant = _ofTenant.GetValueOrDefault(tenant);
            if (_all == most || ofTenant == mostOfOne)
            {
                return null;
            }

            _all++;
            _ofTenant[tenant] = ofTenant + 1;
            return new Place(this, tenant);
        }
    }

    private void Leave(string tenant)
    {
        lock (_gate)
        {
            _all--;
            if (--_ofTenant[tenant] == 0)
            {
                _ofTenant.Remove(tenant);
            }
        }
    }

    private sealed class Place(ReportsInHand all, string tenant) : IDisposable
    {
        private bool _left;

        public void Dispose()
        {
            if (!Interlocked.Exchange(ref _left, true))
            {
                all.Leave(tenant);
            }
        }
    }
}

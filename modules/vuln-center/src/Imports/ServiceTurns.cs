namespace Wave16.VulnCenter.Imports;

/// <summary>
/// Who is to take the lock of a service (<see cref="MergeSql.Lock"/>) waits here for others of this process, before a connection is
/// taken: a process has few, and those who wait for one busy service would hold all of them.
/// </summary>
internal sealed class ServiceTurns
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Tenant, string Service), Line> _lines = [];

    /// <summary>Returns when it is the caller's turn for all of the services; its end is the end of the turn.</summary>
    public async Task<IDisposable> TakeAsync(string tenant, IEnumerable<string> services, CancellationToken cancellation)
    {
        Turn turn = new(this);
        try
        {
            // In one order for everybody.
            foreach (var service in services.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
            {
                await turn.TakeAsync((tenant, service), cancellation);
            }

            return turn;
        }
        catch
        {
            turn.Dispose();
            throw;
        }
    }

    private sealed class Line
    {
        public SemaphoreSlim Free { get; } = new(1);
        public int Waiting { get; set; }
    }

    private sealed class Turn(ServiceTurns turns) : IDisposable
    {
        private readonly List<(string, string)> _held = [];

        public async Task TakeAsync((string, string) key, CancellationToken cancellation)
        {
            Line line;
            lock (turns._gate)
            {
                line = turns._lines.TryGetValue(key, out var known) ? known : turns._lines[key] = new Line();
                line.Waiting++;
            }

            try
            {
                await line.Free.WaitAsync(cancellation);
                _held.Add(key);
            }
            catch
            {
                Leave(key, line);
                throw;
            }
        }

        public void Dispose()
        {
            foreach (var key in _held)
            {
                Line line;
                lock (turns._gate)
                {
                    line = turns._lines[key];
                }

                line.Free.Release();
                Leave(key, line);
            }

            _held.Clear();
        }

        private void Leave((string, string) key, Line line)
        {
            lock (turns._gate)
            {
                if (--line.Waiting == 0)
                {
                    turns._lines.Remove(key);
                    line.Free.Dispose();
                }
            }
        }
    }
}

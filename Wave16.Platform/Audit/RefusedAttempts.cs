using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>
/// Records in the audit log what somebody tried and was refused. Registered once per module, keyed by its name. Bounded, in
/// each replica: twenty leaves a minute per caller and two hundred per tenant; what is over that is counted, and the counts
/// are recorded, so that a flood of refusals fills neither the memory nor the disk.
/// </summary>
public sealed class RefusedAttempts
{
    /// <summary>Leaves per caller and <see cref="Period"/>.</summary>
    internal const int PerPeriod = 20;

    /// <summary>Leaves per tenant and <see cref="Period"/>, and callers of a tenant that are told apart; the rest share one count.</summary>
    internal const int PerTenant = 200;

    /// <summary>Callers of all tenants that are told apart.</summary>
    internal const int MaxCallers = 10_000;

    internal static readonly TimeSpan Period = TimeSpan.FromMinutes(1);

    private const string EveryoneElse = "*";

    private readonly ModuleDatabase _database;
    private readonly LoneLeaves _leaves;
    private readonly TimeProvider _clock;
    private readonly ILogger<RefusedAttempts> _log;
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Tenant, string Actor), Window> _windows = [];

    internal RefusedAttempts(ModuleDatabase database, LoneLeaves leaves, TimeProvider clock, ILogger<RefusedAttempts> log)
    {
        _database = database;
        _leaves = leaves;
        _clock = clock;
        _log = log;
    }

    /// <summary>Writes a leaf of its own, outside any save. Returns when it is durable, or when it has been counted instead.</summary>
    /// <param name="tenant">Whose log it is part of.</param>
    /// <param name="actor">Who tried: a subject from a token.</param>
    /// <param name="action">What was tried: <c>finding.triage</c>, or the endpoint.</param>
    /// <param name="target">On what: <c>finding/123</c>. Nothing personal; at most 200 characters are kept.</param>
    /// <param name="code">The problem code that was answered.</param>
    /// <param name="cancellation">Pass none on behalf of a caller: who hangs up is recorded all the same.</param>
    public async Task RecordAsync(string tenant, string actor, string action, string target, string code, CancellationToken cancellation)
    {
        if (Enter(tenant, actor) is not { } key)
        {
            return;
        }

        try
        {
            await _leaves.WriteAsync(tenant, actor, action, target, new { refused = LoneLeaves.Clean(code) }, cancellation);
        }
        catch (NpgsqlException failure)
        {
            // The refusal itself must not fail for this; the count is written when the store is back.
            _log.LogWarning(failure, "{Module}: a refused attempt could not be recorded and is counted", _database.Module);
            Count(key, 1, _clock.GetUtcNow());
        }
    }

    /// <summary>Writes the counts of windows that are over. When the store is away they are kept for the next time.</summary>
    internal async Task FlushAsync(bool all, CancellationToken cancellation)
    {
        if (!_database.IsReady)
        {
            return;
        }

        var over = Over(all);
        for (var i = 0; i < over.Count; i++)
        {
            var (key, window) = over[i];
            try
            {
                await _leaves.WriteAsync(key.Tenant, key.Actor, "attempts.suppressed", "attempts/" + key.Actor, new { suppressed = window.Suppressed, since = window.Since }, cancellation);
            }
            catch (NpgsqlException failure)
            {
                _log.LogWarning(failure, "{Module}: counts of refused attempts could not be recorded yet", _database.Module);
                foreach (var (kept, counted) in over.Skip(i))
                {
                    Count(kept, counted.Suppressed, counted.Since);
                }

                return;
            }
        }
    }

    /// <returns>Under which key a failure to write the leaf is counted; null when the attempt has been counted already.</returns>
    private (string Tenant, string Actor)? Enter(string tenant, string actor)
    {
        lock (_gate)
        {
            var now = _clock.GetUtcNow();
            var shared = WindowOf((tenant, EveryoneElse), now);
            var key = (tenant, actor);
            if (!_windows.TryGetValue(key, out var window))
            {
                if (shared.Callers < PerTenant && _windows.Count < MaxCallers)
                {
                    shared.Callers++;
                    window = WindowOf(key, now);
                }
                else
                {
                    (key, window) = ((tenant, EveryoneElse), shared);
                }
            }

            if (window.Recorded >= PerPeriod || shared.Leaves >= PerTenant || !_database.IsReady)
            {
                window.Suppressed++;
                return null;
            }

            window.Recorded++;
            shared.Leaves++;
            return key;
        }
    }

    private Window WindowOf((string Tenant, string Actor) key, DateTimeOffset since)
    {
        if (!_windows.TryGetValue(key, out var window))
        {
            window = new Window(since);
            _windows.Add(key, window);
        }

        return window;
    }

    private void Count((string Tenant, string Actor) key, long attempts, DateTimeOffset since)
    {
        lock (_gate)
        {
            WindowOf(key, since).Suppressed += attempts;
        }
    }

    /// <summary>Takes out the windows that are over, and returns those that counted something.</summary>
    private List<KeyValuePair<(string Tenant, string Actor), Window>> Over(bool all)
    {
        lock (_gate)
        {
            var now = _clock.GetUtcNow();
            var over = _windows.Where(window => all || now - window.Value.Since >= Period).ToList();
            foreach (var window in over)
            {
                _windows.Remove(window.Key);
            }

            return over.FindAll(window => window.Value.Suppressed > 0);
        }
    }

    private sealed class Window(DateTimeOffset since)
    {
        public DateTimeOffset Since { get; } = since;

        public int Recorded { get; set; }

        public long Suppressed { get; set; }

        /// <summary>Of a tenant's shared window: leaves of all its callers.</summary>
        public int Leaves { get; set; }

        /// <summary>Of a tenant's shared window: callers that have one of their own.</summary>
        public int Callers { get; set; }
    }
}

using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.VulnCenter.Findings;

/// <summary>
/// Between those who settle findings by policies, profiles and feeds, and those who change these. A change is committed first;
/// then whoever judges everything anew waits once for all who may have read what was before. Nobody takes the lock exclusively:
/// who waited in its queue would hold up every import behind one that is long.
/// </summary>
internal sealed class SettlingLock([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, TimeProvider clock)
{
    /// <summary>
    /// $1 is the tenant. Held until the end of the transaction. What settles findings takes it in a statement of its own before it
    /// reads: so it either sees the change, or the recomputation sees what it writes.
    /// </summary>
    public const string Shared = "select pg_advisory_xact_lock_shared(hashtextextended('vuln-center/settling/' || $1, 16))";

    private static readonly TimeSpan BetweenLooks = TimeSpan.FromMilliseconds(100);

    // Their virtual transaction ids, which none ever has again.
    private const string Holders = """
        select coalesce(array_agg(l.virtualtransaction), '{}') from pg_locks l join pg_database d on d.oid = l.database
        where d.datname = current_database() and l.locktype = 'advisory' and l.objsubid = 1 and l.granted and l.pid <> pg_backend_pid()
          and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('vuln-center/settling/' || $1, 16)
        """;

    /// <summary>Until all have ended who may have read what was before.</summary>
    public async Task WaitAsync(string tenant, CancellationToken cancellation)
    {
        string[]? before = null;
        for (; ; )
        {
            string[] now;
            await using (var command = database.DataSource.CreateCommand(Holders))
            {
                command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
                now = (string[]?)await command.ExecuteScalarAsync(cancellation) ?? [];
            }

            before = before is null ? now : [.. before.Intersect(now, StringComparer.Ordinal)];
            if (before.Length == 0)
            {
                return;
            }

            await Task.Delay(BetweenLooks, clock, cancellation);
        }
    }
}

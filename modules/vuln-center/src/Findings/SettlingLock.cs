namespace Wave16.VulnCenter.Findings;

/// <summary>
/// Between those who settle findings by policies, profiles and feeds, and those who change these. A change is committed first;
/// then whoever judges everything anew waits once for all who may have read what was before. $1 is the tenant.
/// </summary>
internal static class SettlingLock
{
    /// <summary>
    /// Holds off <see cref="Barrier"/> until the end of the transaction. What settles findings takes it in a statement of its
    /// own before it reads: so it either sees the change, or the recomputation sees what it writes.
    /// </summary>
    public const string Shared = "select pg_advisory_xact_lock_shared(hashtextextended('vuln-center/feeds/' || $1, 16))";

    /// <summary>Waits for everyone who may have read what was before.</summary>
    public const string Barrier = "select pg_advisory_xact_lock(hashtextextended('vuln-center/feeds/' || $1, 16))";
}

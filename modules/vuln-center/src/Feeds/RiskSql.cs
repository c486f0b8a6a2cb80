namespace Wave16.VulnCenter.Feeds;

/// <summary>
/// What the feeds say of findings: the highest EPSS score of the ids they name and of those ids' aliases, and whether one of
/// them is known to be exploited.
/// </summary>
internal static class RiskSql
{
    /// <summary>
    /// Of a relation with <c>id</c> and <c>identifiers</c>, one row for each: <c>id, epss, kev</c>. $1 is the tenant. Each id is
    /// looked up once, however many findings name it; "offset 0" keeps these look-ups, where a tenant has hundreds of
    /// thousands of scores. Uses the primary keys and alias_cluster_of.
    /// </summary>
    /// <param name="findings">A table, or a query in parentheses.</param>
    public static string Of(string findings) => $"""
        select x.id, max(r.epss) as epss, coalesce(bool_or(r.kev), false) as kev
        from {findings} x
        left join lateral unnest(x.identifiers) as named(id) on true
        left join (
          select i.id, max(e.score) as epss, bool_or(k.cve is not null) as kev
          from (select distinct unnest(n.identifiers) as id from {findings} n) i
          cross join lateral (
            select i.id as cve
            union
            select m.id from vuln_center.alias_cluster c join vuln_center.alias_cluster m on m.tenant = $1 and m.cluster = c.cluster
            where c.tenant = $1 and c.id = i.id
            offset 0) a
          left join lateral (select e.score from vuln_center.epss e where e.tenant = $1 and e.cve = a.cve offset 0) e on true
          left join lateral (select k.cve from vuln_center.kev k where k.tenant = $1 and k.cve = a.cve offset 0) k on true
          group by i.id
          having max(e.score) is not null or bool_or(k.cve is not null)) r on r.id = named.id
        group by x.id
        """;

    /// <summary>
    /// Holds off <see cref="Barrier"/> until the end of the transaction. What reads the feeds to write to findings takes it
    /// in a statement of its own before: so it either sees a change of a feed, or the recomputation sees what it writes.
    /// </summary>
    public const string Reading = "select pg_advisory_xact_lock_shared(hashtextextended('vuln-center/feeds/' || $1, 16))";

    /// <summary>Waits for everyone who may have read the feeds as they were before.</summary>
    public const string Barrier = "select pg_advisory_xact_lock(hashtextextended('vuln-center/feeds/' || $1, 16))";

    /// <summary>Of the findings $2, those for which the feeds say something else than is written: written, in id order, without a new version.</summary>
    public static readonly string Update = $"""
        with batch as materialized (
          select f.id, f.identifiers from vuln_center.finding f where f.tenant = $1 and f.id = any ($2)
        ), differing as materialized (
          select f.id, r.epss, r.kev from vuln_center.finding f join ({Of("batch")}) r on r.id = f.id
          where f.tenant = $1 and (f.epss, f.kev) is distinct from (r.epss, r.kev)
          order by f.id for update of f
        )
        update vuln_center.finding f set epss = d.epss, kev = d.kev from differing d where f.tenant = $1 and f.id = d.id
        returning f.id
        """;

    /// <summary>The same for the findings that a merge made or changed.</summary>
    public static readonly string Merged = $"""
        with batch as materialized (
          select f.id, f.identifiers from vuln_center.finding f
          join (select target from merge_row where is_new and representative union all select target from merge_change) c on c.target = f.id
          where f.tenant = $1 and cardinality(f.identifiers) > 0
            and (exists (select from vuln_center.epss e where e.tenant = $1) or exists (select from vuln_center.kev k where k.tenant = $1) or f.kev or f.epss is not null)
        ), risk as materialized ({Of("batch")})
        update vuln_center.finding f set epss = r.epss, kev = r.kev from risk r
        where f.tenant = $1 and f.id = r.id and (f.epss, f.kev) is distinct from (r.epss, r.kev)
        """;
}

using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Feeds;

/// <summary>The statements that replace a feed by the one in its staging table. $1 is the tenant throughout.</summary>
internal static class FeedSql
{
    public const string Lock = "select pg_advisory_xact_lock(hashtextextended('vuln-center/feed/' || length($1) || ':' || $1 || '/' || $2, 16))";

    public const string Held = "select version, as_of, digest, entries, at, actor, audit_hash, settled, recompute from vuln_center.feed where tenant = $1 and name = $2";

    public const string StageEpss = "create temp table feed_row (at text not null, cve text not null, score real not null, percentile real) on commit drop";

    public const string CopyEpss = "copy feed_row (at, cve, score, percentile) from stdin (format binary)";

    public const string StageKev = "create temp table feed_row (at text not null, cve text not null, added date, due date, ransomware bool not null) on commit drop";

    public const string CopyKev = "copy feed_row (at, cve, added, due, ransomware) from stdin (format binary)";

    public const string StageAliases = "create temp table feed_row (a text not null, b text not null, source text not null, since timestamptz) on commit drop";

    public const string CopyAliases = "copy feed_row (a, b, source, since) from stdin (format binary)";

    public const string Analyze = "analyze feed_row";

    /// <summary>Where a CVE stands that has stood before.</summary>
    public const string Repeated = "select (array_agg(at))[2], cve from feed_row group by cve having count(*) > 1 order by cve limit 1";

    public const string LatestKev = "select (select max(added) from vuln_center.kev where tenant = $1), (select max(added) from feed_row)";

    /// <summary>Added, changed, removed; and no ids, since a day's scores change nearly all of them.</summary>
    public const string ApplyEpss = """
        with removed as (
          delete from vuln_center.epss e where e.tenant = $1 and not exists (select from feed_row n where n.cve = e.cve)
          returning e.cve
        ), written as (
          insert into vuln_center.epss as e (tenant, cve, score, percentile)
          select $1, n.cve, n.score, n.percentile from feed_row n order by n.cve
          on conflict (tenant, cve) do update set score = excluded.score, percentile = excluded.percentile
            where (e.score, e.percentile) is distinct from (excluded.score, excluded.percentile)
          returning e.xmax = 0 as added
        )
        select (select count(*) from written where added), (select count(*) from written where not added), (select count(*) from removed), null::text[]
        """;

    /// <summary>Added, changed, removed; and the CVEs that came or went.</summary>
    public const string ApplyKev = """
        with removed as (
          delete from vuln_center.kev k where k.tenant = $1 and not exists (select from feed_row n where n.cve = k.cve)
          returning k.cve
        ), written as (
          insert into vuln_center.kev as k (tenant, cve, added, due, ransomware)
          select $1, n.cve, n.added, n.due, n.ransomware from feed_row n order by n.cve
          on conflict (tenant, cve) do update set added = excluded.added, due = excluded.due, ransomware = excluded.ransomware
            where (k.added, k.due, k.ransomware) is distinct from (excluded.added, excluded.due, excluded.ransomware)
          returning k.cve, k.xmax = 0 as added
        )
        select (select count(*) from written where added), (select count(*) from written where not added), (select count(*) from removed),
               array(select cve from removed union all select cve from written where added)
        """;

    /// <summary>Who else is called as these are: $2.</summary>
    public const string WithAliases = """
        select $2 || array(
          select m.id from vuln_center.alias_cluster c join vuln_center.alias_cluster m on m.tenant = $1 and m.cluster = c.cluster
          where c.tenant = $1 and c.id = any ($2) limit $3)
        """;

    public const string ForgetVetoes = """
        delete from vuln_center.alias_veto v using (select distinct a, b, source from feed_row) n
        where v.tenant = $1 and v.a = n.a and v.b = n.b and v.source = n.source
        """;

    /// <summary>
    /// Edges added, with a new date, and removed: of source $3 those that are stated no more, where that is asked for ($2). Leaves
    /// the ids of edges that came or went in <c>alias_touched</c>.
    /// </summary>
    public const string ApplyAliases = """
        with stated as (
          select a, b, source, min(since) as since from feed_row n
          where not exists (select from vuln_center.alias_veto v where v.tenant = $1 and v.a = n.a and v.b = n.b and v.source = n.source)
          group by a, b, source
        ), removed as (
          delete from vuln_center.alias_edge e
          where $2 and e.tenant = $1 and e.source = $3 and not exists (select from stated n where n.a = e.a and n.b = e.b)
          returning e.a, e.b
        ), written as (
          insert into vuln_center.alias_edge as e (tenant, a, b, source, since, statement)
          select $1, n.a, n.b, n.source, coalesce(n.since, $4), $5 from stated n order by n.a, n.b, n.source
          on conflict (tenant, a, b, source) do nothing
          returning e.a, e.b
        ), touched as (
          insert into alias_touched select a from removed union select b from removed union select a from written union select b from written
        )
        select (select count(*) from written), 0::bigint, (select count(*) from removed)
        """;

    public const string CountAliases = "select count(*) from vuln_center.alias_edge where tenant = $1";

    public const string Save = """
        insert into vuln_center.feed (tenant, name, version, as_of, digest, entries, at, actor, audit_hash, recompute)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        on conflict (tenant, name) do update set
          version = excluded.version, as_of = excluded.as_of, digest = excluded.digest, entries = excluded.entries, at = excluded.at,
          actor = excluded.actor, audit_hash = excluded.audit_hash, recompute = excluded.recompute
        """;

    public const string Recompute = "update vuln_center.feed set recompute = $3 where tenant = $1 and name = $2";

    public const string Settle = "update vuln_center.feed set settled = greatest(settled, $3) where tenant = $1 and name = $2";

    /// <summary>$2, $3 the edge; $4 its source, or null for all of them. Kept in alias_veto, so that nobody states them again unnoticed.</summary>
    public const string RemoveEdge = """
        with removed as (
          delete from vuln_center.alias_edge where tenant = $1 and a = $2 and b = $3 and ($4::text is null or source = $4)
          returning a, b, source
        ), kept as (
          insert into vuln_center.alias_veto (tenant, a, b, source, at, actor) select $1, a, b, source, $5, $6 from removed
          on conflict do nothing
        ), touched as (
          insert into alias_touched select a from removed union select b from removed
        )
        select count(*) from removed
        """;

    /// <summary>Findings to look at, in id order, after one of them ($2), at most $3.</summary>
    public const string NextFindings = """
        select id from vuln_center.finding where tenant = $1 and id > $2 and cardinality(identifiers) > 0 order by id limit $3
        """;

    /// <summary>Of the findings $2, those for which the feeds say something else than is written.</summary>
    public const string Differing = $"""
        with batch as materialized (
          select f.id, f.identifiers, f.epss, f.kev from vuln_center.finding f where f.tenant = $1 and f.id = any ($2)
        ), ids as (
          select batch.id, i.name from batch, unnest(batch.identifiers) as i(name)
        ), {RiskSql.Of}
        select batch.id from batch left join risk on risk.id = batch.id
        where batch.epss is distinct from risk.epss or batch.kev <> coalesce(risk.kev, false)
        order by batch.id
        """;

    public const string CountFindings = "select count(*) from vuln_center.finding where tenant = $1 and cardinality(identifiers) > 0";

    /// <summary>Edges that a merge's report states ($2 its source) and nobody has stated or removed yet.</summary>
    public const string Stated = """
        create temp table alias_stated on commit drop as
        select distinct least(p.a collate "C", p.b) as a, greatest(p.a collate "C", p.b) as b
        from merge_row r
        cross join lateral (select r.aliases[i] as a, r.aliases[i + 1] as b from generate_series(1, cardinality(r.aliases), 2) as i) p
        where cardinality(r.aliases) > 0 and p.a <> p.b
          and not exists (
            select from vuln_center.alias_edge e
            where e.tenant = $1 and e.a = least(p.a collate "C", p.b) and e.b = greatest(p.a collate "C", p.b) and e.source = $2)
          and not exists (
            select from vuln_center.alias_veto v
            where v.tenant = $1 and v.a = least(p.a collate "C", p.b) and v.b = greatest(p.a collate "C", p.b) and v.source = $2)
        """;

    public const string AddStated = """
        with written as (
          insert into vuln_center.alias_edge (tenant, a, b, source, since, statement) select $1, a, b, $2, $3, $4 from alias_stated order by a, b
          on conflict do nothing
          returning a, b
        )
        insert into alias_touched select a from written union select b from written
        """;
}

using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Imports;

/// <summary>
/// What a merge changes and writes, in order. <c>merge_row</c> is the staged report with the finding each result belongs to
/// (<see cref="MatchSql"/>, <see cref="DriftSql"/>); <c>merge_change</c> the findings it shows that change, <c>merge_gone</c> those it no longer shows, one row each,
/// locked in id order; <c>settled</c> what the rules make of them (<see cref="SettledSet"/>).
/// </summary>
internal static class MergeSql
{
    public const string Lock = "select pg_advisory_xact_lock(hashtextextended('vuln-center/' || length($1) || ':' || $1 || '/' || $2, 16))";

    /// <summary>This scan, merged before; or ($9) the same bytes that came at the same time and were merged while this import was under way.</summary>
    public const string Recorded = """
        select id, new, matched, reopened, rejected, findings_changed, fixed, closes_nothing, items, not_judged from vuln_center.scan
        where tenant = $1 and service = $3 and source = $4
          and (id = $2 or ($9 and report_digest = $5 and scope = $6 and scope_filter is not distinct from $8 and finished_at >= $7))
        order by id <> $2 limit 1
        """;

    /// <summary>
    /// Scans of the source that began after this one ($4), latest first: whether what it looked at ($5 filter, $6 images, $7 kinds,
    /// $8 category, $9 hosts) and what they did can overlap, and whether they were complete. Uses scan_by_source: none began after it was merged.
    /// </summary>
    public const string Newer = """
        select p.id, p.started_at,
               p.category is not distinct from $8
                 and (p.kinds is null or $7::smallint[] is null or p.kinds && $7::smallint[])
                 and (p.images = '{}' or $6::text[] = '{}' or p.images && $6)
                 and (p.hosts = '{}' or $9::text[] = '{}' or p.hosts && $9)
                 and (p.scope_filter is null or $5::text is null or split_part(p.scope_filter, ':', 1) <> split_part($5, ':', 1)
                      or starts_with(p.scope_filter || '/', $5 || '/') or starts_with($5 || '/', p.scope_filter || '/')),
               p.scope = 2 and p.failure is null and p.closes_nothing is null
        from vuln_center.scan p
        where p.tenant = $1 and p.service = $2 and p.source = $3 and p.finished_at > $4 and p.started_at > $4
        order by p.started_at desc
        """;

    /// <summary>
    /// Findings that the scan shows and changes: $2 statuses that open again when seen, $3 scans that began later, $4 when this one
    /// began. What a later scan showed stays as that showed it. What is gone opens again only if the scan began after it was: after
    /// the scan that no longer showed it (or verified it) began, or after somebody claimed it. Finding by finding: of a tenant
    /// that came since the last analyze the planner expects next to no findings, and would walk all of them for each result.
    /// </summary>
    public const string Touched = """
        create temp table merge_change on commit drop as
        select r.*, f.version as old_version, f.status = any ($2) as reopened,
               f.status = any ($2) and $4 <= coalesce((
                 select max(case when t.to_status = 3 then coalesce(s.started_at, t.at) else s.started_at end)
                 from vuln_center.transition t left join vuln_center.scan s on s.tenant = t.tenant and s.id = t.scan
                 where t.tenant = $1 and t.finding = r.target and t.to_status in (3, 4) and t.from_status is distinct from t.to_status), f.status_since) as past
        from (select * from merge_row where representative and not is_new order by target offset 0) r
        cross join lateral (
          select f.version, f.status, f.status_since
          from vuln_center.finding f
          where f.tenant = $1 and f.id = r.target
            and (f.status = any ($2)
                 or (f.content_hash <> r.content_hash
                     and not exists (select from vuln_center.finding_seen s where s.tenant = f.tenant and s.finding = f.id and s.scan = any ($3))))
          for update of f) f
        """;

    // What changes of a result without its becoming another.
    private const string Changing = "array['line', 'endLine', 'componentVersion', 'url', 'identifiers', 'cvss']";

    /// <summary>Findings that were gone after the scan began: no regressions.</summary>
    public const string Past = """
        create temp table merge_past on commit drop as select target from merge_change where past;
        delete from merge_change where past
        """;

    private const string AsScan = """
        (select 2 as scope, null::text as failure, null::text as closes_nothing, $6::text as scope_filter, $7::text[] as images, $8::smallint[] as kinds,
                $9::text as category, $10::timestamptz as started_at, $11::text[] as hosts) s
        """;

    /// <summary>
    /// Findings that the scan would show if they were still there. $4 statuses to be closed, $5 whether the scan may close
    /// anything, $6 its filter, $7 its images, $8 kinds, $9 category, $10 when it began, $11 its hosts, $12 whether rules were
    /// ever changed: then a finding may have lost its keys to another one, and is still there as long as the report shows what it was seen as.
    /// Uses finding_by_service. What the report shows is looked up by "not in", which is hashed however few findings the planner expects.
    /// </summary>
    public static readonly string Gone = $"""
        create temp table merge_gone on commit drop as
        select f.id as target, f.version as old_version
        from vuln_center.finding f
        cross join {AsScan}
        where $5 and f.tenant = $1 and f.service = $2 and f.source = $3 and f.status = any ($4)
          and f.id not in (select target from merge_row)
          and f.id not in (select target from merge_dismissed where target is not null)
          and not ($12 and exists (
            select from vuln_center.observation o
            where o.tenant = f.tenant and o.finding = f.id and not o.moved and o.identity is not null
              and md5((o.identity - {Changing})::text) in (select md5((r.identity - {Changing})::text) from merge_row r)))
          and {ScanCoverage.Covers}
        order by f.id
        for update of f
        """;

    /// <summary>What stays open because the scan says nothing of it, within its filter: of how many findings, and why. Parameters as above.</summary>
    public static readonly string NotJudged = $"""
        select {ScanCoverage.NotJudged}
        from vuln_center.finding f
        cross join {AsScan}
        join vuln_center.finding_seen ls on ls.tenant = f.tenant and ls.finding = f.id
        join vuln_center.scan last on last.tenant = ls.tenant and last.id = ls.scan
        where $5 and f.tenant = $1 and f.service = $2 and f.source = $3 and f.status = any ($4)
          and {ScanCoverage.Within("s.scope_filter", "f")}
          and f.id not in (select target from merge_row)
          and f.id not in (select target from merge_dismissed where target is not null)
          and f.id not in (select target from merge_gone)
        """;

    /// <summary>$4 the filter: whether a finding of the source stands in it, or a result of this scan. Uses finding_by_service.</summary>
    public static readonly string FilterHolds = $"""
        select exists (select from merge_row r where {ScanCoverage.Within("$4::text", "r")})
            or exists (
              select from vuln_center.finding f where f.tenant = $1 and f.service = $2 and f.source = $3 and {ScanCoverage.Within("$4::text", "f")})
        """;

    /// <summary>
    /// What is to be settled: is it new, is it gone, its id; severity, what decided it, and vector as the scan says; where it
    /// drifted to; what the feeds say; its title as the scan says; and the finding as it stands, nulls for a new one.
    /// </summary>
    public static readonly string ToSettle = $"""
        with m as (
          select target as id, true as is_new, false as is_gone, severity, severity_from, cvss_vector, exploit, identifiers, null::text as places, title
          from merge_row where is_new and representative
          union all
          select c.target, false, false, c.severity, c.severity_from, c.cvss_vector, c.exploit, c.identifiers, d.places, c.title
          from merge_change c left join merge_drift d on d.finding = c.target
          union all
          select target, false, true, null, null, null, false, null, null, null from merge_gone
        ), ids as (
          select m.id, i.name from m, unnest(m.identifiers) as i(name)
          where exists (select from vuln_center.epss where tenant = $1) or exists (select from vuln_center.kev where tenant = $1)
        ), {RiskSql.Of}
        select m.is_new, m.is_gone, m.id, m.severity, m.severity_from, m.cvss_vector, m.places, risk.epss, coalesce(risk.kev, false), m.exploit, m.title, {FindingRow.Columns("f")}
        from m
        left join risk on risk.id = m.id
        left join lateral (select * from vuln_center.finding where tenant = $1 and id = m.id and not m.is_new offset 0) f on true
        order by m.id
        """;

    public const string Count = """
        select count(*),
               (select count(*) from vuln_center.staged_rejection where import = $1 and service = $2 and source = $3) + (select count(*) from merge_dismissed),
               count(*) filter (where is_new and representative),
               count(*) filter (where not (is_new and representative))
                 - (select count(*) from merge_change where reopened),
               (select count(*) from merge_change where reopened),
               (select count(*) from merge_change),
               (select count(*) from merge_gone),
               encode(sha256(convert_to(coalesce((
                 select string_agg(line, E'\n' order by line) from (
                   select target || ':1:new' as line from merge_row where is_new and representative
                   union all
                   select target || ':' || old_version + 1 || case when reopened then ':reopened' else ':updated' end from merge_change
                   union all
                   select target || ':' || old_version + 1 || ':gone' from merge_gone) lines), ''), 'UTF8')), 'hex')
        from merge_row
        """;

    public const string InsertFindings = """
        insert into vuln_center.finding (
          tenant, id, version, service, source, kind, rule, title, scan_severity, scan_severity_from, cvss_vector, exploit, raw_severity,
          identifiers, component, component_version, component_key, purl, fixed_versions, manifest, image, path, line, end_line, resource, url,
          environments, first_seen, content_hash, audit_hash, detail, code_scope,
          status, status_since, regression, gate, severity, severity_from, cvss_score, epss, kev, ssvc,
          sla_policy, sla_from, sla_paused, sla_paused_at, sla_warn_at, sla_due_at, sla_warned_at, sla_breached_at)
        select $1, r.target, s.version, $2, $3, r.kind, r.rule, r.title, r.severity, r.severity_from, r.cvss_vector, r.exploit, r.raw_severity,
          r.identifiers, r.component, r.component_version, r.component_key, r.purl, r.fixed_versions, r.manifest, r.image, r.path, r.line, r.end_line, r.resource, r.url,
          r.environments, $4, r.content_hash, $5, r.detail, r.code_scope,
          s.status, s.status_since, s.regression, s.gate, s.severity, s.severity_from, s.cvss_score, s.epss, s.kev, s.ssvc,
          s.sla_policy, s.sla_from, s.sla_paused, s.sla_paused_at, s.sla_warn_at, s.sla_due_at, s.sla_warned_at, s.sla_breached_at
        from merge_row r join settled s on s.id = r.target
        where r.is_new and r.representative
        order by r.target
        """;

    /// <summary>All keys of new findings, best first, and those of results that did not match by their best key.</summary>
    public const string InsertKeys = """
        insert into vuln_center.finding_key (tenant, service, source, key, finding, kind, content, family, number)
        select $1, $2, $3, u.key, r.target, u.kind, u.content, u.family, case when u.family is not null then u.number end
        from merge_row r, unnest(r.keys, r.key_kinds, r.contents, r.families, r.numbers) with ordinality as u(key, kind, content, family, number, ord)
        where r.is_new or r.ord is distinct from 1
        order by u.ord, r.ordinal
        on conflict do nothing
        """;

    public const string UpdateFindings = $"""
        update vuln_center.finding f
        set {SettledSet.Assignments},
            rule = c.rule, title = c.title, scan_severity = c.severity, scan_severity_from = c.severity_from, cvss_vector = c.cvss_vector, exploit = c.exploit, raw_severity = c.raw_severity,
            identifiers = c.identifiers, component = c.component, component_version = c.component_version, component_key = c.component_key, purl = c.purl,
            fixed_versions = c.fixed_versions, manifest = c.manifest, image = c.image, path = c.path, line = c.line, end_line = c.end_line,
            resource = c.resource, url = c.url, environments = c.environments, content_hash = c.content_hash, detail = c.detail,
            code_scope = c.code_scope, audit_hash = $2
        from merge_change c join settled s on s.id = c.target
        where f.tenant = $1 and f.id = c.target
        """;

    public const string CloseFindings = $"""
        update vuln_center.finding f set {SettledSet.Assignments}, audit_hash = $2
        from merge_gone g join settled s on s.id = g.target
        where f.tenant = $1 and f.id = g.target
        """;

    /// <summary>A result whose bytes the finding already holds is the same observation: it and its decision stand.</summary>
    public const string InsertObservations = """
        with o as (
          insert into vuln_center.observation (tenant, finding, payload_hash, occurrence, id, scan, pointer, raw_severity, identity, content_hash, face)
          select $1, target, payload_hash, occurrence, observation, $2, pointer, raw_severity, identity, content_hash,
                 case when not representative then to_jsonb(r) - array[
                   'import', 'service', 'source', 'ordinal', 'finding', 'observation', 'pointer', 'payload_hash', 'identity', 'keys', 'key_kinds', 'key_fields',
                   'contents', 'families', 'numbers', 'dismissed', 'target', 'is_new', 'ord', 'candidates', 'representative', 'occurrence'] end
          from merge_row r
          on conflict do nothing
          returning id
        )
        insert into vuln_center.decision (at, tenant, finding, observation, scan, pointer, outcome, reason, rule_set, key_kind, key, fields, candidates, service, source)
        select $3, $1, r.target, o.id, $2, r.pointer,
               case when r.is_new and r.representative then $4 when c.reopened and r.representative then $6 else $5 end,
               case when d.reason is not null then d.reason
                    when past.target is not null then 'key matches a finding that was gone after this scan began: no regression'
                    when r.is_new and r.representative and e.rivals is not null
                    then 'findings of the rule that this scan no longer shows may be it, but not for certain'
                    when r.is_new and r.representative and r.candidates <> '{}' then 'findings share a weaker key, but a better one tells them apart'
                    when r.is_new and r.representative then 'no finding has any of its keys'
                    when c.reopened and r.representative then 'key matches a finding that was fixed'
                    when r.is_new or r.ord is null then 'same best key as another result of this report'
                    else 'key matches' end,
               $7,
               case when d.reason is not null then 'drift' else r.key_kinds[coalesce(r.ord, 1)] end,
               case when d.reason is null then r.keys[coalesce(r.ord, 1)] end,
               coalesce(d.fields, r.key_fields -> (coalesce(r.ord, 1)::int - 1), '{}'),
               case when d.reason is not null then array[d.finding] when r.is_new and r.representative then r.candidates || coalesce(e.rivals, '{}') else r.candidates end,
               $8, $9
        from merge_row r
        left join o on o.id = r.observation
        left join merge_change c on c.target = r.target
        left join merge_drift d on d.finding = r.target
        left join merge_evidence e on e.result = r.target
        left join merge_past past on past.target = r.target
        where o.id is not null or (c.reopened and r.representative)
          or (past.target is not null and r.representative and not exists (
            select from vuln_center.decision known
            where known.tenant = $1 and known.finding = r.target and known.pointer = r.pointer
              and known.reason = 'key matches a finding that was gone after this scan began: no regression'))
        """;

    /// <summary>
    /// What its finding was known by anew may have another number than when the same bytes came first: it is recognised by the one that it
    /// has now (<see cref="Dedup.Recollection"/>). Nearly every result matched by its best key, and is not looked at.
    /// </summary>
    public const string Renumbered = """
        update vuln_center.observation o set identity = shown.identity
        from (
          select k.place, r.identity from merge_row r
          cross join lateral (
            select k.ctid as place from vuln_center.observation k
            where k.tenant = $1 and k.finding = r.target and k.payload_hash = r.payload_hash and k.occurrence = r.occurrence and k.identity is distinct from r.identity
            offset 0) k
          where not r.is_new and r.ord is distinct from 1 and r.identity is not null) shown
        where o.ctid = shown.place
        """;

    /// <summary>What is shown again where it stood before has not moved away. Uses observation_moved: next to none did.</summary>
    public const string Returned = """
        with moved as materialized (
          select finding, payload_hash, occurrence from vuln_center.observation where tenant = $1 and moved
        )
        update vuln_center.observation o set moved = false
        from moved m join merge_row r on r.target = m.finding and r.payload_hash = m.payload_hash and r.occurrence = m.occurrence
        where o.tenant = $1 and o.finding = m.finding and o.payload_hash = m.payload_hash and o.occurrence = m.occurrence
        """;

    /// <summary>A result that was refused before, at the same place of the same source's report for the same reason, has its decision already.</summary>
    public const string InsertRejections = """
        insert into vuln_center.decision (at, tenant, scan, pointer, outcome, reason, rule_set, fields, candidates, service, source)
        select $6, $1, $5, r.pointer, $7, r.code || ': ' || r.reason, $8, '{}', '{}', $3, $4
        from vuln_center.staged_rejection r
        where r.import = $2 and r.service = $3 and r.source = $4
          and not exists (
            select from vuln_center.decision d join vuln_center.scan s on s.tenant = d.tenant and s.id = d.scan
            where d.tenant = $1 and d.outcome = 4 and d.pointer = r.pointer and d.reason = r.code || ': ' || r.reason
              and s.service = $3 and s.source = $4)
        """;

    /// <summary>What was said of a finding before, by the same key for the same reason, has its decision already; of none, as with other rejections.</summary>
    public const string InsertDismissals = """
        insert into vuln_center.decision (at, tenant, finding, scan, pointer, outcome, reason, rule_set, key_kind, key, fields, candidates, service, source)
        select $5, $1, m.target, $4, m.pointer, $6, m.reason, $7, m.key_kind, m.key, coalesce(m.fields, '{}'), m.candidates, $2, $3
        from merge_dismissed m
        where case when m.target is not null
                then not exists (
                  select from vuln_center.decision d where d.tenant = $1 and d.finding = m.target and d.outcome = $6 and d.key = m.key and d.reason = m.reason)
                else not exists (
                  select from vuln_center.decision d join vuln_center.scan s on s.tenant = d.tenant and s.id = d.scan
                  where d.tenant = $1 and d.outcome = 4 and d.pointer = m.pointer and d.reason = m.reason and d.finding is null and s.service = $2 and s.source = $3) end
        order by m.ordinal
        """;

    /// <summary>When a scan last called a finding no problem: until a later one says nothing of it, it is not shown to be gone.</summary>
    public const string SpokenOf = """
        update vuln_center.finding_seen s set dismissed_at = greatest(s.dismissed_at, $2)
        from (select distinct target from merge_dismissed where target is not null) d
        where s.tenant = $1 and s.finding = d.target
        """;

    public const string Seen = """
        insert into vuln_center.finding_seen (tenant, finding, scan, at)
        select $1, target, $2, $3 from merge_row where representative
        on conflict (tenant, finding) do update set scan = excluded.scan, at = excluded.at where not finding_seen.scan = any ($4)
        """;

    /// <summary>
    /// Keys of this scan that took in results of different rules ($6 or more) or many places ($7). Nearly every finding has one
    /// result, and is not looked at. Returns the number that were not known to be so.
    /// </summary>
    public const string OverMerged = """
        with suspicious as (
          insert into vuln_center.overmerge as known (tenant, finding, key, key_kind, service, source, rules, lines, observations, scan, since)
          select $1, target, key, kind, $2, $3, count(distinct rule), count(distinct (path, line)), count(*), $4, $5
          from (
            select target, rule, path, line, keys[coalesce(ord, 1)] as key, key_kinds[coalesce(ord, 1)] as kind
            from merge_row where target in (select target from merge_row where not representative)) several
          group by target, key, kind
          having count(distinct rule) >= $6 or count(distinct (path, line)) >= $7
          on conflict (tenant, finding, key) do update
            set rules = greatest(known.rules, excluded.rules), lines = greatest(known.lines, excluded.lines), observations = greatest(known.observations, excluded.observations)
            where excluded.rules > known.rules or excluded.lines > known.lines or excluded.observations > known.observations
          returning (xmax = 0) as is_new
        )
        select count(*) filter (where is_new) from suspicious
        """;

    public const string InsertScan = """
        insert into vuln_center.scan (
          tenant, id, import, service, source, tool, tool_version, format, scope, scope_filter, failure, report_digest, started_at, finished_at,
          new, matched, reopened, rejected, findings_changed, fixed, items, closes_nothing, category, images, kinds, repository, commit_id, hosts, not_judged)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21::json, $22, $23, $24, $25::smallint[], $26, $27, $28, $29::json)
        """;

    /// <summary>What became of each result, in the order of the report.</summary>
    public const string Items = """
        select r.pointer,
               case when r.is_new and r.representative then $1 when c.reopened and r.representative then $3 else $2 end, r.target, r.ordinal
        from merge_row r left join merge_change c on c.target = r.target
        order by r.ordinal
        """;

    public const string Unstage = """
        with results as (delete from vuln_center.staged where import = $1 and service = $2 and source = $3)
        delete from vuln_center.staged_rejection where import = $1 and service = $2 and source = $3
        """;
}

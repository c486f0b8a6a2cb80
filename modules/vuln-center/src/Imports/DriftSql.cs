namespace Wave16.VulnCenter.Imports;

/// <summary>Results without a finding that are one which moved (docs/dedup.md): <c>merge_evidence</c>, of it <c>merge_drift</c>, which <c>merge_row</c> then follows.</summary>
internal static class DriftSql
{
    /// <summary>
    /// Results without a finding beside the findings that the scan before showed and this one does not, by what they have in
    /// common (docs/dedup.md). <c>gone</c> is set where exactly one result and one finding have it in common, and nothing
    /// else in common with others; the rest is ambiguous. Linear in both: groups, no pairs of everything with everything.
    /// $4 kinds, $5 statuses, $6 the scan's filter, $7 whether the scan ran to its end, $8 secret, $9 whether it
    /// showed all within the filter: then the scan before is the last one to begin that did so too, if there is any. Uses finding_by_path and scan_by_source.
    /// </summary>
    public const string Evidence = """
        create temp table merge_evidence on commit drop as
        with before as (
          select p.started_at, p.finished_at from vuln_center.scan p
          where p.tenant = $1 and p.service = $2 and p.source = $3 and p.scope_filter is not distinct from $6 and p.failure is null
          order by case when $9 then p.scope end desc nulls last, p.started_at desc, p.finished_at desc limit 1
        ), fresh as (
          select target as id, kind, rule, image, path, line, resource, code_scope, array_remove(contents, null) as contents
          from merge_row where is_new and representative and path is not null and kind = any ($4) and $7
        ), gone as (
          select f.id, f.kind, f.rule, f.image, f.path, f.line, f.resource, f.code_scope,
                 array(select k.content from vuln_center.finding_key k where k.tenant = $1 and k.finding = f.id and k.content is not null) as contents
          from vuln_center.finding f
          where f.tenant = $1 and f.service = $2 and f.source = $3 and f.path is not null and f.kind in (2, 4, 5) and f.status in (1, 2)
            and f.kind = any ($4) and f.status = any ($5) and (select exists (select from fresh))
            and f.rule in (select rule from fresh)
            and exists (
              select from vuln_center.finding_seen s join vuln_center.scan last on last.tenant = s.tenant and last.id = s.scan
              where s.tenant = $1 and s.finding = f.id and (last.started_at, last.finished_at) >= (select started_at, finished_at from before))
            and not exists (select from merge_row r where r.target = f.id)
            and not exists (select from merge_dismissed d where d.target = f.id)
        ), clue as (
          select distinct side.id, side.is_fresh, c.clue
          from (select *, true as is_fresh from fresh where rule in (select rule from gone) union all select *, false from gone) side
          cross join lateral (select regexp_replace(side.path, '^.*/', ''), regexp_replace(side.path, '[^/]*$', '')) as name(base, directory)
          cross join lateral (
            select jsonb_build_array('lines', side.kind, side.rule, side.image, side.path, side.resource, side.code_scope) as clue where side.kind <> $8
            union all
            select jsonb_build_array('moved', side.kind, side.rule, side.image, name.base, content) from unnest(side.contents) as content
            union all
            select jsonb_build_array('renamed', side.kind, side.rule, side.image, name.directory, content) from unnest(side.contents) as content
            union all
            select jsonb_build_array('moved', side.kind, side.rule, side.image, name.base, null, side.line)
            where side.kind <> $8 and side.contents = '{}' and side.resource is null and side.line is not null) c
        ), shared as (
          select array_agg(id order by id) filter (where is_fresh) as results, array_agg(id order by id) filter (where not is_fresh) as findings
          from clue group by clue having bool_or(is_fresh) and not bool_and(is_fresh)
        ), pair as (
          select distinct results[1] as result, findings[1] as finding from shared where cardinality(results) = 1 and cardinality(findings) = 1
        ), torn as (
          select distinct u.id from shared, unnest(results || findings) as u(id) where cardinality(results) > 1 or cardinality(findings) > 1
          union
          select result from pair group by result having count(*) > 1
          union
          select finding from pair group by finding having count(*) > 1
        )
        select p.result, p.finding as gone, array[p.finding] as rivals from pair p
        where not exists (select from torn t where t.id in (p.result, p.finding))
        union all
        select u.result, null, (array_agg(distinct f.finding))[1:10]
        from shared s, unnest(s.results) as u(result), unnest(s.findings[1:10]) as f(finding)
        where u.result in (select id from torn) or exists (select from unnest(s.findings) as t(id) where t.id in (select id from torn))
        group by u.result
        """;

    public const string AnalyzeEvidence = "analyze merge_evidence";

    /// <summary>
    /// The pairs that stand: no key of both tells them apart; where lines shifted, the code may differ; where a file moved,
    /// nothing is shown in the old one and nothing was known in the new one. Findings are locked in id order, and looked up one by
    /// one: of a tenant that came since the last analyze the planner expects next to none, and would walk all of them for each result.
    /// $4 statuses, $5 the scan's filter, $6 whether the scan showed all within it, $7 line hashes, $8 keys made of code.
    /// </summary>
    public static readonly string Drift = $$"""
        create temp table merge_drift on commit drop as
        select r.target as result, f.id as finding, f.path <> r.path as moved,
               case when f.path <> r.path then 'file moved: ' else 'lines shifted: ' end
                 || 'the only result and the only finding of the rule that fit, both without another match' as reason,
               f.path || coalesce(':' || f.line, '') || ' → ' || r.path || coalesce(':' || r.line, '') as places,
               jsonb_strip_nulls(jsonb_build_object(
                 'rule', r.rule,
                 'path', case when f.path = r.path then r.path else f.path || ' → ' || r.path end,
                 'line', case when f.line = r.line then r.line::text else f.line || ' → ' || r.line end,
                 'code', case when same.keys <> '{}' then 'the same by ' || array_to_string(same.keys, ', ') when f.path = r.path then 'another' end,
                 'scope', case when f.code_scope = r.code_scope then 'the same' end,
                 'resource', r.resource)) as fields
        from (select r.*, e.gone from merge_evidence e join merge_row r on r.target = e.result and r.representative where e.gone is not null order by e.gone offset 0) r
        cross join lateral (
          select f.id, f.service, f.source, f.kind, f.status, f.path, f.line, f.image, f.url, f.resource, f.code_scope
          from vuln_center.finding f where f.tenant = $1 and f.id = r.gone and f.status = any ($4) for update of f) f
        left join (select distinct path from merge_row) shown on shown.path = f.path
        cross join lateral (
          select array(
            select distinct u.kind from unnest(r.key_kinds, r.contents) as u(kind, content)
            join vuln_center.finding_key k on k.tenant = $1 and k.finding = f.id and k.kind = u.kind and k.content = u.content)) as same(keys)
        where case when f.path = r.path then $6 or f.line = r.line
                   else $6 and shown.path is null
                        and not exists (
                          select from vuln_center.finding known
                          where known.tenant = $1 and known.service = $2 and known.source = $3
                              and hashtextextended(known.path, 16) = hashtextextended(r.path, 16) and known.path = r.path
                            and known.kind in (2, 4, 5) and known.status in (1, 2)) end
          and ($5::text is null or ({{ScanCoverage.Within("$5::text", "f")}} and {{ScanCoverage.Within("$5::text", "r")}}))
          and not exists (
            select from unnest(r.key_kinds) as u(kind)
            where not u.kind like any ($7) and (f.path <> r.path or not u.kind = any ($8)) and not u.kind = any (same.keys)
              and exists (select from vuln_center.finding_key k where k.tenant = $1 and k.finding = f.id and k.kind = u.kind)
              and not (u.kind = any ($8) and not exists (
                select from vuln_center.finding_key k where k.tenant = $1 and k.finding = f.id and k.kind = u.kind and k.content is not null)))
        """;

    /// <summary>A finding is not followed to where one stands that somebody told it apart from.</summary>
    public const string StayApart = """
        delete from merge_drift d
        using merge_row r
        where r.target = d.result and r.representative and exists (
          select from vuln_center.never_merge n
          where n.tenant = $1 and n.finding = d.finding and exists (
            select from vuln_center.observation o
            where o.tenant = $1 and o.finding = n.other
              and (o.payload_hash = r.payload_hash or (o.identity ->> 'path' = r.path and (o.identity ->> 'line')::int is not distinct from r.line))
            offset 0)
          offset 0)
        """;

    public const string Adopt = """
        update merge_row r set target = d.finding, is_new = false, ord = null from merge_drift d where r.target = d.result
        """;

    /// <summary>A finding that drifted is known by its new place only: kept, the old keys would later draw in what stands there then.</summary>
    public const string ForgetKeys = """
        with moved as (
          update vuln_center.observation o set moved = true from merge_drift d where o.tenant = $1 and o.finding = d.finding
        )
        delete from vuln_center.finding_key k using merge_drift d where k.tenant = $1 and k.finding = d.finding
        """;
}

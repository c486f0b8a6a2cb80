using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Dedup;

/// <summary>The statements of <see cref="Unmerging"/>; $1 is the tenant, $2 and $3 the finding and the one split from it unless said otherwise.</summary>
internal static class UnmergeSql
{
    public static readonly string Finding = $"select {FindingRow.Columns("f")} from vuln_center.finding f where f.tenant = $1 and f.id = $2 for update";

    public const string Observations = """
        select o.id, s.finished_at, o.moved, o.identity, o.payload_hash
        from vuln_center.observation o join vuln_center.scan s on s.tenant = o.tenant and s.id = o.scan
        where o.tenant = $1 and o.finding = $2 order by s.finished_at, o.id
        """;

    /// <summary>
    /// Columns of a finding that differ from those of $3, as JSON, with severity and vector as the scan said them: none where the
    /// finding looks like one of the observations $4 of $2; else those of the worst. Where its columns are not known any more,
    /// what its identity says, and the next scan that shows it brings the rest. Then what the feeds say of its ids, and its title.
    /// </summary>
    public const string Face = $$"""
        with face as (
          select c.columns, f.title, f.scan_severity, f.scan_severity_from, f.cvss_vector, f.exploit, f.identifiers
          from vuln_center.finding f
          join vuln_center.observation o on o.tenant = f.tenant and o.finding = $2 and o.id = any ($4)
          cross join lateral (
            select case
              when o.content_hash = f.content_hash then '{}'
              when o.face is not null then o.face || jsonb_build_object('scan_severity', o.face -> 'severity', 'scan_severity_from', o.face -> 'severity_from')
              when o.identity is not null then jsonb_build_object(
                'rule', o.identity -> 'rule', 'component', o.identity -> 'component', 'component_version', o.identity -> 'componentVersion',
                'component_key', coalesce(o.identity ->> 'purl', (o.identity ->> 'ecosystem') || ':' || (o.identity ->> 'component')),
                'manifest', o.identity -> 'manifest', 'image', o.identity -> 'image', 'path', o.identity -> 'path', 'line', o.identity -> 'line', 'end_line', o.identity -> 'endLine',
                'resource', o.identity -> 'resource', 'url', o.identity -> 'url', 'identifiers', coalesce(o.identity -> 'identifiers', '[]'),
                'raw_severity', o.raw_severity, 'content_hash', '\x')
                || case when o.identity ->> 'component' is distinct from f.component or o.identity ->> 'componentVersion' is distinct from f.component_version
                     then '{"purl": null, "fixed_versions": []}'::jsonb else '{}' end
              else jsonb_build_object('content_hash', '\x') end as columns) c
          where f.tenant = $1 and f.id = $3
          order by o.content_hash is not distinct from f.content_hash desc, o.moved, o.face is null, (o.face ->> 'severity')::smallint desc, o.content_hash, o.id
          limit 1
        ), ids as (
          select 1 as id, i.name from face, jsonb_array_elements_text(coalesce(face.columns -> 'identifiers', to_jsonb(face.identifiers))) as i(name)
        ), {{RiskSql.Of}}
        select (columns - array['severity', 'severity_from', 'cvss_score'])::text, coalesce((columns ->> 'scan_severity')::smallint, scan_severity),
               coalesce(columns ->> 'scan_severity_from', scan_severity_from), case when columns ? 'cvss_vector' then columns ->> 'cvss_vector' else cvss_vector end,
               coalesce((columns ->> 'exploit')::bool, exploit), risk.epss, coalesce(risk.kev, false), coalesce(columns ->> 'title', title)
        from face left join risk on true
        """;

    /// <summary>$4 audit hash, $5 columns, $6 first seen; the rest is in <c>settled</c>.</summary>
    public const string InsertFinding = """
        insert into vuln_center.finding (
          tenant, id, version, service, source, kind, rule, title, scan_severity, scan_severity_from, cvss_vector, exploit, raw_severity,
          identifiers, component, component_version, component_key, purl, fixed_versions, manifest, image, path, line, end_line, resource, url,
          environments, assignee, first_seen, content_hash, audit_hash, detail, code_scope,
          status, status_since, regression, gate, severity, severity_from, cvss_score, epss, kev, ssvc,
          sla_policy, sla_from, sla_paused, sla_paused_at, sla_warn_at, sla_due_at, sla_warned_at, sla_breached_at)
        select $1, $3, s.version, f.service, f.source, c.kind, c.rule, c.title, c.scan_severity, c.scan_severity_from, c.cvss_vector, c.exploit, c.raw_severity,
          c.identifiers, c.component, c.component_version, c.component_key, c.purl, c.fixed_versions, c.manifest, c.image, c.path, c.line, c.end_line, c.resource, c.url,
          c.environments, f.assignee, $6, c.content_hash, $4, c.detail, c.code_scope,
          s.status, s.status_since, s.regression, s.gate, s.severity, s.severity_from, s.cvss_score, s.epss, s.kev, s.ssvc,
          s.sla_policy, s.sla_from, s.sla_paused, s.sla_paused_at, s.sla_warn_at, s.sla_due_at, s.sla_warned_at, s.sla_breached_at
        from vuln_center.finding f
        join settled s on s.id = $3
        cross join lateral jsonb_populate_record(null::vuln_center.finding, to_jsonb(f) - 'words' || $5::jsonb) c
        where f.tenant = $1 and f.id = $2
        """;

    /// <summary>$3 audit hash, $4 columns; the rest is in <c>settled</c>.</summary>
    public const string UpdateFinding = $"""
        update vuln_center.finding f
        set {SettledSet.Assignments}, audit_hash = $3,
            rule = c.rule, title = c.title, scan_severity = c.scan_severity, scan_severity_from = c.scan_severity_from, cvss_vector = c.cvss_vector, exploit = c.exploit,
            raw_severity = c.raw_severity, identifiers = c.identifiers, component = c.component, component_version = c.component_version, component_key = c.component_key,
            purl = c.purl, fixed_versions = c.fixed_versions, manifest = c.manifest, image = c.image, path = c.path, line = c.line, end_line = c.end_line,
            resource = c.resource, url = c.url, environments = c.environments, content_hash = c.content_hash, detail = c.detail, code_scope = c.code_scope
        from vuln_center.finding g
        join settled s on s.id = g.id
        cross join lateral jsonb_populate_record(null::vuln_center.finding, to_jsonb(g) - 'words' || $4::jsonb) c
        where f.tenant = $1 and f.id = $2 and g.tenant = f.tenant and g.id = f.id
        """;

    public const string Seen = """
        insert into vuln_center.finding_seen (tenant, finding, scan, at) select tenant, $3, scan, at from vuln_center.finding_seen where tenant = $1 and finding = $2
        """;

    /// <summary>What people keep out of the finding's group was kept out of the group of the one split from it, too. A link says nothing of it: it may be either's.</summary>
    public const string NeverGroup = """
        insert into vuln_center.group_pair (tenant, a, b, apart, taken, at, actor, reason)
        select $1, least(said.other, $3), greatest(said.other, $3), true, case said.taken when $2 then $3 else said.taken end, said.at, said.actor, said.reason
        from (
          select b as other, taken, at, actor, reason from vuln_center.group_pair where tenant = $1 and a = $2 and apart
          union all
          select a, taken, at, actor, reason from vuln_center.group_pair where tenant = $1 and b = $2 and apart) said
        """;

    /// <summary>What the finding was told apart from, the one split from it is, too.</summary>
    public const string NeverMerge = """
        with apart as (
          select $2::uuid as other union select n.other from vuln_center.never_merge n where n.tenant = $1 and n.finding = $2
        )
        insert into vuln_center.never_merge (tenant, finding, other, service, source, at, actor, reason)
        select $1, $3, other, $4, $5, $6, $7, $8 from apart
        union all
        select $1, other, $3, $4, $5, $6, $7, $8 from apart
        """;

    /// <summary>$2 the new finding, $3 the one it comes from, $4 now, $5 outcome, $6 rule set, $7 service, $8 source, $9 observations, $10 to $12 kind, hash and fields of the best key of each.</summary>
    public const string Decisions = """
        insert into vuln_center.decision (at, tenant, finding, observation, scan, pointer, outcome, reason, rule_set, key_kind, key, fields, candidates, service, source)
        select $4, $1, $2, o.id, o.scan, o.pointer, $5, 'somebody told it from the finding it was part of', $6, u.kind, u.key, u.fields::jsonb, array[$3], $7, $8
        from unnest($9::uuid[], $10::text[], $11::bytea[], $12::text[]) as u(observation, kind, key, fields)
        join vuln_center.observation o on o.tenant = $1 and o.finding = $2 and o.id = u.observation
        order by o.id
        """;
}

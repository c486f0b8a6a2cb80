using Npgsql;

namespace Wave16.Bench;

/// <summary>
/// A backlog as a large organisation has it, written by SQL: two years, 400 services, 12 sources, 60,000 advisories and 30,000 components
/// of which few are everywhere and most are rare, old findings closed and young ones open.
/// </summary>
internal static class Backlog
{
    private const int Batch = 50_000;

    // $1 tenant, $2 and $3 first and last number, $4 now, $5 scan. What is random is a hash of the number: every run has the same rows.
    private const string Fill = """
        with draw as (
          select i,
                 (hashint8(i + 1000003) & 1048575) / 1048576.0 as u_service, (hashint8(i + 2000003) & 1048575) / 1048576.0 as u_source,
                 (hashint8(i + 3000017) & 1048575) / 1048576.0 as u_severity, (hashint8(i + 4000037) & 1048575) / 1048576.0 as u_status,
                 (hashint8(i + 5000011) & 1048575) / 1048576.0 as u_age, (hashint8(i + 6000011) & 1048575) / 1048576.0 as u_cve,
                 (hashint8(i + 7000003) & 1048575) / 1048576.0 as u_component, (hashint8(i + 8000009) & 1048575) / 1048576.0 as u_word,
                 (hashint8(i + 9000011) & 1048575) / 1048576.0 as u_env, (hashint8(i + 10000019) & 1048575) / 1048576.0 as u_closed
          from generate_series($2::bigint, $3::bigint) as i
        ), ranked as (
          select d.*, exp(u_service * ln(401))::int as service_rank, exp(u_source * ln(12.4))::int as source_rank,
                 exp(u_cve * ln(60001))::int as cve_rank, exp(u_component * ln(30001))::int as component_rank,
                 case when u_source < 0.8 then 1 when u_source < 0.88 then 2 when u_source < 0.94 then 5 when u_source < 0.97 then 3 else 4 end as kind,
                 case when u_severity < 0.03 then 6 when u_severity < 0.20 then 5 when u_severity < 0.65 then 4 when u_severity < 0.95 then 3 else 2 end as severity,
                 case when u_status < 0.15 then 1 when u_status < 0.20 then 2 when u_status < 0.70 then 3 else 4 end as status
          from draw d
        ), dated as (
          select r.*, $4::timestamptz - interval '730 days' * power(u_age, case when status <= 2 then 2 else 0.7 end) as first_seen,
                 (hashint8(cve_rank + 11000027) & 1048575) / 1048576.0 as u_epss, hashint8(cve_rank + 12000017) & 127 = 0 and kind = 1 as kev
          from ranked r
        ), told as (
          select d.*, first_seen + ($4::timestamptz - first_seen) * u_closed as status_since,
                 interval '1 day' * (case severity when 6 then 7 when 5 then 30 when 4 then 90 end) as allowed
          from dated d
        ), f as (
          insert into vuln_center.finding (
            tenant, id, version, service, source, kind, rule, title, severity, severity_from, scan_severity, scan_severity_from, status, status_since, gate,
            identifiers, component, component_version, purl, component_key, fixed_versions, path, environments, first_seen, content_hash, audit_hash, detail,
            epss, kev, suppression, suppression_reason, suppressed_at, suppressed_until, sla_policy, sla_from, sla_due_at, sla_warned_at, sla_breached_at)
          select $1, md5($1 || i)::uuid, 1, 'service-' || service_rank, 'source-' || source_rank, kind,
                 case when kind = 1 then 'CVE-' || 2015 + cve_rank % 11 || '-' || 1000 + cve_rank else 'rule-' || cve_rank % 900 end,
                 'package-' || component_rank || ': '
                   || (array['overflow', 'overflow', 'overflow', 'injection', 'traversal', 'disclosure', 'deserialization', 'bypass', 'confusion', 'exhaustion'])[1 + floor(u_word * 10)::int]
                   || ' in ' || (array['parser', 'decoder', 'session', 'router', 'cache'])[1 + i % 5] || ' w' || (hashint8(i) & 8191),
                 severity, 'source', severity, 'source', status, status_since, false,
                 case when kind = 1 then array['CVE-' || 2015 + cve_rank % 11 || '-' || 1000 + cve_rank] else '{}' end,
                 'package-' || component_rank, '1.' || i % 40 || '.' || i % 9, 'pkg:npm/package-' || component_rank || '@1.' || i % 40 || '.' || i % 9,
                 'pkg:npm/package-' || component_rank, '{}', case when kind > 1 then 'src/' || i % 4000 || '.cs' end,
                 case when u_env < 0.6 then array['production'] when u_env < 0.8 then array['staging', 'production'] when u_env < 0.8003 then array['lab'] else '{}' end,
                 first_seen, decode(md5(i::text), 'hex'), '\x00', '{"cvss":[],"cwes":[125],"references":["https://example.org/advisories/1","https://example.org/advisories/2"],"description":"An attacker who controls the header can read beyond the end of the buffer and, by repeating it, learn what the process holds in memory. Update the component."}',
                 case when kind = 1 then case when kev then 0.3 + 0.7 * u_epss else power(u_epss, 16) end end, kev,
                 case when status <= 2 and u_closed < 0.02 then 1 + i % 2 end, 'known', $4::timestamptz, $4::timestamptz + interval '90 days',
                 case when allowed is not null then 'default' end, first_seen,
                 case when status <= 2 then first_seen + allowed end,
                 case when status <= 2 and first_seen + allowed * 0.8 < $4::timestamptz or status > 2 and status_since > first_seen + allowed * 0.8 then first_seen + allowed * 0.8 end,
                 case when status <= 2 and first_seen + allowed < $4::timestamptz or status > 2 and status_since > first_seen + allowed then first_seen + allowed end
          from told
          returning id, status, status_since, first_seen
        ), s as (
          insert into vuln_center.finding_seen (tenant, finding, scan, at) select $1, id, $5::uuid, $4::timestamptz from f
        )
        insert into vuln_center.transition (tenant, finding, version, at, actor, change, from_status, to_status)
        select $1, id, t.version, case when t.version = 1 then first_seen else status_since end, 'bench', 'bench', t.was, t.becomes
        from f, (values (1, 1, null::int, 1), (2, 2, 1, 2), (3, 2, 1, 3), (4, 2, 1, 3), (4, 3, 3, 4)) as t(status, version, was, becomes)
        where t.status = f.status or t.version = 1 and t.status = 1 and f.status > 1
        """;

    public static async Task WriteAsync(NpgsqlDataSource database, string tenant, int first, int count, DateTimeOffset now, CancellationToken cancellation)
    {
        for (var from = first; from < first + count; from += Batch)
        {
            await using var command = database.CreateCommand(Fill);
            command.CommandTimeout = 600;
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = from });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = Math.Min(from + Batch, first + count) - 1 });
            command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now.ToUniversalTime() });
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = Guid.Empty });
            await command.ExecuteNonQueryAsync(cancellation);
        }
    }
}

using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>The statements of <see cref="Rekeying"/>. $1 to $3 are tenant, service and source where they occur.</summary>
internal static class RekeySql
{
    public const string Tables = """
        create temp table if not exists rekey_finding (finding uuid, seen timestamptz, keeps bool, stays bigint) on commit drop;
        create temp table if not exists rekey_claim (finding uuid, seen timestamptz, place int, key bytea, kind text, content bytea, family bytea, number int, fields jsonb) on commit drop;
        create temp table if not exists rekey_part (finding uuid, part int, observation uuid, scan uuid, pointer text, key bytea, kind text, fields jsonb, known_by bytea[], known_kinds text[]) on commit drop;
        truncate rekey_finding, rekey_claim, rekey_part
        """;

    /// <summary>Findings first seen first, their observations in the order they came; of those of one scan the one that the finding looks like first. Uses finding_by_service and observation's primary key.</summary>
    public const string Observations = """
        select f.id, f.first_seen, o.id, o.scan, o.pointer, o.payload_hash, o.identity
        from vuln_center.finding f
        join vuln_center.observation o on o.tenant = f.tenant and o.finding = f.id and not o.moved
        join vuln_center.scan s on s.tenant = o.tenant and s.id = o.scan
        where f.tenant = $1 and f.service = $2 and f.source = $3 and f.kind = any ($4)
        order by f.first_seen, f.id, s.finished_at, o.content_hash is distinct from f.content_hash, o.id
        """;

    public const string Analyze = "analyze rekey_finding; analyze rekey_claim; analyze rekey_part";

    /// <summary>
    /// An observation that an import would not recognise as its finding now (<see cref="MatchSql.HolderOf"/>) is not split from it: rules before
    /// these did that. Uses finding_key's primary key and finding_key_of.
    /// </summary>
    public static readonly string Elsewhere = $"""
        delete from rekey_part p
        where p.part > 0 and p.finding is distinct from (
          select k.finding
          from unnest(p.known_by) with ordinality as u(key, ord)
          join lateral (
            {MatchSql.HolderOf("p.known_kinds")}
          ) k on k.usable
          order by u.ord limit 1)
        """;

    public const string Whole = """
        delete from rekey_part p where p.part = 0 and p.finding not in (select finding from rekey_part where part > 0)
        """;

    public const string Forget = """
        delete from vuln_center.finding_key k using rekey_finding f where k.tenant = $1 and k.finding = f.finding and not f.keeps
        """;

    /// <summary>A finding's best keys go before the worse ones of others; what two claim alike, the one first seen has.</summary>
    public const string Claim = """
        insert into vuln_center.finding_key (tenant, service, source, key, finding, kind, content, family, number)
        select $1, $2, $3, key, finding, kind, content, family, number from rekey_claim order by place, seen, finding
        on conflict do nothing
        """;

    public const string Lost = """
        insert into vuln_center.decision (at, tenant, finding, observation, scan, pointer, outcome, reason, rule_set, key_kind, key, fields, candidates, service, source)
        select $4, $1, c.finding, o.id, o.scan, o.pointer, $5, 'rules changed: the key is that of a finding first seen before', $6, c.kind, c.key, c.fields, array[k.finding], $2, $3
        from rekey_claim c
        join vuln_center.finding_key k on k.tenant = $1 and k.service = $2 and k.source = $3 and k.key = c.key and k.finding <> c.finding
        cross join lateral (
          select o.id, o.scan, o.pointer from vuln_center.observation o where o.tenant = $1 and o.finding = c.finding and not o.moved order by o.id limit 1) o
        where c.place = 0
        """;

    /// <summary>Returns the number of findings.</summary>
    public const string Released = """
        with released as (
          insert into vuln_center.decision (at, tenant, finding, observation, scan, pointer, outcome, reason, rule_set, key_kind, key, fields, candidates, service, source)
          select $4, $1, finding, observation, scan, pointer, $5, 'rules changed: no key in common with what the finding was first seen as; when it is seen again it is another finding',
                 $6, kind, key, fields, array[finding], $2, $3
          from rekey_part where part > 0
          returning finding
        )
        select count(distinct finding) from released
        """;

    public const string Splits = """
        select p.finding, case p.part when 0 then min(f.stays) else count(*) end, (array_agg(p.observation order by p.observation))[1:100], min(p.kind),
               (array_agg(p.fields))[1]
        from rekey_part p join rekey_finding f using (finding)
        where p.finding in (select r.finding from rekey_finding r where r.finding in (select finding from rekey_part) order by r.seen, r.finding limit $1)
        group by p.finding, p.part, f.seen
        order by f.seen, p.finding, p.part
        """;

    public const string Merges = """
        select count(*) over (), count(distinct finding), (array_agg(finding order by seen, finding))[1:100], min(kind), (array_agg(fields))[1]
        from rekey_claim where place = 0
        group by key having count(distinct finding) > 1
        order by min(seen), key limit $1
        """;
}

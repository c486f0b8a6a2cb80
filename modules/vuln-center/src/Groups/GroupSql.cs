namespace Wave16.VulnCenter.Groups;

/// <summary>The statements of grouping. A cell is the hash of a component's key: its findings in one service are grouped as a whole.</summary>
internal static class GroupSql
{
    private const string Cell = "hashtextextended(f.component_key, 16)";

    /// <summary>Before a merge writes: cells that findings leave because their component is another one now.</summary>
    public const string Left = $"""
        select distinct {Cell} from merge_change c join vuln_center.finding f on f.tenant = $1 and f.id = c.target
        where f.component_key is not null and f.component_key is distinct from c.component_key
        """;

    /// <summary>
    /// What a merge has to group anew: cells of findings that are new or changed in which another source has findings too or
    /// somebody linked one to elsewhere, and grouped findings that changed. Nothing where the service has one source. Uses scan_by_source and finding_by_cell.
    /// </summary>
    public const string Merged = $"""
        with changed as materialized (
          select target as id from merge_row where is_new and representative
          union all
          select target from merge_change
        ), cell as materialized (
          select distinct {Cell} as cell from changed c join vuln_center.finding f on f.tenant = $1 and f.id = c.id
          where f.component_key is not null and cardinality(f.identifiers) > 0
            and exists (select from vuln_center.scan s where s.tenant = $1 and s.service = $2 and s.source <> $3)
        )
        select distinct c.cell, null::uuid from cell c
        join vuln_center.finding f on f.tenant = $1 and f.service = $2 and f.component_key is not null and {Cell} = c.cell
        left join vuln_center.group_member m on m.tenant = $1 and m.finding = f.id
        where f.source <> $3 or m.finding is not null
        union all
        select null, m.finding from changed c join vuln_center.group_member m on m.tenant = $1 and m.finding = c.id
        """;

    /// <summary>Findings of cells ($3), and some by their ids ($4), with the group each is in. Uses finding_by_cell.</summary>
    public const string Nodes = $"""
        select f.id, f.source, f.component_key, f.rule, f.identifiers, {Cell}, m.grouped, m.links, coalesce(g.manual, false)
        from (
          select f.id from vuln_center.finding f
          where f.tenant = $1 and f.service = $2 and f.component_key is not null and {Cell} = any ($3)
          union
          select unnest($4)) wanted
        join vuln_center.finding f on f.tenant = $1 and f.id = wanted.id and f.service = $2
        left join vuln_center.group_member m on m.tenant = $1 and m.finding = f.id
        left join vuln_center.finding_group g on g.tenant = $1 and g.id = m.grouped
        """;

    /// <summary>Who else is in the groups ($2) and, by people's word, belongs to the findings ($3).</summary>
    public const string Mates = """
        select finding from vuln_center.group_member where tenant = $1 and grouped = any ($2)
        union
        select b from vuln_center.group_pair where tenant = $1 and a = any ($3) and not apart
        union
        select a from vuln_center.group_pair where tenant = $1 and b = any ($3) and not apart
        """;

    public const string Pairs = """
        select a, b, apart, taken, at from vuln_center.group_pair where tenant = $1 and a = any ($2)
        union
        select a, b, apart, taken, at from vuln_center.group_pair where tenant = $1 and b = any ($2)
        """;

    public const string Clusters = "select id, cluster from vuln_center.alias_cluster where tenant = $1 and id = any ($2)";

    /// <summary>Cells with their services: those of several sources, and those of which a finding is grouped already. Others have nothing to join.</summary>
    public const string Cells = $"""
        select f.service, {Cell} as cell from vuln_center.finding f
        where f.tenant = $1 and f.component_key is not null
        group by f.service, cell having min(f.source) <> max(f.source)
        union
        select f.service, {Cell} from vuln_center.group_member m join vuln_center.finding f on f.tenant = $1 and f.id = m.finding
        where m.tenant = $1 and f.component_key is not null
        order by 1, 2
        """;

    /// <summary>Findings that name one of the ids, with their cells. Uses finding_by_identifier.</summary>
    public const string Naming = $"""
        select f.id, f.service, {Cell} from vuln_center.finding f
        where f.tenant = $1 and f.identifiers && $2
          and (array_prepend(f.tenant, f.identifiers) || f.environments) @> array[$1] and (array_prepend(f.tenant, f.identifiers) || f.environments) && $2
        """;

    /// <summary>For a neighbourhood of many components, which the planner knows nothing of yet: it must hash, not loop over the service for each of them.</summary>
    public const string JoinByHash = "select set_config('enable_nestloop', 'off', true)";

    public const string JoinFreely = "select set_config('enable_nestloop', 'on', true)";

    /// <summary>$2 groups that end; $3 findings that are in none now; $4 groups with $5 by hand, in service $6; $7 findings, their groups $8 and links $9, each a text of lines.</summary>
    public const string Write = """
        with gone as (
          delete from vuln_center.finding_group where tenant = $1 and id = any ($2)
        ), left_out as (
          delete from vuln_center.group_member where tenant = $1 and finding = any ($3)
        ), made as (
          insert into vuln_center.finding_group as g (tenant, id, version, service, manual)
          select $1, n.id, 1, $6, n.manual from unnest($4::uuid[], $5::bool[]) as n(id, manual)
          on conflict (tenant, id) do update set version = g.version + 1, manual = excluded.manual
        )
        insert into vuln_center.group_member as m (tenant, finding, grouped, links)
        select $1, n.finding, n.grouped, string_to_array(n.links, E'\n') from unnest($7::uuid[], $8::uuid[], $9::text[]) as n(finding, grouped, links)
        on conflict (tenant, finding) do update set grouped = excluded.grouped, links = excluded.links
        """;
}

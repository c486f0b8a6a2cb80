namespace Wave16.VulnCenter.Findings;

/// <summary>What the feeds say of a finding's ids and of their aliases.</summary>
internal static class RiskSql
{
    /// <summary>
    /// Common table expressions over one named <c>ids (id, name)</c>, a row for each id a finding names; <c>risk (id, epss,
    /// kev)</c> has a row for each finding that names any. $1 is the tenant.
    /// </summary>
    public const string Of = """
        wide as (
          select id, name from ids
          union
          select ids.id, other.id from ids
          join vuln_center.alias_cluster mine on mine.tenant = $1 and mine.id = ids.name
          join vuln_center.alias_cluster other on other.tenant = $1 and other.cluster = mine.cluster
        ), risk as (
          select wide.id, max(e.score) as epss, bool_or(k.cve is not null) as kev
          from wide
          left join vuln_center.epss e on e.tenant = $1 and e.cve = wide.name
          left join vuln_center.kev k on k.tenant = $1 and k.cve = wide.name
          group by wide.id
        )
        """;
}

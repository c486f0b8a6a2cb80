namespace Wave16.VulnCenter.Imports;

/// <summary>Whether a scan says something about a finding that it does not show. What it did not look at is not fixed.</summary>
internal static class ScanCoverage
{
    private static readonly string[] Places = ["path:", "image:"];

    /// <summary>The folder or image of a filter, without what kind of filter it is; null where there is none.</summary>
    public static string? PlaceOf(string? filter) =>
        (Array.Find(Places, place => filter?.StartsWith(place, StringComparison.Ordinal) == true) is { } known ? filter?[known.Length..] : filter)?.TrimEnd('/');

    /// <summary>
    /// Over <c>vuln_center.scan s</c> and <c>vuln_center.finding f</c> of the same tenant, service and source. A complete scan
    /// that ran to its end, within its filter; of the images it was of; of what it looked for; of the run of the tool that
    /// showed the finding last; and did not begin before it.
    /// </summary>
    public const string Covers = """
        s.scope = 2 and s.failure is null and s.closes_nothing is null
        and case
              when s.scope_filter is null then true
              when starts_with(s.scope_filter, 'path:') then starts_with(f.path || '/', rtrim(substr(s.scope_filter, 6), '/') || '/')
              when starts_with(s.scope_filter, 'image:') then f.image = substr(s.scope_filter, 7)
              when starts_with(s.scope_filter, 'host:') then lower(substring(f.url from '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/@]*@)?([^/?#]*)')) = lower(substr(s.scope_filter, 6))
              else starts_with(f.path || '/', rtrim(s.scope_filter, '/') || '/') or f.image = s.scope_filter
            end
        and (s.kinds is null or f.kind = any (s.kinds))
        and exists (
          select from vuln_center.finding_seen ls join vuln_center.scan last on last.tenant = ls.tenant and last.id = ls.scan
          where ls.tenant = f.tenant and ls.finding = f.id and last.category is not distinct from s.category and last.started_at <= s.started_at
            and (s.images = '{}' or f.image = any (s.images) or (f.image is null and (last.images = '{}' or last.images && s.images))))
        """;
}

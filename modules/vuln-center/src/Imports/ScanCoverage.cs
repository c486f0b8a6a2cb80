using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Imports;

/// <summary>Whether a scan says something about a finding that it does not show. What it did not look at is not fixed.</summary>
internal static class ScanCoverage
{
    private const string Path = "path:";
    private const string Image = "image:";
    private const string Host = "host:";

    /// <summary>A filter as it is kept: <c>path:src/web</c>, <c>image:registry.example/shop/api</c>, <c>host:shop.example</c> (with a port where one was given), or a path or image without prefix.</summary>
    /// <returns>Null and the reason where it is none.</returns>
    public static string? FilterOf(string given, out string? refusal)
    {
        refusal = null;
        var text = given.Trim();
        foreach (var (prefix, read) in new (string, Func<string, string?>)[] { (Path, PathOf), (Image, ImageOf), (Host, ScanHosts.Of) })
        {
            if (text.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
            {
                var value = read(text[prefix.Length..].Trim());
                refusal = value is null ? $"names no {prefix[..^1]}; leave the filter out where all of the service was scanned" : null;
                return value is null ? null : prefix + value;
            }
        }

        // registry.example:5000/shop/api is an image; what else stands before a ':' is a kind of filter that there is not, or a tag.
        var (colon, slash) = (text.IndexOf(':', StringComparison.Ordinal), text.IndexOf('/', StringComparison.Ordinal));
        if (colon >= 0 && !(slash > colon + 1 && text.AsSpan(colon + 1, slash - colon - 1).IndexOfAnyExceptInRange('0', '9') < 0))
        {
            refusal = "must begin with path:, image: or host:; only a folder or an image without tag may stand without";
            return null;
        }

        refusal = PathOf(text) is null ? "names no folder and no image" : null;
        return PathOf(text);
    }

    /// <summary>Name of the host a filter is limited to; null where it is no such filter.</summary>
    public static string? HostOf(string? filter) => filter?.StartsWith(Host, StringComparison.Ordinal) == true ? ScanHosts.NameOf(filter[Host.Length..]) : null;

    // Tools differ in whether paths begin with ./ or the root they were started in.
    private static string? PathOf(string path)
    {
        var tidy = path.Replace('\\', '/').TrimEnd('/');
        while (tidy.StartsWith('/') || tidy.StartsWith("./", StringComparison.Ordinal))
        {
            tidy = tidy[(tidy[0] == '/' ? 1 : 2)..];
        }

        return tidy is "" or "." ? null : tidy;
    }

    private static string? ImageOf(string image) => Identifiers.ImageRepository(image.TrimEnd('/'));

    /// <summary>
    /// Host and port that a row of findings or results is about, <c>shop.example:443</c>: of its address, or of the port of a host
    /// that a network scanner names as its resource. As <see cref="ScanHosts.Of(string)"/> writes it.
    /// </summary>
    public static string AuthorityOf(string row) => $$"""
        coalesce(
          substring(lower({{row}}.url) from '^(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?([^/?#]+)')
            || case when lower({{row}}.url) ~ '^[a-z][a-z0-9+.-]*://[^/?#]*:[0-9]+([/?#]|$)' then ''
                    when starts_with(lower({{row}}.url), 'https://') then ':443' when starts_with(lower({{row}}.url), 'http://') then ':80' else '' end,
          case when {{row}}.kind = 5 then substring(lower({{row}}.resource) from '^((\[[^]]+\]|[^]:/[]+):[0-9]+)/[a-z]+$') end)
        """;

    private static string WithoutPort(string authority) => $"regexp_replace({authority}, ':[0-9]+$', '')";

    /// <summary>Whether a row is within a filter, which may be null.</summary>
    public static string Within(string filter, string row) => $"""
        case
              when {filter} is null then true
              when starts_with({filter}, 'path:') then starts_with({Tidy(row)} || '/', rtrim(substr({filter}, 6), '/') || '/')
              when starts_with({filter}, 'image:') then {row}.image = substr({filter}, 7)
              when starts_with({filter}, 'host:') then substr({filter}, 6) in ({AuthorityOf(row)}, {WithoutPort(AuthorityOf(row))})
              else starts_with({Tidy(row)} || '/', rtrim({filter}, '/') || '/') or {row}.image = {filter}
            end
        """;

    private static string Tidy(string row) => $@"regexp_replace({row}.path, '^(\./|/)+', '')";

    private const string Kind = "(s.kinds is null or f.kind = any (s.kinds))";
    private const string OfImage = "(s.images = '{}' or f.image = any (s.images) or (f.image is null and (last.images = '{}' or last.images && s.images)))";

    // A scanner of hosts names all of their ports; what has no port (a name in the DNS) belongs to any of its host's.
    private static readonly string OfHost = $"""
        (s.hosts = {Nothing} or {AuthorityOf("f")} = any (s.hosts) or {WithoutPort(AuthorityOf("f"))} = any (s.hosts)
              or (not {AuthorityOf("f")} ~ ':[0-9]+$' and exists (select from unnest(s.hosts) as h(host) where {WithoutPort("h.host")} = {AuthorityOf("f")}))
              or ({AuthorityOf("f")} is null and (last.hosts = {Nothing} or last.hosts && s.hosts)))
        """;

    private const string Nothing = "'{}'";

    /// <summary>
    /// Over <c>vuln_center.scan s</c> and <c>vuln_center.finding f</c> of the same tenant, service and source. A complete scan
    /// that ran to its end, within its filter; of the images and hosts it was of; of what it looked for; of the run of the tool
    /// that showed the finding last; and did not begin before it.
    /// </summary>
    public static readonly string Covers = $"""
        s.scope = 2 and s.failure is null and s.closes_nothing is null
        and {Within("s.scope_filter", "f")}
        and {Kind}
        and exists (
          select from vuln_center.finding_seen ls join vuln_center.scan last on last.tenant = ls.tenant and last.id = ls.scan
          where ls.tenant = f.tenant and ls.finding = f.id and last.category is not distinct from s.category and last.started_at <= s.started_at
            and {OfImage}
            and {OfHost}
          offset 0)
        """;

    /// <summary>
    /// Live findings within the filter that the scan neither showed nor could close, as <c>findings</c>; and of those it did not
    /// look for <c>kinds</c>, was not of their <c>images</c> or <c>hosts</c>. Over <c>scan s</c> and <c>finding f</c>, as above.
    /// </summary>
    public static readonly string NotJudged = $"""
        count(*) as findings,
        (array_agg(distinct f.kind) filter (where not {Kind})) as kinds,
        (array_agg(distinct f.image) filter (where not {OfImage}))[1:100] as images,
        (array_agg(distinct {AuthorityOf("f")}) filter (where not {OfHost}))[1:100] as hosts
        """;
}

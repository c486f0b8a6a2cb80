using System.Text;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Package URLs (purl-spec) as far as identity needs them: <c>pkg:type/namespace/name</c> in one canonical spelling,
/// whatever scanner wrote it. Version and qualifiers (arch, distro, epoch) change from build to build and are left out.
/// </summary>
internal static class Purl
{
    /// <summary>Null when it is no package URL.</summary>
    public static string? WithoutVersion(string? purl)
    {
        if (purl is null || !purl.StartsWith("pkg:", StringComparison.OrdinalIgnoreCase))
            return null;
        var rest = purl.AsSpan(4).TrimStart('/');
        if (rest.IndexOf('#') is var hash and >= 0)
            rest = rest[..hash];
        if (rest.IndexOf('?') is var query and >= 0)
            rest = rest[..query];
        var type = rest.IndexOf('/');
        if (type <= 0)
            return null;
        var path = rest[(type + 1)..].Trim('/');
        path = path[..VersionStart(path)];
        var name = path.LastIndexOf('/');
        return Of(
            rest[..type].ToString(),
            name < 0 ? null : Uri.UnescapeDataString(path[..name]),
            Uri.UnescapeDataString(path[(name + 1)..]));
    }

    /// <summary>Null when it names none.</summary>
    public static string? VersionOf(string purl)
    {
        var path = purl.AsSpan(0, purl.AsSpan().IndexOfAny('?', '#') is var end and >= 0 ? end : purl.Length);
        var start = VersionStart(path);
        return start < path.Length ? Uri.UnescapeDataString(path[(start + 1)..]) : null;
    }

    public static string? TypeOf(string? purlWithoutVersion) =>
        purlWithoutVersion is null ? null : purlWithoutVersion[4..purlWithoutVersion.IndexOf('/', StringComparison.Ordinal)];

    /// <summary>Namespace and name unescaped; the namespace may have several segments.</summary>
    public static string? Of(string type, string? @namespace, string name)
    {
        if (name.Length == 0)
            return null;
        type = type.ToLowerInvariant();
        if (IgnoresCase(type))
        {
            name = name.ToLowerInvariant();
            @namespace = @namespace?.ToLowerInvariant();
        }
        if (type == "pypi")
            name = name.Replace('_', '-');
        var purl = new StringBuilder("pkg:").Append(type).Append('/');
        foreach (var segment in (@namespace ?? "").Split('/', StringSplitOptions.RemoveEmptyEntries))
            purl.Append(Escape(segment)).Append('/');
        return purl.Append(Escape(name)).ToString();
    }

    /// <summary>Of a package's full name as its ecosystem writes it: <c>@babel/core</c>, <c>org.apache:log4j-core</c>.</summary>
    public static string? OfName(string? type, string? name)
    {
        if (string.IsNullOrWhiteSpace(type) || string.IsNullOrWhiteSpace(name))
            return null;
        var split = type switch
        {
            "maven" => name.LastIndexOf(':'),
            "npm" or "composer" or "golang" or "swift" or "githubactions" => name.LastIndexOf('/'),
            _ => -1,
        };
        return Of(type, split < 0 ? null : name[..split], name[(split + 1)..]);
    }

    // An '@' that begins a segment is an unescaped npm scope, not a version.
    static int VersionStart(ReadOnlySpan<char> path)
    {
        for (var i = 1; i < path.Length; i++)
        {
            if (path[i] == '@' && path[i - 1] != '/')
                return i;
        }
        return path.Length;
    }

    // purl-spec's types with names that compare without case; NuGet ids do too, though their purls keep it.
    static bool IgnoresCase(string type) => type is
        "apk" or "bitbucket" or "composer" or "deb" or "github" or "golang" or "hex" or "npm" or "nuget" or "pypi";

    static string Escape(string segment) => Uri.EscapeDataString(segment).Replace("%3A", ":", StringComparison.Ordinal);
}

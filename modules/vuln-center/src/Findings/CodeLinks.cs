using System.Globalization;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>Links into the code, in the forms that GitHub and GitLab document. They are made, never fetched.</summary>
internal static class CodeLinks
{
    public static CodeLink? Of(FindingLocation? location, string? repository, string? commit) => location?.Path is not { } path
        ? null
        : new CodeLink(repository, commit, path, location.Line, location.EndLine, LinkTo(repository, commit ?? "HEAD", path, location.Line, location.EndLine));

    private static string? LinkTo(string? repository, string commit, string path, int? line, int? endLine)
    {
        if (!Uri.TryCreate(repository, UriKind.Absolute, out var address) || address.Scheme is not ("https" or "http") || path.StartsWith('/') || path.Split('/').Contains(".."))
        {
            return null;
        }

        var root = address.GetLeftPart(UriPartial.Path).TrimEnd('/');
        root = root.EndsWith(".git", StringComparison.OrdinalIgnoreCase) ? root[..^4] : root;
        var file = string.Join('/', path.Split('/').Select(Uri.EscapeDataString));
        var at = Uri.EscapeDataString(commit);
        var (first, last) = (line?.ToString(CultureInfo.InvariantCulture), endLine is { } end && end > line ? end.ToString(CultureInfo.InvariantCulture) : null);
        return (address.Host.Split('.')[0], address.Host) switch
        {
            ("github", _) => $"{root}/blob/{at}/{file}{(first is null ? "" : $"#L{first}")}{(last is null ? "" : $"-L{last}")}",
            ("gitlab", _) => $"{root}/-/blob/{at}/{file}{(first is null ? "" : $"#L{first}")}{(last is null ? "" : $"-{last}")}",
            _ => null,
        };
    }
}

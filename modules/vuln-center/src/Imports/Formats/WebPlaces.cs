namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Places on the web as dynamic scanners write them.</summary>
internal static class WebPlaces
{
    static readonly char[] AroundLinks = [' ', '\t', '\r', '\n', '<', '>', '"', '\''];

    /// <summary>Host and path template come from the URL where it is absolute; else the host is the one given.</summary>
    public static WebLocation Of(string? method, string? url, string? parameter, string? host = null)
    {
        var uri = Uri.TryCreate(url, UriKind.Absolute, out var absolute) && absolute.Host.Length > 0 ? absolute : null;
        return new WebLocation(
            Bounded.Word(method)?.ToUpperInvariant(),
            Bounded.Identity(uri?.Authority ?? host)?.ToLowerInvariant(),
            Bounded.Path(uri is not null ? PathTemplate.Of(uri.AbsolutePath) : url is ['/', ..] ? PathTemplate.Of(url.Split('?', '#')[0]) : null),
            Bounded.Identity(parameter),
            Bounded.Path(url));
    }

    /// <summary>The links in a text that may be HTML, in a field made for references.</summary>
    public static IReadOnlyList<string> Links(params IEnumerable<string?> texts) =>
    [
        .. texts.OfType<string>().SelectMany(text => text.Split(AroundLinks, StringSplitOptions.RemoveEmptyEntries))
            .Where(word => word.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || word.StartsWith("https://", StringComparison.OrdinalIgnoreCase))
            .Where(link => link.Length <= Bounded.PathLength).Distinct(StringComparer.Ordinal).Take(Bounded.ListLength),
    ];
}

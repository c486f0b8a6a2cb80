using System.Text;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Places on the web as dynamic scanners write them.</summary>
internal static class WebPlaces
{
    const string Mask = "****";

    static readonly HashSet<string> SecretWords = new(StringComparer.OrdinalIgnoreCase)
    {
        "token", "accesstoken", "idtoken", "refreshtoken", "authtoken", "password", "passwd", "passphrase", "pwd", "pass", "secret", "clientsecret", "key", "apikey",
        "accesskey", "secretkey", "privatekey", "sig", "signature", "auth", "authorization", "session", "sessionid", "sid", "jsessionid", "phpsessid", "credential",
        "credentials", "jwt", "assertion",
    };

    static readonly char[] AroundLinks = [' ', '\t', '\r', '\n', '<', '>', '"', '\''];

    /// <summary>Host and path template come from the URL where it is absolute; else the host is the one given.</summary>
    public static WebLocation Of(string? method, string? url, string? parameter, string? host = null)
    {
        url = WithoutCredentials(url);
        var uri = Uri.TryCreate(url, UriKind.Absolute, out var absolute) && absolute.Host.Length > 0 ? absolute : null;
        return new WebLocation(
            Bounded.Word(method)?.ToUpperInvariant(),
            Bounded.Identity(uri?.Authority ?? host)?.ToLowerInvariant(),
            Bounded.Path(uri is not null ? PathTemplate.Of(uri.AbsolutePath) : url is ['/', ..] ? PathTemplate.Of(url.Split('?', '#')[0]) : null),
            Bounded.Identity(parameter),
            Bounded.Path(url));
    }

    /// <summary>An address without user and password, and without the values of parameters whose names say that they are secret. Anything else stays as it is.</summary>
    public static string? WithoutCredentials(string? url)
    {
        if (url is null)
            return null;
        if (url.IndexOf("//", StringComparison.Ordinal) is var slashes and >= 0 && (slashes == 0 || url[slashes - 1] == ':'))
        {
            var start = slashes + 2;
            var end = url.AsSpan(start).IndexOfAny('/', '?', '#') is var length and >= 0 ? start + length : url.Length;
            if (url.LastIndexOf('@', end - 1, end - start) is var at and >= 0)
                url = string.Concat(url.AsSpan(0, start), url.AsSpan(at + 1));
        }
        return url.AsSpan().IndexOfAny('?', '#') is var query and >= 0
            ? string.Concat(url.AsSpan(0, query), WithoutSecretValues(url.AsSpan(query)))
            : url;
    }

    // Parameters begin behind '?', '&', ';' or '#'.
    static string WithoutSecretValues(ReadOnlySpan<char> query)
    {
        var text = new StringBuilder(query.Length);
        while (!query.IsEmpty)
        {
            var end = query[1..].IndexOfAny("?&;#") is var next and >= 0 ? next + 1 : query.Length;
            var part = query[..end];
            var equals = part.IndexOf('=');
            if (equals > 0 && IsSecret(Uri.UnescapeDataString(part[1..equals].ToString())))
                text.Append(part[..(equals + 1)]).Append(Mask);
            else
                text.Append(part);
            query = query[end..];
        }
        return text.ToString();
    }

    // "X-Amz-Signature", "client_secret", "accessToken": the name as a whole, or its last word.
    static bool IsSecret(string name)
    {
        var start = name.Length;
        while (start > 0 && char.IsAsciiLetterOrDigit(name[start - 1]) && !(start < name.Length && char.IsAsciiLetterUpper(name[start]) && char.IsAsciiLetterLower(name[start - 1])))
            start--;
        return SecretWords.Contains(name[start..]) || SecretWords.Contains(string.Concat(name.Where(char.IsAsciiLetterOrDigit)));
    }

    /// <summary>The links in a text that may be HTML, in a field made for references.</summary>
    public static IReadOnlyList<string> Links(params IEnumerable<string?> texts) =>
    [
        .. texts.OfType<string>().SelectMany(text => text.Split(AroundLinks, StringSplitOptions.RemoveEmptyEntries))
            .Where(word => word.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || word.StartsWith("https://", StringComparison.OrdinalIgnoreCase))
            .Where(link => link.Length <= Bounded.PathLength).Distinct(StringComparer.Ordinal).Take(Bounded.ListLength),
    ];
}

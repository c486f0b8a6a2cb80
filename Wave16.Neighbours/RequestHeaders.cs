using Microsoft.Net.Http.Headers;

namespace Wave16.Neighbours;

/// <summary>What of a caller's headers is shown to others.</summary>
internal static class RequestHeaders
{
    static readonly HashSet<string> Secret = new(StringComparer.OrdinalIgnoreCase)
    {
        HeaderNames.ProxyAuthorization, HeaderNames.Cookie, "Api-Key", "X-Api-Key",
    };

    // IANA's registry, as far as services use it. A token sent without a scheme must not be taken for one.
    static readonly HashSet<string> Schemes = new(StringComparer.OrdinalIgnoreCase)
    {
        "Basic", "Bearer", "Digest", "DPoP", "GNAP", "HOBA", "Mutual", "Negotiate", "PrivateToken",
    };

    public static Dictionary<string, string> Shown(IHeaderDictionary headers) =>
        headers
            .Where(header => !header.Key.Equals(HeaderNames.Authorization, StringComparison.OrdinalIgnoreCase))
            .ToDictionary(
                header => header.Key,
                header => Secret.Contains(header.Key) ? "(present)" : header.Value.ToString(),
                StringComparer.OrdinalIgnoreCase);

    public static AuthorizationSeen Authorization(IHeaderDictionary headers)
    {
        var value = headers.Authorization.ToString();
        var scheme = value.IndexOf(' ') is > 0 and var space ? value[..space] : null;
        return new(value.Length > 0, scheme is not null && Schemes.Contains(scheme) ? scheme : null);
    }
}

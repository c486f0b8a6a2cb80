using System.Text.RegularExpressions;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Hosts as scans name them: <c>shop.example:443</c>, or <c>10.0.20.5</c> for all ports of a host. Addresses of IPv6 stand in brackets.</summary>
internal static partial class ScanHosts
{
    /// <summary>Of an address, or of a host with or without port; the port of http and https where it goes without saying.</summary>
    /// <returns>Null where no host is named.</returns>
    public static string? Of(string? address)
    {
        if (address is null || address.Length > Bounded.PathLength || Authority().Match(address.Trim().ToLowerInvariant()) is not { Success: true } match)
            return null;
        var (scheme, host) = (match.Groups["scheme"].Value, match.Groups["host"].Value);
        return Port().IsMatch(host) ? host : scheme switch
        {
            "https" => $"{host}:443",
            "http" => $"{host}:80",
            _ => host,
        };
    }

    /// <summary>The host that a result of a network or web scanner is about.</summary>
    public static string? Of(RawObservation observation) => observation.Web is { } web
        ? Of(web.Url is ['/', ..] ? null : web.Url) ?? Of(web.Host)
        : observation.Resource is { } resource && Resource().Match(resource) is { Success: true } match ? match.Groups["host"].Value : null;

    public static string NameOf(string host) => Port().Replace(host, "");

    [GeneratedRegex(@"\A((?<scheme>[a-z][a-z0-9+.-]*)://)?([^/?#@]*@)?(?<host>[^/?#]+)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 100)]
    private static partial Regex Authority();

    [GeneratedRegex(@":[0-9]+\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex Port();

    [GeneratedRegex(@"\A(?<host>\[[^\]]+\]|[^\]:/\[]+):[0-9]+/[a-z]+\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 100)]
    private static partial Regex Resource();
}

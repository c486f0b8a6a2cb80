using System.Diagnostics.CodeAnalysis;
using System.Text;
using Microsoft.AspNetCore.Http.Features;

namespace Wave16.Neighbours;

/// <summary>
/// Path segments as the caller wrote them. The server leaves %2F in a decoded path, so that there "a%2Fb" and "a%252Fb"
/// are one; identifiers are therefore decoded from the raw target (RFC 9112 §3.2).
/// </summary>
internal static class RequestTarget
{
    static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Decodes one segment, counted as in <c>^1</c> for the last.</summary>
    /// <returns>False when it is not percent-encoded UTF-8, or contains a control character.</returns>
    public static bool TryGetSegment(HttpRequest request, Index index, [NotNullWhen(true)] out string? segment)
    {
        var segments = RawPath(request).Trim('/').Split('/');
        segment = Decode(segments[index]);
        return segment is not null;
    }

    /// <summary>Path and query below <paramref name="root"/>, as sent, without the value of <c>access_token</c> (RFC 6750 §2.3).</summary>
    public static string Below(string root, HttpRequest request)
    {
        var raw = RawPath(request);
        var mounted = request.PathBase.Value + root;
        var path = raw.StartsWith(mounted, StringComparison.OrdinalIgnoreCase)
            ? raw[mounted.Length..]
            : request.Path.Value?[Math.Min(root.Length, request.Path.Value.Length)..] ?? "";
        var query = request.Query.ContainsKey("access_token")
            ? QueryString.Create(request.Query.Select(pair =>
                pair.Key.Equals("access_token", StringComparison.OrdinalIgnoreCase) ? new(pair.Key, "(present)") : pair))
            : request.QueryString;
        return (path.Length == 0 ? "/" : path) + query;
    }

    static string RawPath(HttpRequest request)
    {
        var target = request.HttpContext.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        var path = target.AsSpan();
        if (path.IndexOf("://", StringComparison.Ordinal) is > 0 and var scheme && !target.StartsWith('/'))
        {
            path = path[(scheme + 3)..];
            path = path.IndexOf('/') is >= 0 and var slash ? path[slash..] : "/";
        }
        return (path.IndexOf('?') is >= 0 and var query ? path[..query] : path).ToString();
    }

    static string? Decode(string segment)
    {
        var bytes = new byte[segment.Length];
        var length = 0;
        for (var i = 0; i < segment.Length; i++)
        {
            var character = segment[i];
            if (character == '%')
            {
                if (i + 2 >= segment.Length || !char.IsAsciiHexDigit(segment[i + 1]) || !char.IsAsciiHexDigit(segment[i + 2]))
                    return null;
                bytes[length++] = Convert.FromHexString(segment.AsSpan(i + 1, 2))[0];
                i += 2;
            }
            else if (char.IsAscii(character))
            {
                bytes[length++] = (byte)character;
            }
            else
            {
                return null;
            }
        }
        try
        {
            var text = Strict.GetString(bytes, 0, length);
            return text.Any(char.IsControl) ? null : text;
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }
}

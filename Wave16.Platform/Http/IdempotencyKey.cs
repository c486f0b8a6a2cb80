using System.Diagnostics.CodeAnalysis;
using System.Text;
using Microsoft.Extensions.Primitives;

namespace Wave16.Platform.Http;

/// <summary>
/// The header <c>Idempotency-Key</c> (draft-ietf-httpapi-idempotency-key-header-07): 1 to 255 printable ASCII characters, as an
/// RFC 8941 string (<c>"8e03978e"</c>) or, as most clients send it, bare (<c>8e03978e</c>). Both spell the same key. A bare one has no
/// comma and no quote: two headers that a proxy has joined are not a key.
/// </summary>
internal static class IdempotencyKey
{
    public const string Header = "Idempotency-Key";
    public const int MaxLength = 255;

    public static bool TryParse(StringValues header, [NotNullWhen(true)] out string? key)
    {
        key = null;
        if (header.Count != 1 || header[0] is not { } text)
        {
            return false;
        }

        text = text.Trim(' ');
        var value = text.StartsWith('"') ? Unquote(text) : text.AsSpan().ContainsAny(',', '"') ? null : text;
        if (value is null || value.Length is 0 or > MaxLength || value.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            return false;
        }

        key = value;
        return true;
    }

    // RFC 8941 section 4.2.5: only \" and \\ are escapes, and nothing may follow the closing quote (we take no parameters).
    private static string? Unquote(string text)
    {
        var value = new StringBuilder(text.Length);
        for (var i = 1; i < text.Length; i++)
        {
            switch (text[i])
            {
                case '"':
                    return i == text.Length - 1 ? value.ToString() : null;
                case '\\' when i + 1 < text.Length && text[i + 1] is '"' or '\\':
                    value.Append(text[++i]);
                    break;
                case '\\':
                    return null;
                default:
                    value.Append(text[i]);
                    break;
            }
        }

        return null;
    }
}

using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Wave16.VulnCenter.Imports.Formats.Json;

/// <summary>
/// Makes raw JSON safe to decode and to store: ill-formed UTF-8, lone surrogate escapes and <c>\u0000</c> become U+FFFD.
/// Hashes are taken before this, over the bytes as they stand.
/// </summary>
internal static class JsonText
{
    static ReadOnlySpan<byte> Replacement => "\\ufffd"u8;

    public static ReadOnlyMemory<byte> Sanitize(ReadOnlyMemory<byte> json)
    {
        if (!Utf8.IsValid(json.Span))
            json = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(json.Span));

        var source = json.Span;
        byte[]? copy = null;
        // A backslash occurs only inside strings, so escapes can be walked without parsing.
        for (var i = 0; ;)
        {
            var next = source[i..].IndexOf((byte)'\\');
            if (next < 0 || (i += next) + 2 > source.Length)
                break;
            if (source[i + 1] != 'u')
            {
                i += 2;
                continue;
            }
            var unit = CodeUnit(source, i);
            if (char.IsHighSurrogate((char)unit) && char.IsLowSurrogate((char)CodeUnit(source, i + 6)))
            {
                i += 12;
                continue;
            }
            if (unit == 0 || char.IsSurrogate((char)unit))
                Replacement.CopyTo((copy ??= json.ToArray()).AsSpan(i));
            i += Math.Min(6, source.Length - i);
        }
        return copy ?? json;
    }

    /// <summary>The text of one JSON string token, given without its quotes.</summary>
    public static string Decode(ReadOnlySpan<byte> content, bool escaped)
    {
        if (!escaped)
            return Encoding.UTF8.GetString(content);
        var quoted = new byte[content.Length + 2];
        quoted[0] = quoted[^1] = (byte)'"';
        content.CopyTo(quoted.AsSpan(1));
        var reader = new Utf8JsonReader(Sanitize(quoted).Span);
        reader.Read();
        return reader.GetString() ?? "";
    }

    // 0xFFFF for anything that is not an escape in full; the JSON reader has its own word on that.
    static int CodeUnit(ReadOnlySpan<byte> source, int at) =>
        at + 6 <= source.Length && source[at] == '\\' && source[at + 1] == 'u'
        && int.TryParse(source.Slice(at + 2, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var unit)
            ? unit
            : 0xFFFF;
}

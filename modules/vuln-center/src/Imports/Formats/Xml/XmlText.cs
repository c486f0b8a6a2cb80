using System.Buffers;

namespace Wave16.VulnCenter.Imports.Formats.Xml;

/// <summary>Text that XML may hold: characters it does not allow become U+FFFD.</summary>
internal static class XmlText
{
    static readonly SearchValues<char> Suspect = SearchValues.Create(
    [
        .. Enumerable.Range(0, 0x20).Where(c => c is not ('\t' or '\n' or '\r')).Concat(Enumerable.Range(0xD800, 0x800)).Select(c => (char)c), '\uFFFE', '\uFFFF',
    ]);

    /// <summary>Character references can name what may not stand in a document: <c>&amp;#0;</c>, half a surrogate pair.</summary>
    public static string Clean(string text)
    {
        if (!text.AsSpan().ContainsAny(Suspect))
            return text;
        return string.Create(text.Length, text, static (chars, source) =>
        {
            source.CopyTo(chars);
            for (var i = 0; i < chars.Length; i++)
            {
                if (i + 1 < chars.Length && char.IsSurrogatePair(chars[i], chars[i + 1]))
                    i++;
                else if (Suspect.Contains(chars[i]))
                    chars[i] = '\uFFFD';
            }
        });
    }
}

using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.RegularExpressions;
using System.Text.Unicode;

namespace Wave16.VulnCenter.Imports.Formats.Text;

/// <summary>
/// How a report's bytes become characters: UTF-8, UTF-16 with a byte order mark, or what an XML declaration says (XML 1.0,
/// section 4.3.3 and appendix F), if that is a single-byte encoding that contains ASCII. What XML does not allow (control
/// characters, ill-formed UTF-8, lone surrogates) becomes U+FFFD, one for one, so that a place in the text is a place in
/// the bytes.
/// </summary>
internal sealed partial class TextEncoding
{
    const int HeadLength = 1_024;

    static readonly SearchValues<char> Illegal = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Select(c => (char)c).Where(c => c is not ('\t' or '\n' or '\r')), '\uFFFE', '\uFFFF']);

    readonly Form _form;
    readonly char[]? _table;

    TextEncoding(Form form, int preamble = 0, char[]? table = null)
    {
        _form = form;
        _table = table;
        Preamble = preamble;
    }

    enum Form
    {
        Utf8,
        Utf16LittleEndian,
        Utf16BigEndian,
        SingleByte,
    }

    /// <summary>Bytes of the byte order mark.</summary>
    public int Preamble { get; }

    /// <exception cref="ReportFormatException">The document is in another encoding, or says so.</exception>
    public static async ValueTask<TextEncoding> DetectAsync(Stream report, CancellationToken cancellationToken)
    {
        var head = new byte[HeadLength];
        report.Position = 0;
        var length = await report.ReadAtLeastAsync(head, HeadLength, throwOnEndOfStream: false, cancellationToken);
        return Detect(head.AsSpan(0, length));
    }

    /// <summary>Decodes what fits; an incomplete character at the end waits for the rest, unless this is the end.</summary>
    /// <returns>The number of characters.</returns>
    public int Decode(ReadOnlySpan<byte> bytes, Span<char> chars, bool isFinal, out int used)
    {
        var written = _form switch
        {
            Form.Utf8 => DecodeUtf8(bytes, chars, isFinal, out used),
            Form.SingleByte => DecodeSingleBytes(bytes, chars, out used),
            _ => DecodeUtf16(bytes, chars, isFinal, out used),
        };
        Replace(chars[..written]);
        return written;
    }

    /// <summary>The whole of some bytes.</summary>
    public string Decode(ReadOnlySpan<byte> bytes)
    {
        var chars = ArrayPool<char>.Shared.Rent(bytes.Length + 1);
        try
        {
            return new string(chars, 0, Decode(bytes, chars, isFinal: true, out _));
        }
        finally
        {
            ArrayPool<char>.Shared.Return(chars);
        }
    }

    /// <summary>The first character: how many bytes it takes, and how many UTF-16 code units it becomes.</summary>
    public int Measure(ReadOnlySpan<byte> bytes, out int chars, out char ascii)
    {
        chars = 1;
        ascii = '\0';
        switch (_form)
        {
            case Form.Utf8:
                if (bytes[0] < 0x80)
                {
                    ascii = (char)bytes[0];
                    return 1;
                }
                if (Rune.DecodeFromUtf8(bytes, out var rune, out var length) == OperationStatus.Done)
                    chars = rune.Utf16SequenceLength;
                return length;
            case Form.SingleByte:
                if (bytes[0] < 0x80)
                    ascii = (char)bytes[0];
                return 1;
            default:
                if (bytes.Length < 2)
                    return 1;
                if (Unit(bytes) is < '\u0080' and var unit)
                    ascii = unit;
                return 2;
        }
    }

    static TextEncoding Detect(ReadOnlySpan<byte> head)
    {
        if (head is [0x00, 0x00, 0xFE, 0xFF, ..] or [0xFF, 0xFE, 0x00, 0x00, ..] or [0x00, 0x00, 0x00, 0x3C, ..] or [0x3C, 0x00, 0x00, 0x00, ..])
            throw Unreadable("UTF-32");
        TextEncoding? certain = head switch
        {
            [0xEF, 0xBB, 0xBF, ..] => new TextEncoding(Form.Utf8, preamble: 3),
            [0xFF, 0xFE, ..] => new TextEncoding(Form.Utf16LittleEndian, preamble: 2),
            [0xFE, 0xFF, ..] => new TextEncoding(Form.Utf16BigEndian, preamble: 2),
            [0x3C, 0x00, ..] => new TextEncoding(Form.Utf16LittleEndian),
            [0x00, 0x3C, ..] => new TextEncoding(Form.Utf16BigEndian),
            [0x4C, 0x6F, 0xA7, 0x94, ..] => throw Unreadable("EBCDIC"),
            _ => null,
        };
        var rest = head[(certain?.Preamble ?? 0)..];
        var start = (certain ?? new TextEncoding(Form.Utf8)).Decode(rest);
        var declared = Declaration().Match(start) is { Success: true } match ? match.Groups["name"].Value : null;
        var isUtf16 = certain is { _form: Form.Utf16LittleEndian or Form.Utf16BigEndian };
        if (declared is not null && declared.StartsWith("UTF-16", StringComparison.OrdinalIgnoreCase) != isUtf16)
            throw new ReportFormatException(
                ReportFormatException.Encoding, $"The report says that it is {declared}, and {(isUtf16 ? "is UTF-16" : "is not")}.", 0, 1, 1, "");
        return certain ?? Of(declared);
    }

    static TextEncoding Of(string? declared)
    {
        if (declared is null || declared.Equals("UTF-8", StringComparison.OrdinalIgnoreCase) || declared.Equals("US-ASCII", StringComparison.OrdinalIgnoreCase))
            return new TextEncoding(Form.Utf8);
        Encoding encoding;
        try
        {
            encoding = CodePagesEncodingProvider.Instance.GetEncoding(declared) ?? Encoding.GetEncoding(declared);
        }
        catch (Exception unknown) when (unknown is ArgumentException or NotSupportedException)
        {
            throw Unreadable(declared);
        }
        if (encoding.CodePage == Encoding.UTF8.CodePage)
            return new TextEncoding(Form.Utf8);
        if (!encoding.IsSingleByte)
            throw Unreadable(declared);
        var table = new char[256];
        for (var i = 0; i < table.Length; i++)
            table[i] = encoding.GetString([(byte)i]) is [var one] ? one : '\uFFFD';
        for (var i = 0; i < 0x80; i++)
        {
            if (table[i] != i)
                throw Unreadable(declared);
        }
        return new TextEncoding(Form.SingleByte, table: table);
    }

    static void Replace(Span<char> text)
    {
        while (text.IndexOfAny(Illegal) is var at and >= 0)
        {
            text[at] = '\uFFFD';
            text = text[(at + 1)..];
        }
    }

    static ReportFormatException Unreadable(string encoding) => new(
        ReportFormatException.Encoding, $"The report is {encoding}; text is read as UTF-8, UTF-16 or a single-byte encoding that contains ASCII.", 0, 1, 1, "");

    static int DecodeUtf8(ReadOnlySpan<byte> bytes, Span<char> chars, bool isFinal, out int used)
    {
        Utf8.ToUtf16(bytes, chars, out used, out var written, replaceInvalidSequences: true, isFinal);
        return written;
    }

    int DecodeSingleBytes(ReadOnlySpan<byte> bytes, Span<char> chars, out int used)
    {
        used = Math.Min(bytes.Length, chars.Length);
        for (var i = 0; i < used; i++)
            chars[i] = (_table ?? [])[bytes[i]];
        return used;
    }

    int DecodeUtf16(ReadOnlySpan<byte> bytes, Span<char> chars, bool isFinal, out int used)
    {
        var written = 0;
        for (used = 0; written < chars.Length && used + 1 < bytes.Length; used += 2)
        {
            var unit = Unit(bytes[used..]);
            if (!char.IsSurrogate(unit))
            {
                chars[written++] = unit;
                continue;
            }
            var isLast = used + 3 >= bytes.Length;
            if (char.IsHighSurrogate(unit) && isLast && !isFinal)
                break;
            var low = isLast ? '\0' : Unit(bytes[(used + 2)..]);
            if (!char.IsSurrogatePair(unit, low))
            {
                chars[written++] = '\uFFFD';
                continue;
            }
            if (written + 2 > chars.Length)
                break;
            (chars[written], chars[written + 1]) = (unit, low);
            written += 2;
            used += 2;
        }
        if (isFinal && used == bytes.Length - 1 && written < chars.Length)
        {
            chars[written++] = '\uFFFD';
            used++;
        }
        return written;
    }

    char Unit(ReadOnlySpan<byte> bytes) => (char)(_form == Form.Utf16BigEndian
        ? BinaryPrimitives.ReadUInt16BigEndian(bytes)
        : BinaryPrimitives.ReadUInt16LittleEndian(bytes));

    [GeneratedRegex("""^<\?xml\s[^>]*?encoding\s*=\s*["'](?<name>[A-Za-z][A-Za-z0-9._\-]*)["']""", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1_000)]
    private static partial Regex Declaration();
}

using System.Globalization;
using System.Runtime.CompilerServices;
using CsvHelper;
using CsvHelper.Configuration;
using Wave16.VulnCenter.Imports.Formats.Text;

namespace Wave16.VulnCenter.Imports.Formats.Csv;

/// <summary>
/// A CSV file (RFC 4180) with a header, one record at a time: fields in quotes may hold separators, line ends and doubled
/// quotes. Separated by commas or, where the header has more of those, semicolons. Blank lines are no records, nor are
/// lines of separators only, as spreadsheets leave them.
/// CSV has no end mark: a file that was cut off between two records looks whole.
/// </summary>
internal sealed class CsvRecords(Stream report, ReportContext context)
{
    const int MaxColumns = 2_000;

    /// <summary>Whether lines before the header that begin with '#' are comments.</summary>
    public bool HasComments { get; init; }

    /// <summary>A record's pointer, of its number (from 0 after the header, before it -1) and the line where it begins (from 1). By itself it is the number: <c>/17</c>.</summary>
    public Func<int, long, string> PointerOf { get; init; } = static (index, _) => index < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"/{index}");

    /// <summary>Reads the file from its start, the header too.</summary>
    /// <exception cref="ReportFormatException">It is empty, ends within a record, or breaks a limit.</exception>
    public async IAsyncEnumerable<CsvRecord> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var encoding = await TextEncoding.DetectAsync(report, cancellationToken);
        using var source = new TextSource(report, encoding, encoding.Preamble, report.Length, context.MaxElementBytes, cancellationToken);
        using var parser = new CsvParser(source, new CsvConfiguration(CultureInfo.InvariantCulture)
        {
            BadDataFound = null,
            Delimiter = await DelimiterAsync(encoding, cancellationToken),
            IgnoreBlankLines = false,
            Mode = CsvMode.RFC4180,
        });
        CsvHeader? header = null;
        var (index, taken, line) = (-1, 0L, 1L);
        source.Pointer = () => PointerOf(index, line);
        while (true)
        {
            line = source.Line;
            if (!await parser.ReadAsync())
                break;
            var offset = source.Offset;
            var raw = source.Take(parser.CharCount - taken);
            taken = parser.CharCount;
            if (parser.Count > MaxColumns)
                throw header is null
                    ? source.Fault(ReportFormatException.Foreign, $"Not a table: its first line has {parser.Count} columns.")
                    : source.Fault(ReportFormatException.TooMany, $"More than {MaxColumns} columns.");
            var fields = parser.Record ?? [];
            if (Array.TrueForAll(fields, string.IsNullOrWhiteSpace))
                continue;
            if (HasComments && header is null && fields[0].StartsWith('#'))
            {
                yield return new CsvRecord(source.Pointer(), offset, Sha256Digest.Of(raw), new CsvHeader([]), fields) { IsComment = true };
                continue;
            }
            var isHeader = header is null;
            header ??= new CsvHeader(fields);
            if (!isHeader && ++index >= context.MaxElements)
                throw source.Fault(ReportFormatException.TooMany, $"More than {context.MaxElements} records.");
            var record = new CsvRecord(source.Pointer(), offset, Sha256Digest.Of(raw), header, fields) { IsHeader = isHeader };
            var isCut = source.HasEnded && (IsOpen(raw) || fields.Length < header.Count);
            // Whether a header is one is not for this reader to say.
            if (isCut && !isHeader)
                throw source.FaultAtEnd(ReportFormatException.Truncated, "The report ends in the middle of a record.");
            yield return record;
            if (isCut)
                throw source.FaultAtEnd(ReportFormatException.Truncated, "The report ends in the middle of its header.");
        }
        if (header is null)
            throw source.FaultAtEnd(ReportFormatException.Empty, "The report is empty.");
    }

    // Within quotes there is always an odd number of them before.
    static bool IsOpen(ReadOnlySpan<byte> record) => record.Count((byte)'"') % 2 == 1;

    async ValueTask<string> DelimiterAsync(TextEncoding encoding, CancellationToken cancellationToken)
    {
        var head = new byte[64 << 10];
        report.Position = encoding.Preamble;
        var length = await report.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, cancellationToken);
        var text = encoding.Decode(head.AsSpan(0, length)).TrimStart();
        var line = text.AsSpan(0, text.AsSpan().IndexOfAny('\r', '\n') is var end and >= 0 ? end : text.Length);
        return line.Count(';') > line.Count(',') ? ";" : ",";
    }
}

/// <summary>Names of columns, compared without case; of two columns of one name the first counts.</summary>
internal sealed class CsvHeader
{
    readonly Dictionary<string, int> _columns = new(StringComparer.OrdinalIgnoreCase);

    public CsvHeader(IReadOnlyList<string> names)
    {
        Count = names.Count;
        for (var i = 0; i < names.Count; i++)
            _columns.TryAdd(names[i].Trim(), i);
    }

    public int Count { get; }

    public int? Find(string name) => _columns.TryGetValue(name, out var column) ? column : null;

    public bool HasAny(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (_columns.ContainsKey(name))
                return true;
        }
        return false;
    }
}

internal sealed record CsvRecord(string Pointer, long Offset, Sha256Digest Hash, CsvHeader Header, IReadOnlyList<string> Fields)
{
    public bool IsHeader { get; init; }

    public bool IsComment { get; init; }

    /// <summary>The first column of these names that holds something, trimmed.</summary>
    public string? Text(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (Header.Find(name) is { } column && column < Fields.Count && Fields[column].AsSpan().Trim() is { Length: > 0 } text)
                return text.ToString();
        }
        return null;
    }
}

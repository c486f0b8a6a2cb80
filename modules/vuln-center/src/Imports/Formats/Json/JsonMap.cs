using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Wave16.VulnCenter.Imports.Formats.Json;

/// <summary>
/// Where the interesting parts of a JSON document stand. One pass over the report checks the whole document, keeps the
/// scalars asked for and notes offset and length of every array element asked for; the elements are then read one by one.
/// So a broken document is refused before anything of it is used, keys may come in any order, and memory is
/// 16 bytes per element plus one buffer.
/// </summary>
internal sealed class JsonMap : IDisposable
{
    readonly Stream _report;
    readonly JsonWindow _window;
    readonly List<Extent> _extents;
    readonly Dictionary<string, string> _scalars;
    readonly HashSet<string> _present;
    readonly Dictionary<string, int> _lengths;

    internal JsonMap(Stream report, ReportContext context, JsonScan scan)
    {
        _report = report;
        _window = new JsonWindow(report, context.MaxDepth);
        _extents = scan.Extents;
        _scalars = scan.Scalars;
        _present = scan.Present;
        Sections = scan.Sections;
        _lengths = scan.Lengths;
        HasNames = scan.RootIsObject;
    }

    /// <summary>The number of elements of an array on the way to what was asked for; 0 when there is no such array.</summary>
    public int Length(string pointer) => _lengths.GetValueOrDefault(pointer);

    /// <summary>Whether the root is an object.</summary>
    public bool HasNames { get; }

    /// <summary>An error about the document as a whole.</summary>
    public static ReportFormatException Foreign(string detail) => new(ReportFormatException.Foreign, detail, 0, 1, 1, "");

    /// <summary>The arrays found whose elements were asked for, in document order.</summary>
    public IReadOnlyList<JsonSection> Sections { get; }

    /// <exception cref="ReportFormatException">The document is not JSON, is cut off, or breaks a limit.</exception>
    public static Task<JsonMap> ReadAsync(Stream report, JsonPaths paths, ReportContext context, CancellationToken cancellationToken) =>
        ReadAsync(new JsonScan(report, paths, context, isLines: false), report, context, cancellationToken);

    /// <summary>
    /// As <see cref="ReadAsync(Stream, JsonPaths, ReportContext, CancellationToken)"/>, for a document that is an array, or else
    /// JSON Lines: the values one after the other are read as if they were the elements of one array.
    /// </summary>
    /// <exception cref="ReportFormatException">The document is neither, is cut off, or breaks a limit.</exception>
    public static Task<JsonMap> ReadLinesAsync(Stream report, JsonPaths paths, ReportContext context, CancellationToken cancellationToken) =>
        ReadAsync(new JsonScan(report, paths, context, isLines: true), report, context, cancellationToken);

    static async Task<JsonMap> ReadAsync(JsonScan scan, Stream report, ReportContext context, CancellationToken cancellationToken)
    {
        using (scan)
        {
            await scan.RunAsync(cancellationToken);
            return new JsonMap(report, context, scan);
        }
    }

    /// <summary>A scalar's text; null when absent, null or not a scalar.</summary>
    public string? Scalar(string pointer) => _scalars.GetValueOrDefault(pointer);

    /// <summary>Whether the document has a value other than null there.</summary>
    public bool Has(string pointer) => _present.Contains(pointer) || _scalars.ContainsKey(pointer);

    /// <summary>The elements of a section in order. An element's bytes are valid until the next one is asked for.</summary>
    public async IAsyncEnumerable<JsonItem> ItemsAsync(
        JsonSection section, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        for (var i = 0; i < section.Count; i++)
        {
            var extent = _extents[section.First + i];
            yield return await _window.ReadAsync(section.PointerOf(i), extent.Offset, extent.Length, cancellationToken);
        }
    }

    /// <summary>
    /// Whether one of the first hundred elements is what the format's results look like, or there are none: what is not ours
    /// must not pass for a scan in which everything was rejected.
    /// </summary>
    public async Task<bool> LooksLikeAsync(IEnumerable<JsonSection> sections, Func<JsonElement, bool> isOurs, CancellationToken cancellationToken)
    {
        var looked = 0;
        foreach (var section in sections)
        {
            await foreach (var item in ItemsAsync(section, cancellationToken))
            {
                using var document = item.Parse();
                if (isOurs(document.RootElement))
                    return true;
                if (++looked == 100)
                    return false;
            }
        }
        return looked == 0;
    }

    /// <summary>The number of raw results where an element can hold several.</summary>
    /// <param name="count">Of one element.</param>
    /// <exception cref="ReportFormatException">There are more than <see cref="ReportContext.MaxElements"/>.</exception>
    public async Task<int> CountAsync(IEnumerable<JsonSection> sections, Func<JsonItem, int> count, ReportContext context, CancellationToken cancellationToken)
    {
        long results = 0;
        foreach (var section in sections)
        {
            await foreach (var item in ItemsAsync(section, cancellationToken))
            {
                results += count(item);
                if (results > context.MaxElements)
                    throw await FaultAsync(ReportFormatException.TooMany, $"More than {context.MaxElements} results.", item, cancellationToken);
            }
        }
        return (int)results;
    }

    /// <summary>An error in one element that is the document's.</summary>
    public Task<ReportFormatException> FaultAsync(string code, string detail, JsonItem item, CancellationToken cancellationToken) =>
        new ScanFault(code, detail, item.Pointer) { Offset = item.Offset }.LocateAsync(_report, cancellationToken);

    /// <summary>The whole document as one element, for those that hold a single result.</summary>
    /// <param name="length">Of the document, in bytes.</param>
    public ValueTask<JsonItem> WholeAsync(int length, CancellationToken cancellationToken) => _window.ReadAsync("", 0, length, cancellationToken);

    public void Dispose() => _window.Dispose();

    [StructLayout(LayoutKind.Auto)]
    internal readonly record struct Extent(long Offset, int Length);
}

/// <summary>
/// An array whose elements were asked for: by the path <c>Results/*/Vulnerabilities/*</c>, found at the pointer
/// <c>/Results/3/Vulnerabilities</c>; or an object whose members were.
/// </summary>
internal sealed record JsonSection(string Pattern, string Pointer, int First)
{
    public int Count { get; internal set; }

    /// <summary>The members' names; null for an array.</summary>
    public IReadOnlyList<string>? Names { get; internal init; }

    /// <summary>Pointer of the object that holds the array, <c>/Results/3</c>.</summary>
    public string Parent { get; } = Pointer.LastIndexOf('/') is var slash and >= 0 ? Pointer[..slash] : "";

    /// <summary>Values one after the other. A single one is the whole document.</summary>
    public bool IsLines { get; internal init; }

    public string PointerOf(int index) => IsLines && Count == 1 ? "" : Names is null
        ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Pointer}/{index}")
        : $"{Pointer}/{Escape(Names[index])}";

    /// <summary>A name as a segment of a pointer (RFC 6901 section 3).</summary>
    public static string Escape(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
}

/// <summary>One array element. <see cref="Raw"/> is its bytes exactly as they stand, valid until the next one is read.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct JsonItem(string Pointer, long Offset, ReadOnlyMemory<byte> Raw, int MaxDepth)
{
    public JsonDocument Parse() => JsonDocument.Parse(JsonText.Sanitize(Raw), new JsonDocumentOptions { MaxDepth = MaxDepth });

    /// <summary>The elements of one of its arrays. Of duplicate keys the last one counts.</summary>
    public IEnumerable<JsonItem> Children(string name)
    {
        var start = ArrayAt(Raw.Span, name, MaxDepth);
        if (start < 0)
            yield break;
        var walk = new ArrayWalk(Raw[start..], MaxDepth);
        for (var i = 0; walk.MoveNext(); i++)
        {
            yield return new JsonItem(
                string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Pointer}/{name}/{i}"), Offset + start + walk.Start,
                Raw.Slice(start + walk.Start, walk.Length), MaxDepth);
        }
    }

    static int ArrayAt(ReadOnlySpan<byte> raw, string name, int maxDepth)
    {
        var start = -1;
        var reader = new Utf8JsonReader(raw, new JsonReaderOptions { MaxDepth = maxDepth });
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            return start;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isWanted = JsonText.Decode(reader.ValueSpan, reader.ValueIsEscaped) == name;
            reader.Read();
            if (isWanted)
                start = reader.TokenType == JsonTokenType.StartArray ? (int)reader.TokenStartIndex : -1;
            reader.Skip();
        }
        return start;
    }

    public Sha256Digest Hash() => Sha256Digest.Of(Raw.Span);

    public Sha256Digest KeyedHash(ReportContext context) => Sha256Digest.Keyed(context.SecretKey.Span, Raw.Span);
}

/// <summary>Where the elements of an array begin and end, one at a time.</summary>
/// <param name="raw">Begins with the array.</param>
internal sealed class ArrayWalk(ReadOnlyMemory<byte> raw, int maxDepth)
{
    JsonReaderState _state = new(new JsonReaderOptions { MaxDepth = maxDepth });
    int _position;

    public int Start { get; private set; }
    public int Length { get; private set; }

    public bool MoveNext()
    {
        var reader = new Utf8JsonReader(raw.Span[_position..], isFinalBlock: true, _state);
        if (_position == 0)
            reader.Read();
        if (!reader.Read() || reader.TokenType == JsonTokenType.EndArray)
            return false;
        var start = (int)reader.TokenStartIndex;
        reader.Skip();
        (Start, Length) = (_position + start, (int)reader.BytesConsumed - start);
        (_position, _state) = (_position + (int)reader.BytesConsumed, reader.CurrentState);
        return true;
    }
}

/// <summary>Reads extents of a stream, mostly in ascending order, through one pooled buffer.</summary>
internal sealed class JsonWindow(Stream stream, int maxDepth) : IDisposable
{
    const int InitialSize = 256 << 10;

    byte[] _buffer = ArrayPool<byte>.Shared.Rent(InitialSize);
    long _start;
    int _length;

    public async ValueTask<JsonItem> ReadAsync(string pointer, long offset, int length, CancellationToken cancellationToken)
    {
        if (offset < _start || offset + length > _start + _length)
            await FillAsync(offset, length, cancellationToken);
        return new JsonItem(pointer, offset, _buffer.AsMemory((int)(offset - _start), length), maxDepth);
    }

    async ValueTask FillAsync(long offset, int length, CancellationToken cancellationToken)
    {
        if (_buffer.Length < length)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = ArrayPool<byte>.Shared.Rent(length);
        }
        stream.Position = offset;
        (_start, _length) = (offset, await stream.ReadAtLeastAsync(_buffer, length, throwOnEndOfStream: true, cancellationToken));
    }

    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);
}

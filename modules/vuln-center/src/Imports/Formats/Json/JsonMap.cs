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
    readonly JsonWindow _window;
    readonly List<Extent> _extents;
    readonly Dictionary<string, string> _scalars;
    readonly HashSet<string> _present;
    readonly Dictionary<string, int> _lengths;

    internal JsonMap(Stream report, ReportContext context, JsonScan scan)
    {
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
    public static async Task<JsonMap> ReadAsync(
        Stream report, JsonPaths paths, ReportContext context, CancellationToken cancellationToken)
    {
        using var scan = new JsonScan(report, paths, context);
        await scan.RunAsync(cancellationToken);
        return new JsonMap(report, context, scan);
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

    /// <summary>The whole document as one element, for those that hold a single result.</summary>
    /// <param name="length">Of the document, in bytes.</param>
    public ValueTask<JsonItem> WholeAsync(int length, CancellationToken cancellationToken) => _window.ReadAsync("", 0, length, cancellationToken);

    public void Dispose() => _window.Dispose();

    [StructLayout(LayoutKind.Auto)]
    internal readonly record struct Extent(long Offset, int Length);
}

/// <summary>
/// An array whose elements were asked for: by the path <c>Results/*/Vulnerabilities/*</c>, found at the pointer
/// <c>/Results/3/Vulnerabilities</c>.
/// </summary>
internal sealed record JsonSection(string Pattern, string Pointer, int First)
{
    public int Count { get; internal set; }

    /// <summary>Pointer of the object that holds the array, <c>/Results/3</c>.</summary>
    public string Parent { get; } = Pointer.LastIndexOf('/') is var slash and >= 0 ? Pointer[..slash] : "";

    public string PointerOf(int index) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Pointer}/{index}");
}

/// <summary>One array element. <see cref="Raw"/> is its bytes exactly as they stand, valid until the next one is read.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct JsonItem(string Pointer, long Offset, ReadOnlyMemory<byte> Raw, int MaxDepth)
{
    public JsonDocument Parse() => JsonDocument.Parse(JsonText.Sanitize(Raw), new JsonDocumentOptions { MaxDepth = MaxDepth });

    public Sha256Digest Hash() => Sha256Digest.Of(Raw.Span);

    public Sha256Digest KeyedHash(ReportContext context) => Sha256Digest.Keyed(context.SecretKey.Span, Raw.Span);
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

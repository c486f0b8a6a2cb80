using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Xml;
using System.Xml.Linq;
using Wave16.VulnCenter.Imports.Formats.Json;
using Wave16.VulnCenter.Imports.Formats.Text;

namespace Wave16.VulnCenter.Imports.Formats.Xml;

/// <summary>
/// Where the interesting parts of an XML document stand. One pass over the report checks the whole document and notes
/// offset and length of every element asked for; the elements are then read one by one. So a broken document is refused
/// before anything of it is used, and memory is 24 bytes per element plus one element.
/// A DOCTYPE is passed over: nothing it declares is expanded or fetched, and a reference to an entity of its own refuses
/// the document.
/// </summary>
internal sealed class XmlMap : IDisposable
{
    readonly Stream _report;
    readonly ReportContext _context;
    readonly XmlScan _scan;
    readonly JsonWindow _window;

    XmlMap(Stream report, ReportContext context, XmlScan scan)
    {
        _report = report;
        _context = context;
        _scan = scan;
        _window = new JsonWindow(report, context.MaxDepth);
    }

    public XmlPlace Root => _scan.Root ?? throw new InvalidOperationException("Not read.");

    /// <summary>Elements asked for that stand next to each other in one parent, in document order.</summary>
    public IReadOnlyList<XmlSection> Sections => _scan.Sections;

    /// <summary>Elements asked for that can hold others that were, in document order.</summary>
    public IReadOnlyList<XmlPlace> Places => _scan.Places;

    /// <summary>An error about the document as a whole.</summary>
    public static ReportFormatException Foreign(string detail) => new(ReportFormatException.Foreign, detail, 0, 1, 1, "");

    /// <exception cref="ReportFormatException">The document is not XML, is cut off, breaks a limit, or has another root element.</exception>
    public static async Task<XmlMap> ReadAsync(Stream report, XmlPaths paths, ReportContext context, CancellationToken cancellationToken)
    {
        var encoding = await TextEncoding.DetectAsync(report, cancellationToken);
        var scan = new XmlScan(report, encoding, paths, context);
        await scan.RunAsync(cancellationToken);
        return new XmlMap(report, context, scan);
    }

    /// <summary>Whether there is an element of that name on the way to those asked for.</summary>
    public bool Has(string name) => _scan.PlaceNames.Contains(name);

    /// <summary>The number of elements of that name that were asked for.</summary>
    public int Count(string name) => _scan.Extents.Count(extent => extent.Node.Name == name);

    /// <summary>The elements of a section in order. An element's bytes are valid until the next one is asked for.</summary>
    public async IAsyncEnumerable<XmlItem> ItemsAsync(XmlSection section, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        for (var i = 0; i < section.Count; i++)
        {
            var extent = _scan.Extents[section.First + i];
            var pointer = section.Parent.PointerOf(extent.Node.Name, extent.Index);
            var bytes = await _window.ReadAsync(pointer, extent.Offset, extent.Length, cancellationToken);
            yield return new XmlItem(extent.Node.Name, pointer, extent.Offset, bytes.Raw, section.Parent, _scan.Encoding, _scan.Names);
        }
    }

    /// <summary>An element that was asked for and holds others that were: itself without those.</summary>
    public async Task<XElement> HeadAsync(XmlPlace place, CancellationToken cancellationToken)
    {
        using var source = new TextSource(_report, _scan.Encoding, place.Offset, place.Offset + place.Length, _context.MaxElementBytes, cancellationToken) { KeepsBytes = false };
        using var reader = XmlReader.Create(source, XmlScan.Settings(_scan.Names, ConformanceLevel.Fragment), place.ParserContext(_scan.Names));
        await reader.ReadAsync();
        return await HeadAsync(reader, place.Node, cancellationToken);
    }

    /// <summary>An element that was asked for and holds no others that were.</summary>
    public async Task<XmlItem> WholeAsync(XmlPlace place, CancellationToken cancellationToken)
    {
        var bytes = await _window.ReadAsync(place.Pointer, place.Offset, (int)place.Length, cancellationToken);
        return new XmlItem(place.Name, place.Pointer, place.Offset, bytes.Raw, place, _scan.Encoding, _scan.Names);
    }

    /// <summary>SHA-256 over an element's bytes, all of what it holds among them.</summary>
    public async Task<Sha256Digest> HashAsync(XmlPlace place, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var done = 0L; done < place.Length;)
        {
            var block = await _window.ReadAsync(place.Pointer, place.Offset + done, (int)Math.Min(place.Length - done, 64 << 10), cancellationToken);
            hash.AppendData(block.Raw.Span);
            done += block.Raw.Length;
        }
        return new Sha256Digest(hash.GetHashAndReset());
    }

    /// <summary>Lets go of what was read; the report stays open.</summary>
    public void Dispose() => _window.Dispose();

    // The reader stands on the element, and afterwards on its end tag, or still on the element if it has none.
    static async Task<XElement> HeadAsync(XmlReader reader, XmlPaths.Node node, CancellationToken cancellationToken)
    {
        var head = new XElement(XName.Get(reader.LocalName, reader.NamespaceURI));
        if (reader.MoveToFirstAttribute())
        {
            do
                head.Add(new XAttribute(XName.Get(reader.LocalName, reader.NamespaceURI), reader.Value));
            while (reader.MoveToNextAttribute());
            reader.MoveToElement();
        }
        if (reader.IsEmptyElement || !await reader.ReadAsync())
            return head;
        while (reader.NodeType != XmlNodeType.EndElement)
        {
            if (reader.NodeType != XmlNodeType.Element || node.Find(reader.LocalName) is not { } inner)
            {
                head.Add(await XNode.ReadFromAsync(reader, cancellationToken));
                continue;
            }
            if (inner.IsLeaf || inner.IsAsked)
            {
                await reader.SkipAsync();
                continue;
            }
            head.Add(await HeadAsync(reader, inner, cancellationToken));
            await reader.ReadAsync();
        }
        return head;
    }
}

/// <summary>An element on the way to those asked for.</summary>
internal sealed class XmlPlace(XmlPaths.Node node, string name, string @namespace, XmlPlace? parent, int index, long offset)
{
    internal static readonly Dictionary<string, string> NoAttributes = [];

    readonly List<XmlSection> _sections = [];

    /// <summary>Local name.</summary>
    public string Name { get; } = name;
    public string Namespace { get; } = @namespace;
    public XmlPlace? Parent { get; } = parent;

    /// <summary>
    /// XPath of the element by local names, each but the root's with its number among its siblings of that name:
    /// <c>/NessusClientData_v2/Report[1]/ReportHost[2]</c>.
    /// </summary>
    public string Pointer { get; } = parent is null ? $"/{name}" : parent.PointerOf(name, index);

    /// <summary>Without namespace declarations, by local name.</summary>
    public IReadOnlyDictionary<string, string> Attributes { get; internal set; } = NoAttributes;

    /// <summary>Where it starts in the report, in bytes from 0.</summary>
    public long Offset { get; } = offset;

    /// <summary>From 1.</summary>
    public long Line { get; internal set; }

    internal XmlPaths.Node Node { get; } = node;
    internal long Length { get; set; }
    internal IDictionary<string, string> Namespaces { get; set; } = NoAttributes;

    /// <summary>The elements asked for that it holds, of those that were asked for itself.</summary>
    public IReadOnlyList<XmlSection> Sections => _sections;

    internal void Add(XmlSection section) => _sections.Add(section);

    public string? Attribute(string name) => Attributes.GetValueOrDefault(name) is { Length: > 0 } text ? text : null;

    /// <summary>The nearest element of that name from here outwards; null when there is none.</summary>
    public XmlPlace? Within(string name)
    {
        var place = this;
        while (place is not null && place.Name != name)
            place = place.Parent;
        return place;
    }

    internal string PointerOf(string name, int index) => string.Create(CultureInfo.InvariantCulture, $"{Pointer}/{name}[{index}]");

    internal XmlParserContext ParserContext(XmlNameTable names)
    {
        var namespaces = new XmlNamespaceManager(names);
        foreach (var (prefix, uri) in Namespaces)
            namespaces.AddNamespace(prefix, uri);
        return new XmlParserContext(names, namespaces, xmlLang: null, XmlSpace.None);
    }
}

/// <summary>Neighbouring elements that were asked for, none of which holds another such.</summary>
internal sealed record XmlSection(XmlPlace Parent, int First)
{
    public int Count { get; internal set; }
}

/// <summary>One element. <see cref="Raw"/> is its bytes exactly as they stand, valid until the next one is read.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct XmlItem(
    string Name, string Pointer, long Offset, ReadOnlyMemory<byte> Raw, XmlPlace Parent, TextEncoding Encoding, XmlNameTable Names)
{
    public XElement Parse()
    {
        using var reader = XmlReader.Create(
            new StringReader(Encoding.Decode(Raw.Span)), XmlScan.Settings(Names, ConformanceLevel.Fragment), Parent.ParserContext(Names));
        reader.Read();
        return (XElement)XNode.ReadFrom(reader);
    }

    public Sha256Digest Hash() => Sha256Digest.Of(Raw.Span);
}

using System.Runtime.InteropServices;
using System.Xml;
using Wave16.VulnCenter.Imports.Formats.Text;

namespace Wave16.VulnCenter.Imports.Formats.Xml;

/// <summary>The first pass of <see cref="XmlMap"/>.</summary>
internal sealed class XmlScan(Stream report, TextEncoding encoding, XmlPaths paths, ReportContext context)
{
    const int MaxRetained = 64 << 20;

    // What a thing takes besides its texts, as characters.
    const int Overhead = 64;

    readonly List<Frame> _frames = [];
    int _retained;

    public TextEncoding Encoding => encoding;
    public BoundedNameTable Names { get; } = new();
    public List<Extent> Extents { get; } = [];
    public List<XmlSection> Sections { get; } = [];
    public List<XmlPlace> Places { get; } = [];

    /// <summary>Of all elements on the way to those asked for.</summary>
    public HashSet<string> PlaceNames { get; } = new(StringComparer.Ordinal);
    public XmlPlace? Root { get; private set; }

    /// <summary>No DTD, no resolver; characters that XML does not allow are replaced where text is taken, see <see cref="XmlText"/>.</summary>
    public static XmlReaderSettings Settings(XmlNameTable names, ConformanceLevel conformance) => new()
    {
        Async = true,
        CheckCharacters = false,
        ConformanceLevel = conformance,
        DtdProcessing = DtdProcessing.Ignore,
        NameTable = names,
        XmlResolver = null,
    };

    /// <summary>Name and namespace of the root element, if it begins within as many characters.</summary>
    /// <exception cref="ReportFormatException">A limit is broken, or the encoding is not read.</exception>
    public static async Task<(string Name, string Namespace)?> RootAsync(Stream report, int characters, ReportContext context, CancellationToken cancellationToken)
    {
        var encoding = await TextEncoding.DetectAsync(report, cancellationToken);
        using var source = new TextSource(report, encoding, encoding.Preamble, report.Length, context.MaxElementBytes, cancellationToken);
        var settings = Settings(new BoundedNameTable(), ConformanceLevel.Document);
        settings.MaxCharactersInDocument = characters;
        using var reader = XmlReader.Create(source, settings);
        try
        {
            while (await reader.ReadAsync())
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (reader.NodeType == XmlNodeType.Element)
                    return (XmlText.Clean(reader.LocalName), XmlText.Clean(reader.NamespaceURI));
            }
        }
        catch (XmlException)
        {
            // Not well-formed: as good as without.
        }
        catch (NameTableFullException)
        {
            // A root element with more attributes than any report's.
        }
        return null;
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var source = new TextSource(report, encoding, encoding.Preamble, report.Length, context.MaxElementBytes, cancellationToken);
        source.Pointer = Pointer;
        using var reader = XmlReader.Create(source, Settings(Names, ConformanceLevel.Document));
        try
        {
            while (await reader.ReadAsync())
            {
                cancellationToken.ThrowIfCancellationRequested();
                Step(reader, source);
            }
        }
        catch (XmlException malformed)
        {
            throw Classify(malformed, source);
        }
        catch (NameTableFullException)
        {
            throw source.Fault(ReportFormatException.TooMany, $"More than {BoundedNameTable.MaxNames} different names of elements and attributes.");
        }
    }

    void Step(XmlReader reader, TextSource source)
    {
        var place = (IXmlLineInfo)reader;
        switch (reader.NodeType)
        {
            case XmlNodeType.Element:
                var start = source.MoveTo(place.LineNumber, place.LinePosition - 1);
                if (reader.Depth >= context.MaxDepth)
                    throw source.Fault(ReportFormatException.TooDeep, $"Nested deeper than {context.MaxDepth} levels.");
                Enter(reader, source, start);
                break;
            case XmlNodeType.EndElement:
                source.MoveTo(place.LineNumber, place.LinePosition - 2);
                if (_frames.Count > 0 && _frames[^1].Depth == reader.Depth)
                    Leave(source);
                break;
            default:
                source.MoveTo(place.LineNumber, place.LinePosition);
                break;
        }
    }

    void Enter(XmlReader reader, TextSource source, long start)
    {
        if (reader.Depth == 0 && paths.Top.Find(reader.LocalName) is null)
            throw XmlMap.Foreign($"Expected the root element {paths.Top.Names}, found '{Bounded.Word(reader.LocalName)}'.");
        if (reader.Depth > 0 && (_frames.Count == 0 || _frames[^1].Depth != reader.Depth - 1))
            return;
        var parent = _frames.Count == 0 ? null : _frames[^1];
        if ((parent?.Node ?? paths.Top).Find(reader.LocalName) is not { } node)
            return;

        var index = parent is null ? 1 : ++parent.Counts[node.Ordinal];
        var frame = new Frame(node, parent, index, reader.Depth, start);
        if (!node.IsLeaf || parent is null)
        {
            frame.Place = PlaceOf(reader, source, node, parent?.Place, index, start);
            Root ??= frame.Place;
            PlaceNames.Add(node.Name);
            if (node.IsAsked && !node.IsLeaf)
                Places.Add(frame.Place);
        }
        _frames.Add(frame);
        if (reader.IsEmptyElement)
            Leave(source);
    }

    XmlPlace PlaceOf(XmlReader reader, TextSource source, XmlPaths.Node node, XmlPlace? parent, int index, long start)
    {
        var place = new XmlPlace(node, XmlText.Clean(reader.LocalName), reader.NamespaceURI, parent, index, start)
        {
            Attributes = AttributesOf(reader, source),
            Line = source.Line,
        };
        var inScope = ((IXmlNamespaceResolver)reader).GetNamespacesInScope(XmlNamespaceScope.ExcludeXml);
        place.Namespaces = parent is not null && parent.Namespaces.Count == inScope.Count && inScope.All(parent.Namespaces.Contains)
            ? parent.Namespaces
            : inScope;
        Retain(place.Pointer.Length, source);
        return place;
    }

    Dictionary<string, string> AttributesOf(XmlReader reader, TextSource source)
    {
        if (!reader.HasAttributes)
            return XmlPlace.NoAttributes;
        var attributes = new Dictionary<string, string>(StringComparer.Ordinal);
        while (reader.MoveToNextAttribute())
        {
            if (reader.Prefix == "xmlns" || reader.Name == "xmlns")
                continue;
            Retain(reader.LocalName.Length + reader.Value.Length, source);
            attributes.TryAdd(reader.LocalName, XmlText.Clean(reader.Value));
        }
        reader.MoveToElement();
        return attributes;
    }

    void Leave(TextSource source)
    {
        var frame = _frames[^1];
        var length = source.TagEnd() - frame.Start;
        if (frame.Place is { } place)
            place.Length = length;
        if (frame.Node.IsAsked)
            Ask(frame, length, source);
        _frames.RemoveAt(_frames.Count - 1);
    }

    void Ask(Frame frame, long length, TextSource source)
    {
        if (length - frame.Inner > context.MaxElementBytes)
            throw source.Fault(ReportFormatException.TooLarge, $"A single element is larger than {context.MaxElementBytes} bytes.");
        for (var outer = frame.Parent; outer is not null; outer = outer.Parent)
        {
            outer.Inner += length;
            if (outer.Node.IsAsked)
                break;
        }
        if (!frame.Node.IsLeaf || frame.Parent is not { Place: { } place } parent)
            return;
        if (parent.Section is not { } section || section.First + section.Count != Extents.Count)
        {
            Sections.Add(section = parent.Section = new XmlSection(place, Extents.Count));
            for (var outer = place; outer is not null; outer = outer.Parent)
            {
                if (outer.Node.IsAsked)
                {
                    outer.Add(section);
                    break;
                }
            }
            Retain(0, source);
        }
        Extents.Add(new Extent(frame.Start, (int)length, frame.Index, frame.Node));
        section.Count++;
        if (Extents.Count > context.MaxElements)
            throw source.Fault(ReportFormatException.TooMany, $"More than {context.MaxElements} elements.");
    }

    void Retain(int characters, TextSource source)
    {
        _retained += characters + Overhead;
        if (_retained > MaxRetained)
            throw source.Fault(ReportFormatException.TooMany, $"What the report names besides its results (components, dependencies, hosts) takes more than {MaxRetained} characters; send it in parts, with scope=partial.");
    }

    ReportFormatException Classify(XmlException malformed, TextSource source)
    {
        if (source.First == '\0')
            return source.FaultAtEnd(ReportFormatException.Empty, "The report is empty.");
        if (source.First != '<')
            return XmlMap.Foreign($"Expected XML, found '{XmlText.Clean($"{source.First}")}'.");
        source.MoveTo(malformed.LineNumber, malformed.LinePosition - 2);
        var isEndTag = source.IsAtTag();
        source.MoveTo(malformed.LineNumber, malformed.LinePosition - 1);
        var isEntity = source.IsAt('&');
        if (source.HasEnded && !isEndTag)
            return source.FaultAtEnd(ReportFormatException.Truncated, "The report ends in the middle of an element.");
        source.MoveTo(malformed.LineNumber, malformed.LinePosition);
        return isEntity
            ? source.Fault(ReportFormatException.Entity, "An entity that is not one of XML's own is not expanded.")
            : source.Fault(ReportFormatException.Malformed, Reason(malformed));
    }

    // "… Line 3, position 5." says the same as the place, in characters.
    static string Reason(XmlException malformed) => malformed.Message.Split(" Line ", 2)[0];

    string Pointer() => _frames.Count == 0 ? "" : _frames[^1].Pointer;

    [StructLayout(LayoutKind.Auto)]
    internal readonly record struct Extent(long Offset, int Length, int Index, XmlPaths.Node Node);

    sealed class Frame(XmlPaths.Node node, Frame? parent, int index, int depth, long start)
    {
        public XmlPaths.Node Node { get; } = node;
        public Frame? Parent { get; } = parent;
        public int Index { get; } = index;
        public int Depth { get; } = depth;
        public long Start { get; } = start;
        public int[] Counts { get; } = node.IsLeaf ? [] : new int[node.Count];
        public XmlPlace? Place { get; set; }
        public XmlSection? Section { get; set; }

        /// <summary>Bytes of asked elements within.</summary>
        public long Inner { get; set; }

        public string Pointer => Place?.Pointer ?? Parent?.Place?.PointerOf(Node.Name, Index) ?? $"/{Node.Name}";
    }
}

/// <summary>Names of elements and attributes are kept as long as the report is read; a hostile one has millions of them.</summary>
internal sealed class BoundedNameTable : NameTable
{
    public const int MaxNames = 100_000;

    int _count;

    public override string Add(char[] key, int start, int len) => Get(key, start, len) ?? Count(base.Add(key, start, len));

    public override string Add(string key) => Get(key) ?? Count(base.Add(key));

    string Count(string name) => ++_count > MaxNames ? throw new NameTableFullException() : name;
}

/// <summary>More names than a report has.</summary>
internal sealed class NameTableFullException : Exception;

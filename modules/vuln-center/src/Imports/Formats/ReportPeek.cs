using System.Text;
using Wave16.VulnCenter.Imports.Formats.Json;
using Wave16.VulnCenter.Imports.Formats.Xml;

namespace Wave16.VulnCenter.Imports.Formats;

internal enum DocumentKind
{
    Empty,
    JsonObject,
    JsonArray,

    /// <summary>JSON values one after the other, as a rule one a line.</summary>
    JsonLines,
    Xml,
    Text,
}

/// <summary>
/// What a report looks like from outside, for <c>format=auto</c>. Bounded in memory whatever the report is, and never an
/// error: of a broken report it shows the part before the fault.
/// </summary>
internal sealed record ReportPeek(DocumentKind Kind)
{
    const int FirstLineBytes = 16 << 10;
    const int MaxXmlCharacters = 1 << 20;
    const int NamesShown = 20;

    readonly Dictionary<string, string?> _paths = [];

    /// <summary>Members of the root object in the order met; of an array or of lines those of the first element.</summary>
    public IReadOnlyList<string> Names { get; private init; } = [];

    /// <summary>JSON that is <c>[]</c>, which many scanners write when they find nothing.</summary>
    public bool IsEmptyArray { get; private init; }

    /// <summary>Local name of the XML root element; null when there is none.</summary>
    public string? XmlRoot { get; private init; }

    /// <summary>Namespace of the XML root element, empty when it has none.</summary>
    public string XmlNamespace { get; private init; } = "";

    /// <summary>The first line of text, without a byte order mark, at most 16 KiB: the header of a CSV file.</summary>
    public string FirstLine { get; private init; } = "";

    /// <summary>
    /// Whether JSON has something other than null there: <c>results/*/check_id</c>, where <c>*</c> is the first element of an
    /// array. Paths into a root array or JSON Lines begin with <c>*</c>. Down to four levels.
    /// </summary>
    public bool Has(string path) => _paths.ContainsKey(path);

    public bool HasAll(params ReadOnlySpan<string> paths)
    {
        foreach (var path in paths)
        {
            if (!Has(path))
                return false;
        }
        return true;
    }

    /// <summary>The text of a scalar, its first 200 characters; null for anything else.</summary>
    public string? Scalar(string path) => _paths.GetValueOrDefault(path);

    /// <summary>What was seen, in words, for people whose report no format recognises.</summary>
    public string Description => Kind switch
    {
        DocumentKind.Empty => "nothing at all",
        DocumentKind.JsonObject => $"a JSON object {Members("with")}",
        DocumentKind.JsonArray when IsEmptyArray => "an empty JSON array",
        DocumentKind.JsonArray when Names.Count == 0 => "a JSON array without objects",
        DocumentKind.JsonArray => $"a JSON array of objects {Members("with")}",
        DocumentKind.JsonLines => $"JSON Lines, the first {Members("with")}",
        DocumentKind.Xml when XmlRoot is null => "XML without a root element that could be read",
        DocumentKind.Xml => $"XML with the root element {Bounded.Word(XmlRoot)}{(XmlNamespace.Length == 0 ? "" : $" in {Bounded.Word(XmlNamespace)}")}",
        _ when FirstLine.AsSpan().IndexOfAnyInRange('\0', '\u0008') >= 0 => "binary data",
        _ => $"text that begins '{Bounded.Word(FirstLine)}'",
    };

    /// <summary>Reads the stream from its start; where it stands afterwards is undefined.</summary>
    public static async Task<ReportPeek> OfAsync(Stream report, ReportContext context, CancellationToken cancellationToken)
    {
        report.Position = 0;
        var head = new byte[FirstLineBytes];
        head = head[..await report.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, cancellationToken)];
        var start = head.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? 3 : 0;
        var text = TextOf(head, start).TrimStart();
        return text switch
        {
            [] => new ReportPeek(DocumentKind.Empty),
            ['{' or '[', ..] => await JsonAsync(report, start, context, cancellationToken),
            ['<', ..] => await XmlAsync(report, context, cancellationToken),
            _ => new ReportPeek(DocumentKind.Text) { FirstLine = text.Split('\n')[0].TrimEnd('\r') },
        };
    }

    static async Task<ReportPeek> JsonAsync(Stream report, int start, ReportContext context, CancellationToken cancellationToken)
    {
        using var shape = new JsonShape(report, context);
        await shape.RunAsync(start, cancellationToken);
        return new ReportPeek(shape.IsLines ? DocumentKind.JsonLines : shape.IsArray ? DocumentKind.JsonArray : DocumentKind.JsonObject, shape);
    }

    // Not well-formed up to its root element, or in an encoding that is not read: there is no root element to tell of.
    static async Task<ReportPeek> XmlAsync(Stream report, ReportContext context, CancellationToken cancellationToken)
    {
        try
        {
            return await XmlScan.RootAsync(report, MaxXmlCharacters, context, cancellationToken) is var (name, @namespace)
                ? new ReportPeek(DocumentKind.Xml) { XmlRoot = name, XmlNamespace = @namespace }
                : new ReportPeek(DocumentKind.Xml);
        }
        catch (ReportFormatException)
        {
            return new ReportPeek(DocumentKind.Xml);
        }
    }

    ReportPeek(DocumentKind kind, JsonShape shape)
        : this(kind)
    {
        Names = shape.Names;
        IsEmptyArray = kind == DocumentKind.JsonArray && !shape.HasElements;
        _paths = kind == DocumentKind.JsonLines
            ? shape.Paths.ToDictionary(path => "*/" + path.Key, path => path.Value, StringComparer.Ordinal)
            : shape.Paths;
    }

    static string TextOf(byte[] head, int start) => head switch
    {
        [0xFF, 0xFE, ..] => Encoding.Unicode.GetString(head, 2, head.Length - 2),
        [0xFE, 0xFF, ..] => Encoding.BigEndianUnicode.GetString(head, 2, head.Length - 2),
        _ => Encoding.UTF8.GetString(head, start, head.Length - start),
    };

    string Members(string with) => Names.Count switch
    {
        0 => "without members",
        <= NamesShown => $"{with} {string.Join(", ", Names)}",
        _ => $"{with} {string.Join(", ", Names.Take(NamesShown))} and {Names.Count - NamesShown} more",
    };
}

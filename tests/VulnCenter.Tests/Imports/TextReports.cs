using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>The fixtures that are XML or CSV.</summary>
internal static class TextReports
{
    public static readonly (string Format, string File)[] Good =
    [
        ("burp", "burp-shop-web.xml"), ("cyclonedx", "cyclonedx-shop-api.xml"), ("cyclonedx", "cyclonedx-1.2-extension.xml"),
        ("dependency-check", "dependency-check-shop-api.xml"), ("dependency-check", "dependency-check-1.3.xml"),
        ("nessus", "nessus-shop-net.nessus"), ("nessus", "nessus-shop-net.csv"), ("nessus", "nessus-tenable-io.csv"), ("zap", "zap-shop-web.xml"),
    ];

    public static TheoryData<string, string> All => [.. Good.Select(report => new TheoryDataRow<string, string>(report.Format, report.File))];

    public static TheoryData<string, string> Xml =>
        [.. Good.Where(report => !report.File.EndsWith(".csv", StringComparison.Ordinal)).Select(report => new TheoryDataRow<string, string>(report.Format, report.File))];

    /// <summary>A Nessus report of one host with the given items.</summary>
    public static string Nessus(params string[] items) =>
        $"""<NessusClientData_v2><Report name="r"><ReportHost name="h"><HostProperties><tag name="HOST_END">x</tag></HostProperties>{string.Concat(items)}</ReportHost></Report></NessusClientData_v2>""";

    public static string Item(string plugin, string inner = "", string attributes = "") =>
        $"""<ReportItem port="443" protocol="tcp" severity="2" pluginID="{plugin}" pluginName="n"{attributes}>{inner}</ReportItem>""";

    public static string Csv(params string[] rows) =>
        $"Plugin ID,CVE,Risk,Host,Protocol,Port,Name,Synopsis,Description\n{string.Concat(rows.Select(row => row + "\n"))}";

    /// <summary>The document as another reader sees it.</summary>
    public static XDocument Parse(byte[] report)
    {
        using var reader = XmlReader.Create(new MemoryStream(report), new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null });
        return XDocument.Load(reader, LoadOptions.PreserveWhitespace);
    }

    /// <summary>The element an XPath of local names and numbers leads to.</summary>
    public static XElement Resolve(XDocument document, string pointer)
    {
        var steps = pointer.Split('/')[1..];
        var element = document.Root ?? throw new XmlException("No root.");
        Assert.Equal(steps[0], element.Name.LocalName);
        foreach (var step in steps[1..])
        {
            var bracket = step.IndexOf('[', StringComparison.Ordinal);
            var number = int.Parse(step.AsSpan(bracket + 1, step.Length - bracket - 2), System.Globalization.CultureInfo.InvariantCulture);
            element = element.Elements().Where(child => child.Name.LocalName == step[..bracket]).ElementAt(number - 1);
        }
        return element;
    }

    /// <summary>The same document in another encoding, as it says itself.</summary>
    public static byte[] Encode(string xml, Encoding encoding) =>
        [.. encoding.GetPreamble(), .. encoding.GetBytes($"<?xml version=\"1.0\" encoding=\"{encoding.WebName}\"?>\n{xml}")];
}

using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Xml;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Burp Suite's XML of issues. A raw result is an <c>issue</c>. Requests and responses are not kept: they hold sessions and
/// whatever the site answered. The serial number differs from scan to scan, and so is no fingerprint.
/// </summary>
internal sealed partial class BurpFormat : IReportFormat
{
    static readonly XmlPaths Paths = new("issues/issue");

    public string Name => "burp";
    public string Title => "Burp Suite XML";
    public IReadOnlyList<string> Versions => ["Burp Suite Professional 1.6 and later"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("High", Severity.High),
        new("Medium", Severity.Medium),
        new("Low", Severity.Low),
        new("Information", Severity.Info),
    ];

    public bool Recognises(ReportPeek peek) => peek is { Kind: DocumentKind.Xml, XmlRoot: "issues", XmlNamespace: "" };

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await XmlMap.ReadAsync(report, Paths, context, cancellationToken);
        if (map.Root.Attribute("burpVersion") is not { } version)
            throw XmlMap.Foreign("Not a Burp report: 'issues' has no burpVersion.");
        yield return new ReportItem.ScannerSeen("burp")
        {
            Version = Bounded.Word(version),
            ScannedAt = ReportTimes.OfJavaDate(map.Root.Attribute("exportTime")),
            HostsAreOfResults = true,
            Results = map.Sections.Sum(section => section.Count),
        };
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item, item.Parse());
        }
    }

    ReportItem Read(XmlItem item, XElement issue)
    {
        if (Bounded.Identity(issue.Text("type")) is not { } type)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "type is missing.");
        var severity = issue.Text("severity");
        var method = issue.Children("requestresponse").Select(exchange => exchange.Child("request").AttributeText("method")).FirstOrDefault();
        var web = WebPlaces.Of(method, $"{issue.Text("host")?.TrimEnd('/')}{issue.Text("path")}", Parameter(issue.Text("location")), issue.Text("host"));
        if (web.Host is null || web.PathTemplate is null)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "host and path are missing or are no URL.");
        var observation = new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Dast,
            RuleId = type,
            Title = Bounded.Title(issue.Text("name") ?? type),
            Description = Bounded.Description(string.Join(
                "\n\n", new[] { issue.Text("issueDetail"), issue.Text("issueBackground"), issue.Text("remediationDetail"), issue.Text("remediationBackground") }.OfType<string>())),
            RawSeverity = Bounded.Word(severity),
            Severity = Severities.Map(severity),
            Cwes = Identifiers.Cwes(CweLinks().Matches(issue.Text("vulnerabilityClassifications") ?? "").Select(match => match.Value)),
            Web = web,
            References = WebPlaces.Links(issue.Text("references"), issue.Text("vulnerabilityClassifications")),
        };
        return string.Equals(severity, "False positive", StringComparison.OrdinalIgnoreCase)
            ? observation.Dismissed("Marked as a false positive in Burp.")
            : new ReportItem.Observed(observation);
    }

    // "/basket.jsp [id parameter]": the insertion point stands in brackets.
    static string? Parameter(string? location)
    {
        var start = location?.LastIndexOf(" [", StringComparison.Ordinal) ?? -1;
        return start >= 0 && location is [.., ']'] ? location[(start + 2)..^1] : null;
    }

    [GeneratedRegex(@"CWE-[0-9]{1,5}", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1_000)]
    private static partial Regex CweLinks();
}

using System.Globalization;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Xml;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// OWASP Dependency-Check's XML (schemas 1.3 to 4.x, which differ in namespace and in how they write CVSS). A raw result is
/// a <c>vulnerability</c> or <c>suppressedVulnerability</c> of a dependency; the latter is rejected with its notes. Related
/// dependencies are the same component found again: they make no results of their own. The manifest is the file's name,
/// for its path is the build machine's.
/// </summary>
internal sealed class DependencyCheckFormat : IReportFormat
{
    const string Dependency = "analysis/dependencies/dependency";
    const string Suppressed = "suppressedVulnerability";

    static readonly XmlPaths Paths = new(
        "analysis/scanInfo", "analysis/projectInfo", Dependency, $"{Dependency}/vulnerabilities/vulnerability", $"{Dependency}/vulnerabilities/{Suppressed}");

    // CVSS metrics in the order of their vectors; what is written out as a word in a report begins with the letter of the vector.
    static readonly (string Metric, string Element)[] Version2 =
    [
        ("AV", "accessVector"), ("AC", "accessComplexity"), ("Au", "authenticationr"),
        ("C", "confidentialImpact"), ("I", "integrityImpact"), ("A", "availabilityImpact"),
    ];

    static readonly (string Metric, string Element)[] Version2Before6 =
        [.. Version2.Select(part => (part.Metric, $"cvss{char.ToUpperInvariant(part.Element[0])}{part.Element[1..]}"))];

    static readonly (string Metric, string Element)[] Version3 =
    [
        ("AV", "attackVector"), ("AC", "attackComplexity"), ("PR", "privilegesRequired"), ("UI", "userInteraction"), ("S", "scope"),
        ("C", "confidentialityImpact"), ("I", "integrityImpact"), ("A", "availabilityImpact"),
    ];

    public string Name => "dependency-check";
    public string Title => "OWASP Dependency-Check XML";
    public IReadOnlyList<string> Versions => ["schemas 1.3 to 4.x"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("critical", Severity.Critical),
        new("high", Severity.High),
        new("medium", Severity.Medium),
        new("moderate", Severity.Medium),
        new("low", Severity.Low),
        new("info", Severity.Info),
        new("informational", Severity.Info),
        new("none", Severity.None),
        new("unknown", Severity.Unknown),
    ];

    public bool Recognises(ReportPeek peek) =>
        peek is { Kind: DocumentKind.Xml, XmlRoot: "analysis" } && IsOwn(peek.XmlNamespace);

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await XmlMap.ReadAsync(report, Paths, context, cancellationToken);
        if (!IsOwn(map.Root.Namespace))
            throw XmlMap.Foreign($"Not a Dependency-Check report: 'analysis' is in the namespace '{Bounded.Word(map.Root.Namespace)}'.");
        yield return await ScannerAsync(map, cancellationToken);
        foreach (var dependency in map.Places.Where(place => place.Sections.Count > 0))
        {
            var head = await map.HeadAsync(dependency, cancellationToken);
            var component = ComponentOf(head);
            foreach (var section in dependency.Sections)
            {
                await foreach (var item in map.ItemsAsync(section, cancellationToken))
                    yield return Read(item, item.Parse(), head, component);
            }
        }
    }

    static bool IsOwn(string @namespace) => @namespace.Contains("dependency-check", StringComparison.OrdinalIgnoreCase);

    static async Task<ReportItem.ScannerSeen> ScannerAsync(XmlMap map, CancellationToken cancellationToken)
    {
        var (version, project, date) = ((string?)null, (string?)null, (string?)null);
        foreach (var section in map.Sections.Where(section => section.Parent == map.Root))
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                version ??= item.Parse().Text("engineVersion");
                project ??= item.Name == "projectInfo" ? item.Parse().Text("name") : null;
                date ??= item.Name == "projectInfo" ? item.Parse().Text("reportDate") : null;
            }
        }
        return new ReportItem.ScannerSeen("dependency-check")
        {
            Version = Bounded.Word(version),
            Category = Bounded.Identity(project),
            ScannedAt = ReportTimes.Of(date),
            Results = map.Places.Sum(place => place.Sections.Sum(section => section.Count)),
        };
    }

    ReportItem Read(XmlItem item, XElement vulnerability, XElement dependency, Component? component)
    {
        if (Bounded.Identity(vulnerability.Text("name")) is not { } id)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "name is missing.");
        if (component is null)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "The dependency has neither a package nor a fileName.");
        var severity = vulnerability.Text("severity") ?? vulnerability.Child("cvssV3").Text("baseSeverity") ?? vulnerability.Child("cvssV2").Text("severity");
        var path = Bounded.Path(dependency.Text("filePath"));
        var observation = new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Sca,
            RuleId = id,
            Title = Bounded.Title($"{id} in {component.Name}"),
            Description = Bounded.Description(vulnerability.Text("description")),
            RawSeverity = Bounded.Word(severity),
            Severity = Severities.Map(severity),
            Cvss = Cvss(vulnerability),
            Identifiers = Identifiers.Advisories(id),
            Cwes = Identifiers.Cwes(vulnerability.Child("cwes").Texts("cwe").Append(vulnerability.Text("cwe"))),
            Component = component,
            Manifest = Bounded.Path(dependency.Text("fileName")),
            Location = path is null ? null : new CodeLocation(path),
            References = WebPlaces.Links(vulnerability.Child("references").Children("reference").Select(reference => reference.Text("url"))),
        };
        return item.Name == Suppressed
            ? observation.Dismissed($"Suppressed in Dependency-Check: {Bounded.Word(vulnerability.Text("notes"))?.TrimEnd('.') ?? "no notes"}.")
            : new ReportItem.Observed(observation);
    }

    // Schema 2.0 and later state a package URL; before, Maven's coordinates: (org.dom4j:dom4j:2.1.1).
    static Component? ComponentOf(XElement dependency)
    {
        var identifiers = dependency.Child("identifiers");
        var purl = identifiers.Children("package").Select(package => package.Text("id")).FirstOrDefault(id => Purl.WithoutVersion(id) is not null);
        if (Purl.WithoutVersion(purl) is { } canonical && purl is not null)
            return new Component(
                Bounded.Identity(Uri.UnescapeDataString(canonical[(canonical.LastIndexOf('/') + 1)..])) ?? canonical, Bounded.Word(Purl.VersionOf(purl)),
                Purl.TypeOf(canonical), Bounded.Identity(purl), Bounded.Identity(canonical), []);
        var maven = identifiers.Children("identifier").FirstOrDefault(identifier => identifier.AttributeText("type") == "maven").Text("name");
        if (maven?.Trim('(', ')').Split(':') is [{ Length: > 0 } group, { Length: > 0 } artifact, var version])
            return new Component(
                Bounded.Identity(artifact) ?? artifact, Bounded.Word(version), "maven", Purl: null, Bounded.Identity(Purl.Of("maven", group, artifact)), []);
        return Bounded.Identity(dependency.Text("fileName")) is { } file ? new Component(file, Version: null, Ecosystem: null, Purl: null, PurlWithoutVersion: null, []) : null;
    }

    static IReadOnlyList<ReportedCvss> Cvss(XElement vulnerability)
    {
        var v3 = vulnerability.Child("cvssV3");
        var v4 = vulnerability.Child("cvssV4");
        return
        [
            .. new[]
            {
                Identifiers.Cvss(v4.Text("vectorString"), v4.Decimal("baseScore"), v4.Text("source")),
                Identifiers.Cvss(Vector($"CVSS:{(v3.Text("version") is "3.0" ? "3.0" : "3.1")}/", v3, Version3), v3.Decimal("baseScore"), vulnerability.AttributeText("source")),
                Identifiers.Cvss(Vector("", vulnerability.Child("cvssV2"), Version2), vulnerability.Child("cvssV2").Decimal("score"), vulnerability.AttributeText("source")),
                Identifiers.Cvss(Vector("", vulnerability, Version2Before6), vulnerability.Decimal("cvssScore"), vulnerability.AttributeText("source")),
            }.OfType<ReportedCvss>(),
        ];
    }

    // "NETWORK" and "N" alike; a vector with a metric missing is none.
    static string? Vector(string prefix, XElement? scores, (string Metric, string Element)[] metrics)
    {
        var parts = metrics.Select(metric => scores.Text(metric.Element) is { } value
            ? string.Create(CultureInfo.InvariantCulture, $"{metric.Metric}:{char.ToUpperInvariant(value[0])}")
            : null).ToList();
        return parts.Contains(null) ? null : prefix + string.Join('/', parts);
    }
}

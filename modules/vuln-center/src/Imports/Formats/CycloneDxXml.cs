using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Wave16.VulnCenter.Imports.Formats.Xml;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// CycloneDX in XML. Before 1.4 vulnerabilities were an extension: they stand in a component, or beside the components with
/// a <c>ref</c>, and each is one raw result.
/// </summary>
internal static class CycloneDxXml
{
    const string Schema = "http://cyclonedx.org/schema/bom/";

    static readonly XmlPaths Paths = new(
        "bom/metadata", "bom/components/component", "bom/components/component/vulnerabilities/vulnerability",
        "bom/vulnerabilities/vulnerability", "bom/vulnerabilities/vulnerability/affects/target");

    public static bool Recognises(ReportPeek peek) => peek.XmlRoot == "bom" && peek.XmlNamespace.StartsWith(Schema, StringComparison.Ordinal);

    public static async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await XmlMap.ReadAsync(report, Paths, context, cancellationToken);
        if (!map.Root.Namespace.StartsWith(Schema, StringComparison.Ordinal))
            throw XmlMap.Foreign($"Not a CycloneDX BOM: 'bom' is in the namespace '{Bounded.Word(map.Root.Namespace)}'.");

        var metadata = await MetadataAsync(map, cancellationToken);
        var main = metadata.Child("component");
        var components = await ComponentsAsync(map, main, cancellationToken);
        var image = main.AttributeText("type") == "container" ? Bounded.Identity(main.Text("name")) : null;
        var tool = metadata.Child("tools").Child("components").Child("component") ?? metadata.Child("tools").Child("tool");
        yield return new ReportItem.ScannerSeen(Bounded.Word(tool.Text("name")) ?? "cyclonedx")
        {
            Version = Bounded.Word(tool.Text("version")),
            Category = Bounded.Identity(main.Text("name")),
            Image = image,
            ScannedAt = ReportTimes.Of(metadata.Text("timestamp")),
            Results = map.Places.Sum(place => place.Name == "component" ? Count(place) : Math.Max(1, Count(place))),
            Failure = map.Has("vulnerabilities") ? null : "The BOM has no list of vulnerabilities: it is an inventory, not a scan.",
        };
        var repository = Identifiers.ImageRepository(image);
        foreach (var place in map.Places)
        {
            var items = place.Name == "component"
                ? OfComponentAsync(map, place, repository, cancellationToken)
                : OfVulnerabilityAsync(map, place, components, repository, cancellationToken);
            await foreach (var item in items)
                yield return item;
        }
    }

    static int Count(XmlPlace place) => place.Sections.Sum(section => section.Count);

    static async IAsyncEnumerable<ReportItem> OfVulnerabilityAsync(
        XmlMap map, XmlPlace place, CycloneDxComponents components, string? imageRepository, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var raw = await map.HeadAsync(place, cancellationToken);
        var payload = await map.HashAsync(place, cancellationToken);
        var vulnerability = Read(raw);
        if (place.Sections.Count == 0)
        {
            var component = place.Attribute("ref") is { } reference ? components.Find(reference) : null;
            yield return vulnerability.Affects(place.Pointer, place.Offset, payload, component, isUnaffected: false, imageRepository);
        }
        foreach (var section in place.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Affects(item, item.Parse(), vulnerability, payload, components, imageRepository);
        }
    }

    static async IAsyncEnumerable<ReportItem> OfComponentAsync(
        XmlMap map, XmlPlace place, string? imageRepository, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (place.Sections.Count == 0)
            yield break;
        var component = ComponentOf(await map.HeadAsync(place, cancellationToken));
        foreach (var section in place.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item.Parse()).Affects(item.Pointer, item.Offset, item.Hash(), component, isUnaffected: false, imageRepository);
        }
    }

    static ReportItem Affects(
        XmlItem item, XElement target, CycloneDxVulnerability vulnerability, Sha256Digest payload, CycloneDxComponents components, string? imageRepository)
    {
        if (target.Text("ref") is not { } reference)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "ref is missing.");
        var component = components.Find(reference);
        var versions = target.Child("versions").Children("version").Take(Bounded.ListLength).ToList();
        if (component.Version is null && versions is [var only])
            component = component with { Version = only.Text("version") };
        var isUnaffected = versions.Count > 0 && versions.TrueForAll(version => version.Text("status") == "unaffected");
        return vulnerability.Affects(item.Pointer, item.Offset, payload, component, isUnaffected, imageRepository);
    }

    static CycloneDxVulnerability Read(XElement raw)
    {
        var analysis = raw.Child("analysis");
        var advisories = raw.Child("advisories").Children("advisory").ToList();
        return new CycloneDxVulnerability
        {
            Id = raw.Text("id"),
            Description = raw.Text("description"),
            Detail = raw.Text("detail"),
            Recommendation = raw.Text("recommendation") ?? raw.Child("recommendations").Text("recommendation"),
            Ratings = [.. raw.Child("ratings").Children("rating").Take(Bounded.ListLength).Select(rating => new CycloneDxRating(
                rating.Text("severity"), rating.Text("method"), rating.Text("vector"),
                rating.Child("score").Decimal("base") ?? rating.Decimal("score"), rating.Child("source").Text("name") ?? raw.Child("source").AttributeText("name")))],
            Cwes = raw.Child("cwes").Texts("cwe"),
            Aliases = [.. raw.Child("references").Children("reference").Select(reference => reference.Text("id")).OfType<string>().Take(Bounded.ListLength)],
            Urls = [.. advisories.Select(advisory => advisory.HasElements ? advisory.Text("url") : advisory.Text()).Prepend(raw.Child("source").Text("url"))
                .OfType<string>().Take(Bounded.ListLength)],
            State = analysis.Text("state"),
            Justification = analysis.Text("justification"),
            AnalysisDetail = analysis.Text("detail"),
        };
    }

    static async Task<XElement?> MetadataAsync(XmlMap map, CancellationToken cancellationToken)
    {
        foreach (var section in map.Sections.Where(section => section.Parent == map.Root))
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                return item.Parse();
        }
        return null;
    }

    static async Task<CycloneDxComponents> ComponentsAsync(XmlMap map, XElement? main, CancellationToken cancellationToken)
    {
        var components = new CycloneDxComponents();
        if (main is not null)
            components.Add(main.AttributeText("bom-ref"), ComponentOf(main));
        foreach (var place in map.Places.Where(place => place.Name == "component"))
        {
            foreach (var component in (await map.HeadAsync(place, cancellationToken)).DescendantsAndSelf().Where(element => element.Name.LocalName == "component"))
                components.Add(component.AttributeText("bom-ref"), ComponentOf(component));
            if (components.IsTooLarge)
                throw new ReportFormatException(
                    ReportFormatException.TooMany, $"The components of the BOM take more than {CycloneDxComponents.MaxRetained} characters; send it in parts, with scope=partial.", place.Offset, place.Line, 1, place.Pointer);
        }
        return components;
    }

    static CycloneDxComponent ComponentOf(XElement raw) => new(raw.Text("group"), raw.Text("name"), raw.Text("version"), raw.Text("purl"))
    {
        Location = raw.Child("evidence").Child("occurrences").Children("occurrence").Select(occurrence => occurrence.Text("location")).FirstOrDefault(),
    };
}

using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>CycloneDX in JSON. Components may stand after the vulnerabilities and hold further components.</summary>
internal static class CycloneDxJson
{
    static readonly JsonPaths Paths = new(
        "bomFormat", "specVersion", "metadata/timestamp", "metadata/tools/*/name", "metadata/tools/*/version", "metadata/tools/components/*/name", "metadata/tools/components/*/version",
        "metadata/component/bom-ref", "metadata/component/type", "metadata/component/group", "metadata/component/name", "metadata/component/version",
        "metadata/component/purl", "components/*", "vulnerabilities/*");

    public static bool Recognises(ReportPeek peek) => peek.Scalar("bomFormat") == "CycloneDX";

    public static async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        if (map.Scalar("/bomFormat") != "CycloneDX")
            throw JsonMap.Foreign("Not a CycloneDX BOM: bomFormat is not 'CycloneDX'.");

        var components = await ComponentsAsync(map, cancellationToken);
        var vulnerabilities = map.Sections.Where(section => section.Pattern == "vulnerabilities/*").ToList();
        var image = map.Scalar("/metadata/component/type") == "container" ? Bounded.Identity(map.Scalar("/metadata/component/name")) : null;
        var tool = map.Has("/metadata/tools/components") ? "/metadata/tools/components/0" : "/metadata/tools/0";
        yield return new ReportItem.ScannerSeen(Bounded.Word(map.Scalar($"{tool}/name")) ?? "cyclonedx")
        {
            Version = Bounded.Word(map.Scalar($"{tool}/version")),
            Category = Bounded.Identity(map.Scalar("/metadata/component/name")),
            Image = image,
            ScannedAt = ReportTimes.Of(map.Scalar("/metadata/timestamp")),
            Results = await map.CountAsync(vulnerabilities, item => Math.Max(1, item.Children("affects").Count()), context, cancellationToken),
            Failure = map.Has("/vulnerabilities") ? null : "The BOM has no list of vulnerabilities: it is an inventory, not a scan.",
        };
        foreach (var section in vulnerabilities)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                var vulnerability = Read(item);
                var payload = item.Hash();
                var isAlone = true;
                foreach (var affected in item.Children("affects"))
                {
                    isAlone = false;
                    yield return Affects(affected, vulnerability, payload, components, Identifiers.ImageRepository(image));
                }
                if (isAlone)
                    yield return vulnerability.Affects(item.Pointer, item.Offset, payload, component: null, isUnaffected: false, Identifiers.ImageRepository(image));
            }
        }
    }

    static ReportItem Affects(JsonItem item, CycloneDxVulnerability vulnerability, Sha256Digest payload, CycloneDxComponents components, string? imageRepository)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (raw.Text("ref"u8) is not { } reference)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "ref is missing.");
        var component = components.Find(reference);
        var versions = raw.Items("versions"u8).Take(Bounded.ListLength).ToList();
        if (component.Version is null && versions is [var only])
            component = component with { Version = only.Text("version"u8) };
        var isUnaffected = versions.Count > 0 && versions.TrueForAll(version => version.Text("status"u8) == "unaffected");
        return vulnerability.Affects(item.Pointer, item.Offset, payload, component, isUnaffected, imageRepository);
    }

    static CycloneDxVulnerability Read(JsonItem item)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        var analysis = raw.Field("analysis"u8);
        return new CycloneDxVulnerability
        {
            Id = raw.Text("id"u8),
            Description = raw.Text("description"u8),
            Detail = raw.Text("detail"u8),
            Recommendation = raw.Text("recommendation"u8),
            Ratings = [.. raw.Items("ratings"u8).Take(Bounded.ListLength).Select(rating => new CycloneDxRating(
                rating.Text("severity"u8), rating.Text("method"u8), rating.Text("vector"u8), rating.Decimal("score"u8), rating.Field("source"u8).Text("name"u8)))],
            Cwes = [.. raw.Items("cwes"u8).Take(Bounded.ListLength).Where(cwe => cwe.ValueKind == JsonValueKind.Number).Select(cwe => cwe.GetRawText())],
            Aliases = [.. raw.Items("references"u8).Select(reference => reference.Text("id"u8)).OfType<string>().Take(Bounded.ListLength)],
            Urls = [.. raw.Items("advisories"u8).Prepend(raw.Field("source"u8)).Select(advisory => advisory.Text("url"u8)).OfType<string>().Take(Bounded.ListLength)],
            State = analysis.Text("state"u8),
            Justification = analysis.Text("justification"u8),
            AnalysisDetail = analysis.Text("detail"u8),
        };
    }

    static async Task<CycloneDxComponents> ComponentsAsync(JsonMap map, CancellationToken cancellationToken)
    {
        var components = new CycloneDxComponents();
        components.Add(map.Scalar("/metadata/component/bom-ref"), new CycloneDxComponent(
            map.Scalar("/metadata/component/group"), map.Scalar("/metadata/component/name"), map.Scalar("/metadata/component/version"), map.Scalar("/metadata/component/purl")));
        foreach (var section in map.Sections.Where(section => section.Pattern == "components/*"))
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                using var document = item.Parse();
                Add(components, document.RootElement);
                if (components.IsTooLarge)
                    throw await map.FaultAsync(ReportFormatException.TooMany, $"The components of the BOM take more than {CycloneDxComponents.MaxRetained} characters; send it in parts, with scope=partial.", item, cancellationToken);
            }
        }
        return components;
    }

    // As deep as the document may be nested.
    static void Add(CycloneDxComponents components, JsonElement raw)
    {
        components.Add(raw.Text("bom-ref"u8), new CycloneDxComponent(raw.Text("group"u8), raw.Text("name"u8), raw.Text("version"u8), raw.Text("purl"u8))
        {
            Location = raw.Field("evidence"u8).Items("occurrences"u8).Select(occurrence => occurrence.Text("location"u8)).FirstOrDefault(),
        });
        foreach (var nested in raw.Items("components"u8))
            Add(components, nested);
    }
}

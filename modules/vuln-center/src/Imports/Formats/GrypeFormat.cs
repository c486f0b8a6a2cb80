using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Anchore Grype's JSON (<c>grype/presenter/models</c>), from 0.7 on. The source that was scanned stands after the
/// matches. What ignore rules or VEX took out of them (<c>ignoredMatches</c>) is rejected with what the rules say.
/// </summary>
internal sealed class GrypeFormat : IReportFormat
{
    const string Ignored = "ignoredMatches/*";

    static readonly JsonPaths Paths = new(
        "matches/*", Ignored, "source/type", "source/target", "source/target/userInput", "descriptor/name", "descriptor/version", "descriptor/timestamp");

    public string Name => "grype";
    public string Title => "Anchore Grype JSON";
    public IReadOnlyList<string> Versions => ["0.7 and later"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("Critical", Severity.Critical),
        new("High", Severity.High),
        new("Medium", Severity.Medium),
        new("Low", Severity.Low),
        new("Negligible", Severity.Info),
        new("Unknown", Severity.Unknown),
    ];

    public bool Recognises(ReportPeek peek) =>
        peek.Has("matches") && (peek.Scalar("descriptor/name") == "grype" || (!peek.Has("descriptor/name") && peek.HasAll("matches/*/vulnerability", "matches/*/artifact")));

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        if (!map.Has("/matches") || map.Scalar("/descriptor/name") is not (null or "grype"))
            throw JsonMap.Foreign("Not a Grype report: no array 'matches', or a descriptor that names another tool.");

        var isImage = map.Scalar("/source/type") == "image";
        var scanned = Bounded.Identity(map.Scalar("/source/target/userInput") ?? map.Scalar("/source/target"));
        var image = isImage ? Identifiers.ImageRepository(scanned) : null;
        yield return new ReportItem.ScannerSeen("grype")
        {
            Version = Bounded.Word(map.Scalar("/descriptor/version")),
            Category = scanned,
            Image = isImage ? scanned : null,
            ScannedAt = ReportTimes.Of(map.Scalar("/descriptor/timestamp")),
            Results = map.Sections.Sum(section => section.Count),
        };
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item, image, isIgnored: section.Pattern == Ignored);
        }
    }

    ReportItem Read(JsonItem item, string? image, bool isIgnored)
    {
        using var document = item.Parse();
        var match = document.RootElement;
        var vulnerability = match.Field("vulnerability"u8);
        var artifact = match.Field("artifact"u8);
        if (Bounded.Identity(vulnerability.Text("id"u8)) is not { } id)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "vulnerability.id is missing.");
        if (Bounded.Identity(artifact.Text("name"u8)) is not { } name)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "artifact.name is missing.");

        var type = artifact.Text("type"u8);
        var purl = artifact.Text("purl"u8);
        var canonical = Purl.WithoutVersion(purl);
        var version = Bounded.Word(artifact.Text("version"u8));
        var observation = new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Sca,
            RuleId = id,
            Title = Bounded.Title($"{id} in {name}"),
            Description = Bounded.Description(vulnerability.Text("description"u8) ?? Related(match, "description"u8)),
            RawSeverity = Bounded.Word(vulnerability.Text("severity"u8)),
            Severity = Severities.Map(vulnerability.Text("severity"u8)),
            Cvss = Cvss(match, vulnerability),
            Identifiers = Identifiers.Advisories(
            [
                id,
                .. match.Items("relatedVulnerabilities"u8).Select(related => related.Text("id"u8)),
                .. vulnerability.Items("advisories"u8).Select(advisory => advisory.Text("id"u8)),
            ]),
            Aliases = Aliases(match, vulnerability, id),
            Cwes = Identifiers.Cwes(vulnerability.Items("cwes"u8).Select(cwe => cwe.Text("cwe"u8))),
            Component = new Component(
                name, version, Purl.TypeOf(canonical) ?? Bounded.Word(type), Bounded.Identity(purl), Bounded.Identity(canonical), FixedVersions(vulnerability)),
            Manifest = Bounded.Path(artifact.Items("locations"u8).Select(location => location.Text("path"u8)).FirstOrDefault()),
            ImageRepository = image,
            References = References(vulnerability),
        };
        return isIgnored ? observation.Dismissed(ReasonOf(match)) : new ReportItem.Observed(observation);
    }

    // Older versions tell only whom the rules are about.
    static string ReasonOf(JsonElement match)
    {
        var reasons = Bounded.Words(match.Items("appliedIgnoreRules"u8).Take(Bounded.ListLength).Select(rule =>
            rule.Text("vex-status"u8) is { } status ? Vex.Reason(status, rule.Text("vex-justification"u8), detail: null).TrimEnd('.')
            : rule.Text("reason"u8) ?? (rule.Text("fix-state"u8) is { } state ? $"fix state {state}" : null)));
        return Bounded.Title($"Ignored in Grype: {(reasons.Count > 0 ? string.Join("; ", reasons).TrimEnd('.') : "no reason")}.");
    }

    // GitHub's advisories are about one problem, and their related record is its CVE. Those of distributions relate to all they fix.
    static IReadOnlyList<AliasPair> Aliases(JsonElement match, JsonElement vulnerability, string id)
    {
        var related = Identifiers.Advisories([.. match.Items("relatedVulnerabilities"u8).Select(record => record.Text("id"u8))]);
        return vulnerability.Text("namespace"u8)?.StartsWith("github:", StringComparison.Ordinal) == true
            && Identifiers.Advisory(id) is { Kind: "ghsa" } advisory && related is [{ Kind: "cve" } cve]
            ? [new AliasPair(advisory.Value, cve.Value)]
            : [];
    }

    static string? Related(JsonElement match, ReadOnlySpan<byte> name)
    {
        foreach (var related in match.Items("relatedVulnerabilities"u8))
        {
            if (related.Text(name) is { } text)
                return text;
        }
        return null;
    }

    // Vectors of related records count too: distributions publish none, NVD's stand under the related CVE.
    static IReadOnlyList<ReportedCvss> Cvss(JsonElement match, JsonElement vulnerability)
    {
        var vectors = new List<ReportedCvss?>
        {
            Identifiers.Cvss(vulnerability.Field("cvssV3"u8).Text("vector"u8), vulnerability.Field("cvssV3"u8).Decimal("baseScore"u8), null),
            Identifiers.Cvss(vulnerability.Field("cvssV2"u8).Text("vector"u8), vulnerability.Field("cvssV2"u8).Decimal("baseScore"u8), null),
        };
        foreach (var record in match.Items("relatedVulnerabilities"u8).Prepend(vulnerability))
        {
            foreach (var cvss in record.Items("cvss"u8))
                vectors.Add(Identifiers.Cvss(cvss.Text("vector"u8), cvss.Field("metrics"u8).Decimal("baseScore"u8), cvss.Text("source"u8)));
        }
        return [.. vectors.OfType<ReportedCvss>().Distinct().Take(Bounded.ListLength)];
    }

    static IReadOnlyList<string> FixedVersions(JsonElement vulnerability)
    {
        var versions = vulnerability.Field("fix"u8).Texts("versions"u8);
        if (versions.Count == 0 && vulnerability.Text("fixedInVersion"u8) is { } version)
            versions = [version];
        return [.. versions.Select(Bounded.Word).OfType<string>()];
    }

    static IReadOnlyList<string> References(JsonElement vulnerability) =>
    [
        .. vulnerability.Texts("urls"u8)
            .Concat(vulnerability.Texts("links"u8))
            .Prepend(vulnerability.Text("dataSource"u8))
            .OfType<string>().Where(url => url.Length <= Bounded.PathLength).Distinct(),
    ];
}

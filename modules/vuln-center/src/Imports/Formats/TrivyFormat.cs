using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Aqua Trivy's JSON (<c>pkg/types/report.go</c>): the array of results before 0.20, schema 2 after it, and the
/// Kubernetes report, which wraps results in resources. Trivy's own <c>Fingerprint</c> is not used: it covers the image
/// id and the package version, so every build would be new. What <c>.trivyignore</c>, a policy or VEX took out stands in the
/// report only with <c>--show-suppressed</c> (<c>pkg/types/finding.go</c>), and is rejected with its statement.
/// </summary>
internal sealed class TrivyFormat : IReportFormat
{
    const string Modified = "ExperimentalModifiedFindings";

    static readonly string[] ResultPrefixes =
        ["*/", "Results/*/", "Resources/*/Results/*/", "Vulnerabilities/*/Results/*/", "Misconfigurations/*/Results/*/"];

    static readonly string[] ResourceNames = ["Namespace", "Kind", "Name"];

    static readonly string[] LegacyNames = ["Type", "Class", "Vulnerabilities", "Misconfigurations", "Secrets"];

    static readonly JsonPaths Paths = new(
    [
        "SchemaVersion", "ArtifactName", "ArtifactType", "ClusterName", "CreatedAt", "Trivy/Version", "Metadata/RepoURL", "Metadata/Commit",
        .. ResultPrefixes.SelectMany(prefix => new[]
        {
            $"{prefix}Target", $"{prefix}Class", $"{prefix}Type",
            $"{prefix}Vulnerabilities/*", $"{prefix}Misconfigurations/*", $"{prefix}Secrets/*", $"{prefix}Licenses/*", $"{prefix}{Modified}/*",
        }),
        .. new[] { "Resources", "Vulnerabilities", "Misconfigurations" }
            .SelectMany(list => ResourceNames.Select(name => $"{list}/*/{name}")),
    ]);

    public string Name => "trivy";
    public string Title => "Aqua Trivy JSON";
    public IReadOnlyList<string> Versions => ["legacy array (before 0.20)", "schema 2", "Kubernetes report"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("CRITICAL", Severity.Critical),
        new("HIGH", Severity.High),
        new("MEDIUM", Severity.Medium),
        new("LOW", Severity.Low),
        new("UNKNOWN", Severity.Unknown),
    ];

    public bool Recognises(ReportPeek peek) =>
        peek.HasAll("SchemaVersion", "ArtifactName")
        || peek.Has("Results/*/Target")
        || (peek.Has("ClusterName") && (peek.Has("Resources") || peek.Has("Vulnerabilities") || peek.Has("Misconfigurations")))
        || (peek.Kind == DocumentKind.JsonArray && peek.Has("*/Target") && LegacyNames.Any(name => peek.Names.Contains(name, StringComparer.Ordinal)));

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        yield return Scanner(map);
        var occurrences = new Occurrences();
        foreach (var section in map.Sections)
        {
            var target = Target.Of(map, section);
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item, section, target, occurrences, context);
        }
    }

    static ReportItem.ScannerSeen Scanner(JsonMap map)
    {
        var isLegacy = map.Length("") > 0 && map.Has("/0/Target");
        var isEmpty = map.Length("") == 0 && !map.Has("/SchemaVersion") && !map.Has("/ArtifactName") && !map.Has("/ClusterName");
        if ((map.Length("") > 0 && !isLegacy) || (isEmpty && map.HasNames))
            throw JsonMap.Foreign("Not a Trivy report: neither an array of results with a Target nor an object with SchemaVersion, ArtifactName or ClusterName.");
        var isImage = map.Scalar("/ArtifactType") == "container_image";
        return new ReportItem.ScannerSeen("trivy")
        {
            Version = Bounded.Word(map.Scalar("/Trivy/Version")),
            Category = Bounded.Identity(map.Scalar("/ArtifactName") ?? map.Scalar("/ClusterName")),
            Image = isImage ? Bounded.Identity(map.Scalar("/ArtifactName")) : null,
            Repository = Bounded.Identity(map.Scalar("/Metadata/RepoURL"), Bounded.PathLength),
            Commit = Bounded.Word(map.Scalar("/Metadata/Commit")),
            ScannedAt = ReportTimes.Of(map.Scalar("/CreatedAt")),
            Results = map.Sections.Sum(section => section.Count),
            Kinds = KindsOf(map),
            // Old Trivy wrote null or [] for a clean scan, and so does a pipeline that lost its input.
            Failure = isEmpty ? "The report names neither a target nor a result." : null,
        };
    }

    // Trivy looks for what --scanners names, and the report tells it only by the results it has.
    static List<FindingKind>? KindsOf(JsonMap map)
    {
        var lists = map.Sections.Where(section => section.Count > 0).Select(section => ListOf(section) switch
        {
            "Vulnerabilities" => FindingKind.Sca,
            "Misconfigurations" => FindingKind.Config,
            "Secrets" => FindingKind.Secret,
            "Licenses" => FindingKind.License,
            _ => (FindingKind?)null,
        });
        var classes = Enumerable.Range(0, map.Length("/Results")).Select(i => map.Scalar($"/Results/{i}/Class") switch
        {
            "os-pkgs" or "lang-pkgs" => FindingKind.Sca,
            "config" => FindingKind.Config,
            "secret" => FindingKind.Secret,
            "license" or "license-file" => FindingKind.License,
            _ => (FindingKind?)null,
        });
        List<FindingKind> kinds = [.. lists.Concat(classes).OfType<FindingKind>().Distinct().Order()];
        return kinds.Count > 0 ? kinds : null;
    }

    ReportItem Read(JsonItem item, JsonSection section, Target target, Occurrences occurrences, ReportContext context)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (raw.ValueKind != JsonValueKind.Object)
            return Unreadable(item, "Expected an object.");
        return ListOf(section) switch
        {
            "Vulnerabilities" => Vulnerability(item, raw, target),
            "Misconfigurations" => Misconfiguration(item, raw, target),
            "Secrets" => Secret(item, raw, target, occurrences, context),
            Modified => Suppressed(item, raw, target, occurrences, context),
            _ => License(item, raw, target, occurrences),
        };
    }

    static string ListOf(JsonSection section) => section.Pointer[(section.Pointer.LastIndexOf('/') + 1)..];

    ReportItem Suppressed(JsonItem item, JsonElement raw, Target target, Occurrences occurrences, ReportContext context)
    {
        var finding = raw.Field("Finding"u8);
        var read = raw.Text("Type"u8) switch
        {
            "vulnerability" => Vulnerability(item, finding, target),
            "misconfiguration" => Misconfiguration(item, finding, target),
            "secret" => Secret(item, finding, target, occurrences, context),
            "license" => License(item, finding, target, occurrences),
            _ => Unreadable(item, "Type is none of vulnerability, misconfiguration, secret, license."),
        };
        // VEX may state that it is a problem after all; and what is suppressed may be a check that passed.
        return read is not ReportItem.Observed { Observation: var observation } || raw.Text("Status"u8) is "affected" or "under_investigation"
            ? read
            : observation.Dismissed(ReasonOf(raw));
    }

    static string ReasonOf(JsonElement raw)
    {
        var source = Bounded.Word(raw.Text("Source"u8)) is { } file ? $" ({file})" : "";
        return Bounded.Title($"Suppressed in Trivy as {Bounded.Word(raw.Text("Status"u8)) ?? "unknown"}{source}: {raw.Text("Statement"u8)?.Trim().TrimEnd('.') ?? "no statement"}.");
    }

    ReportItem Vulnerability(JsonItem item, JsonElement raw, Target target)
    {
        if (Bounded.Identity(raw.Text("VulnerabilityID"u8)) is not { } id)
            return Unreadable(item, "VulnerabilityID is missing.");
        if (Bounded.Identity(raw.Text("PkgName"u8)) is not { } name)
            return Unreadable(item, "PkgName is missing.");

        var purl = raw.Field("PkgIdentifier"u8).Text("PURL"u8);
        var canonical = Purl.WithoutVersion(purl) ?? TrivyPackages.Purl(target.Type, name);
        var version = Bounded.Word(raw.Text("InstalledVersion"u8));
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Sca,
            RuleId = id,
            Title = Bounded.Title(raw.Text("Title"u8) ?? $"{id} in {name}"),
            Description = Bounded.Description(raw.Text("Description"u8)),
            RawSeverity = Bounded.Word(raw.Text("Severity"u8)),
            Severity = Severities.Map(raw.Text("Severity"u8)),
            Cvss = Cvss(raw),
            Identifiers = Identifiers.Advisories([id, .. raw.Texts("VendorIDs"u8)]),
            Cwes = Identifiers.Cwes(raw.Texts("CweIDs"u8)),
            Component = new Component(name, version, Purl.TypeOf(canonical), Bounded.Identity(purl), Bounded.Identity(canonical), FixedVersions(raw)),
            Manifest = target.IsOperatingSystem ? null : Bounded.Path(raw.Text("PkgPath"u8) ?? target.Name),
            ImageRepository = target.ImageRepository,
            References = References(raw),
        });
    }

    ReportItem Misconfiguration(JsonItem item, JsonElement raw, Target target)
    {
        if (Bounded.Identity(raw.Text("ID"u8) ?? raw.Text("AVDID"u8)) is not { } id)
            return Unreadable(item, "ID is missing.");
        if (raw.Text("Status"u8) == "PASS")
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.NotAProblem, "The check passed.");
        var cause = raw.Field("CauseMetadata"u8);
        var message = raw.Text("Message"u8);
        var observation = new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Config,
            RuleId = id,
            Title = Bounded.Title(raw.Text("Title"u8) ?? id),
            Description = Bounded.Description(string.Join("\n\n", new[] { message, raw.Text("Description"u8), raw.Text("Resolution"u8) }.OfType<string>())),
            RawSeverity = Bounded.Word(raw.Text("Severity"u8)),
            Severity = Severities.Map(raw.Text("Severity"u8)),
            Identifiers = Identifiers.Advisories(id),
            Location = target.Name is null ? null : new CodeLocation(target.Name, cause.Position("StartLine"u8), cause.Position("EndLine"u8)),
            Resource = Bounded.Identity(cause.Text("Resource"u8)) ?? target.Resource ?? target.Name,
            ImageRepository = target.ImageRepository,
            References = References(raw),
        };
        return raw.Text("Status"u8) == "EXCEPTION" ? observation.Dismissed("The check is excepted in Trivy.") : new ReportItem.Observed(observation);
    }

    ReportItem Secret(JsonItem item, JsonElement raw, Target target, Occurrences occurrences, ReportContext context)
    {
        if (Bounded.Identity(raw.Text("RuleID"u8)) is not { } id)
            return Unreadable(item, "RuleID is missing.");
        var match = raw.Text("Match"u8);
        var secret = Secrets.Trace(match, context);
        return new ReportItem.Observed(Redaction.Of(match, secret).Of(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.KeyedHash(context),
            Kind = FindingKind.Secret,
            RuleId = id,
            Title = Bounded.Title(raw.Text("Title"u8) ?? id),
            RawSeverity = Bounded.Word(raw.Text("Severity"u8)),
            Severity = Severities.Map(raw.Text("Severity"u8)),
            Location = target.Name is null ? null : new CodeLocation(target.Name, raw.Position("StartLine"u8), raw.Position("EndLine"u8)),
            ImageRepository = target.ImageRepository,
            Secret = secret,
            Occurrence = occurrences.Next($"{secret?.Hash}", id, target.Name, $"{raw.Field("StartLine"u8)}:{raw.Field("Offset"u8)}"),
        }, context));
    }

    ReportItem License(JsonItem item, JsonElement raw, Target target, Occurrences occurrences)
    {
        if (Bounded.Identity(raw.Text("Name"u8)) is not { } license)
            return Unreadable(item, "Name is missing.");
        var package = Bounded.Identity(raw.Text("PkgName"u8));
        var path = Bounded.Path(raw.Text("FilePath"u8)) ?? target.Name;
        var canonical = package is null ? null : Bounded.Identity(TrivyPackages.Purl(target.Type, package));
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.License,
            RuleId = license,
            Title = Bounded.Title($"{license} licence of {package ?? path ?? "unnamed"}"),
            Description = Bounded.Description(raw.Text("Category"u8)),
            RawSeverity = Bounded.Word(raw.Text("Severity"u8)),
            Severity = Severities.Map(raw.Text("Severity"u8)),
            Component = package is null ? null : new Component(package, null, Purl.TypeOf(canonical), null, canonical, []),
            Location = path is null ? null : new CodeLocation(path),
            ImageRepository = target.ImageRepository,
            Occurrence = occurrences.Next($"{canonical}", license, path, ""),
            References = raw.Text("Link"u8) is { } link ? [Bounded.Identity(link, Bounded.PathLength) ?? link] : [],
        });
    }

    static ReportItem.Rejected Unreadable(JsonItem item, string reason) =>
        new(item.Pointer, item.Offset, RejectionCodes.Unreadable, reason);

    static List<ReportedCvss> Cvss(JsonElement raw)
    {
        var vectors = new List<ReportedCvss>();
        foreach (var source in raw.Properties("CVSS"u8))
        {
            Add(Identifiers.Cvss(source.Value.Text("V40Vector"u8), source.Value.Decimal("V40Score"u8), source.Name));
            Add(Identifiers.Cvss(source.Value.Text("V3Vector"u8), source.Value.Decimal("V3Score"u8), source.Name));
            Add(Identifiers.Cvss(source.Value.Text("V2Vector"u8), source.Value.Decimal("V2Score"u8), source.Name));
        }
        return vectors;

        void Add(ReportedCvss? cvss)
        {
            if (cvss is not null && vectors.Count < Bounded.ListLength)
                vectors.Add(cvss);
        }
    }

    static IReadOnlyList<string> FixedVersions(JsonElement raw) => raw.Text("FixedVersion"u8) is { } versions
        ? [.. versions.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Take(Bounded.ListLength).Select(v => Bounded.Word(v) ?? v)]
        : [];

    static IReadOnlyList<string> References(JsonElement raw) =>
        [.. raw.Texts("References"u8).Prepend(raw.Text("PrimaryURL"u8)).OfType<string>().Where(url => url.Length <= Bounded.PathLength).Distinct()];

    sealed record Target(string? Name, string? Type, bool IsOperatingSystem, string? ImageRepository, string? Resource)
    {
        public static Target Of(JsonMap map, JsonSection section)
        {
            var name = map.Scalar($"{section.Parent}/Target");
            var type = map.Scalar($"{section.Parent}/Type");
            var isOperatingSystem = map.Scalar($"{section.Parent}/Class") is { } @class
                ? @class == "os-pkgs"
                : TrivyPackages.IsOperatingSystem(type);
            var image = map.Scalar("/ArtifactType") == "container_image" ? map.Scalar("/ArtifactName") : null;
            // "shop/api:1.2 (debian 12.5)": outside schema 2 the only place that names the image.
            if (image is null && isOperatingSystem && !map.Has("/ArtifactName") && name?.IndexOf(" (", StringComparison.Ordinal) is { } end and > 0)
                image = name[..end];
            return new Target(Bounded.Path(name), type, isOperatingSystem, Identifiers.ImageRepository(image), ResourceOf(map, section.Parent));
        }

        // Only in Kubernetes reports: /Resources/4/Results/0 belongs to the workload /Resources/4.
        static string? ResourceOf(JsonMap map, string result)
        {
            var end = result.IndexOf("/Results/", StringComparison.Ordinal);
            if (end <= 0)
                return null;
            var parts = ResourceNames.Select(part => map.Scalar($"{result[..end]}/{part}")).OfType<string>();
            return Bounded.Identity(string.Join('/', parts));
        }
    }
}

using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// OSV-Scanner's JSON: sources, their packages, and for each the OSV records (schema 1.x) that affect it. A raw result is an
/// element of a package's <c>vulnerabilities</c>. A record's <c>aliases</c> and the ids its group puts together are the same
/// vulnerability by OSV's own word and become identifiers; records of one group stay results of their own.
/// </summary>
internal sealed class OsvScannerFormat : IReportFormat
{
    static readonly Dictionary<string, Group> NoGroups = [];

    const string PackagePath = "results/*/packages/*/";

    static readonly JsonPaths Paths = new(
        "experimental_config", "errors", "results/*/source/path", "results/*/source/type", $"{PackagePath}package/name", $"{PackagePath}package/version",
        $"{PackagePath}package/ecosystem", $"{PackagePath}package/commit", $"{PackagePath}groups/*", $"{PackagePath}vulnerabilities/*");

    public string Name => "osv-scanner";
    public string Title => "OSV-Scanner JSON";
    public IReadOnlyList<string> Versions => ["1", "2"];

    /// <summary>What the record's database says; else the score of its group.</summary>
    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("CRITICAL", Severity.Critical),
        new("HIGH", Severity.High),
        new("MODERATE", Severity.Medium),
        new("MEDIUM", Severity.Medium),
        new("LOW", Severity.Low),
        new("max_severity 9.0-10.0", Severity.Critical),
        new("max_severity 7.0-8.9", Severity.High),
        new("max_severity 4.0-6.9", Severity.Medium),
        new("max_severity 0.1-3.9", Severity.Low),
        new("max_severity 0.0", Severity.None),
    ];

    public bool Recognises(ReportPeek peek) =>
        peek.HasAll("results/*/source", "results/*/packages") || (peek.Has("results") && peek.Has("experimental_config"));

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        var results = map.Sections.Where(section => section.Pattern.EndsWith("vulnerabilities/*", StringComparison.Ordinal)).ToList();
        var isEmpty = map.Has("/results") && map.Length("/results") == 0;
        if (map.Has("/errors") || !isEmpty && !Enumerable.Range(0, Math.Min(100, map.Length("/results"))).Any(i => map.Has(string.Create(CultureInfo.InvariantCulture, $"/results/{i}/packages"))))
            throw JsonMap.Foreign("Not an OSV-Scanner report: no array 'results' of sources with 'packages'.");

        yield return new ReportItem.ScannerSeen("osv-scanner")
        {
            Results = results.Sum(section => section.Count),
            Failure = isEmpty && !map.Has("/experimental_config") ? "The report says neither what was found nor what was scanned." : null,
        };
        var groupsOf = map.Sections.Where(section => section.Pattern.EndsWith("groups/*", StringComparison.Ordinal)).ToDictionary(section => section.Parent, StringComparer.Ordinal);
        foreach (var section in results)
        {
            var groups = groupsOf.TryGetValue(section.Parent, out var known) ? await GroupsAsync(map, known, cancellationToken) : NoGroups;
            var package = Package.Of(map, section.Parent);
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item, package, groups);
        }
    }

    static async Task<Dictionary<string, Group>> GroupsAsync(JsonMap map, JsonSection section, CancellationToken cancellationToken)
    {
        var groups = new Dictionary<string, Group>(StringComparer.Ordinal);
        await foreach (var item in map.ItemsAsync(section, cancellationToken))
        {
            using var document = item.Parse();
            var raw = document.RootElement;
            var ids = raw.Texts("ids"u8);
            var group = new Group(Identifiers.Advisories([.. ids, .. raw.Texts("aliases"u8)]), Bounded.Word(raw.Text("max_severity"u8)));
            foreach (var id in ids.Select(id => Bounded.Identity(id)).OfType<string>())
                groups.TryAdd(id, group);
        }
        return groups;
    }

    ReportItem Read(JsonItem item, Package package, Dictionary<string, Group> groups)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (Bounded.Identity(raw.Text("id"u8)) is not { } id)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "id is missing.");
        if (package.Name is not { } name)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "The package has neither a name nor a commit.");
        var group = groups.GetValueOrDefault(id);
        var affected = raw.Items("affected"u8).Where(affected => package.IsMeant(affected.Field("package"u8))).ToList();
        var (rawSeverity, severity) = SeverityOf(raw, affected, group);
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Sca,
            RuleId = id,
            Title = Bounded.Title(raw.Text("summary"u8) is { } summary ? $"{summary} in {name}" : $"{id} in {name}"),
            Description = Bounded.Description(raw.Text("details"u8)),
            RawSeverity = Bounded.Word(rawSeverity),
            Severity = severity,
            Cvss = [.. raw.Items("severity"u8).Concat(affected.SelectMany(one => one.Items("severity"u8))).Select(one => Identifiers.Cvss(one.Text("score"u8), null, null)).OfType<ReportedCvss>().Distinct().Take(Bounded.ListLength)],
            Identifiers = [.. Identifiers.Advisories([id, .. raw.Texts("aliases"u8)]).Concat(group?.Ids ?? []).Distinct().Take(Bounded.ListLength)],
            Aliases = Identifiers.Advisory(id) is { } own
                ? [.. Identifiers.Advisories(raw.Texts("aliases"u8)).Where(alias => alias != own).Select(alias => new AliasPair(own.Value, alias.Value))]
                : [],
            Cwes = Identifiers.Cwes(
            [
                .. raw.Field("database_specific"u8).Texts("cwe_ids"u8),
                .. affected.SelectMany(one => one.Field("database_specific"u8).Items("cwes"u8)).Select(cwe => cwe.Text("cweId"u8)),
            ]),
            Component = new Component(
                name, package.Version, Purl.TypeOf(package.Purl) ?? package.Ecosystem, Purl: null, package.Purl,
                Bounded.Words(affected.SelectMany(one => one.Items("ranges"u8)).SelectMany(range => range.Items("events"u8)).Select(change => change.Text("fixed"u8)))),
            Manifest = package.Manifest,
            ImageRepository = package.ImageRepository,
            References = Bounded.Urls(raw.Items("references"u8).Select(reference => reference.Text("url"u8))),
        });
    }

    (string? Raw, Severity Severity) SeverityOf(JsonElement raw, List<JsonElement> affected, Group? group)
    {
        var word = raw.Field("database_specific"u8).Text("severity"u8)
            ?? affected.Select(one => one.Field("ecosystem_specific"u8).Text("severity"u8) ?? one.Field("database_specific"u8).Text("severity"u8)).FirstOrDefault(text => text is not null);
        if (Severities.Map(word) is var mapped and not Severity.Unknown)
            return (word, mapped);
        if (!decimal.TryParse(group?.MaxSeverity, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var score))
            return (word, Severity.Unknown);
        var band = score switch
        {
            >= 9.0m => 0,
            >= 7.0m => 1,
            >= 4.0m => 2,
            > 0 => 3,
            _ => 4,
        };
        return (string.Create(CultureInfo.InvariantCulture, $"max_severity {score}"), Severities[5 + band].Severity);
    }

    sealed record Group(IReadOnlyList<AdvisoryId> Ids, string? MaxSeverity);

    sealed record Package(string? Name, string? Version, string? Ecosystem, string? Purl, string? Manifest, string? ImageRepository)
    {
        public static Package Of(JsonMap map, string pointer)
        {
            var source = pointer[..pointer.IndexOf("/packages/", StringComparison.Ordinal)];
            var name = map.Scalar($"{pointer}/package/name") is { Length: > 0 } named ? named : map.Scalar($"{pointer}/package/commit");
            var ecosystem = map.Scalar($"{pointer}/package/ecosystem");
            var path = map.Scalar($"{source}/source/path");
            var isImage = map.Scalar($"{source}/source/type") == "docker";
            return new Package(
                Bounded.Identity(name), Bounded.Word(map.Scalar($"{pointer}/package/version")), Bounded.Word(ecosystem?.Split(':')[0]), Bounded.Identity(PurlOf(ecosystem, name)),
                isImage ? null : Bounded.Path(path?.Replace('\\', '/')), isImage ? Identifiers.ImageRepository(path) : null);
        }

        /// <summary>Whether a record's part is about this package; a record may affect many.</summary>
        public bool IsMeant(JsonElement package) =>
            string.Equals(package.Text("name"u8), Name, StringComparison.OrdinalIgnoreCase)
            && package.Text("ecosystem"u8)?.Split(':')[0] is { } ecosystem
            && string.Equals(ecosystem, Ecosystem, StringComparison.OrdinalIgnoreCase);

        // OSV's ecosystems (ossf/osv-schema): some with a release, "Debian:12".
        static string? PurlOf(string? ecosystem, string? name) => ecosystem?.Split(':')[0] switch
        {
            null => null,
            "npm" => Formats.Purl.OfName("npm", name),
            "PyPI" => Formats.Purl.OfName("pypi", name),
            "Go" => Formats.Purl.OfName("golang", name),
            "Maven" => Formats.Purl.OfName("maven", name),
            "crates.io" => Formats.Purl.OfName("cargo", name),
            "RubyGems" => Formats.Purl.OfName("gem", name),
            "NuGet" => Formats.Purl.OfName("nuget", name),
            "Packagist" => Formats.Purl.OfName("composer", name),
            "Hex" => Formats.Purl.OfName("hex", name),
            "Pub" => Formats.Purl.OfName("pub", name),
            "CRAN" => Formats.Purl.OfName("cran", name),
            "Hackage" => Formats.Purl.OfName("hackage", name),
            "ConanCenter" => Formats.Purl.OfName("conan", name),
            "SwiftURL" => Formats.Purl.OfName("swift", name),
            "GitHub Actions" => Formats.Purl.OfName("githubactions", name),
            "Bitnami" => Formats.Purl.OfName("bitnami", name),
            "Debian" or "Ubuntu" => Formats.Purl.Of("deb", ecosystem.Split(':')[0], name ?? ""),
            "Alpine" or "Wolfi" or "Chainguard" => Formats.Purl.Of("apk", ecosystem.Split(':')[0], name ?? ""),
            "Red Hat" => Formats.Purl.Of("rpm", "redhat", name ?? ""),
            "AlmaLinux" => Formats.Purl.Of("rpm", "almalinux", name ?? ""),
            "Rocky Linux" => Formats.Purl.Of("rpm", "rocky", name ?? ""),
            "openSUSE" => Formats.Purl.Of("rpm", "opensuse", name ?? ""),
            "SUSE" => Formats.Purl.Of("rpm", "suse", name ?? ""),
            _ => null,
        };
    }
}

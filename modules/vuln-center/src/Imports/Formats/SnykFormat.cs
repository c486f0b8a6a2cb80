using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Snyk's JSON (<c>snyk test --json</c>, <c>snyk container test --json</c>, <c>snyk iac test --json</c>): one project, or the
/// array of them; a container's applications are projects, too, and so is each file of infrastructure as code. Each project is a
/// scan. A raw result is an element of a project's <c>vulnerabilities</c>, which Snyk repeats for every path that leads to it, or
/// of its <c>infrastructureAsCodeIssues</c>. What a policy took out (<c>filtered</c>, <c>isIgnored</c>) is rejected with the
/// reason the policy gives. Snyk Code writes SARIF.
/// </summary>
internal sealed class SnykFormat : IReportFormat
{
    static readonly string[] ProjectPrefixes = ["", "applications/*/", "*/", "*/applications/*/"];

    const string Ignored = "filtered/ignore";
    const string Patched = "filtered/patch";

    const string Misconfigurations = "infrastructureAsCodeIssues";

    static readonly string[] Lists = ["vulnerabilities", Ignored, Patched, Misconfigurations];

    static readonly JsonPaths Paths = new(
    [
        .. ProjectPrefixes.SelectMany(prefix => new[]
        {
            $"{prefix}ok", $"{prefix}error", $"{prefix}projectName", $"{prefix}displayTargetFile", $"{prefix}targetFile", $"{prefix}packageManager",
        }.Concat(Lists.Select(list => $"{prefix}{list}/*"))),
    ]);

    public string Name => "snyk";
    public string Title => "Snyk JSON";
    public IReadOnlyList<string> Versions => ["snyk test", "snyk container test", "snyk iac test"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("critical", Severity.Critical),
        new("high", Severity.High),
        new("medium", Severity.Medium),
        new("low", Severity.Low),
    ];

    public bool Recognises(ReportPeek peek) => IsProject(peek, "") || (peek.Kind == DocumentKind.JsonArray && IsProject(peek, "*/"));

    // Of many projects the first may be one that could not be tested.
    static bool IsProject(ReportPeek peek, string prefix) =>
        (peek.HasAll($"{prefix}ok", $"{prefix}vulnerabilities", $"{prefix}dependencyCount") && (peek.Has($"{prefix}packageManager") || peek.Has($"{prefix}projectName")))
        || peek.HasAll($"{prefix}ok", $"{prefix}{Misconfigurations}", $"{prefix}targetFile")
        || (peek.Scalar($"{prefix}ok") == "false" && peek.HasAll($"{prefix}error", $"{prefix}path"));

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        var projects = Projects(map).ToList();
        if (!projects.Exists(project => map.Has($"{project}/ok") && (map.Has($"{project}/vulnerabilities") || map.Has($"{project}/{Misconfigurations}") || map.Has($"{project}/error"))))
            throw JsonMap.Foreign($"Not a Snyk report: no project with 'ok' and 'vulnerabilities' or '{Misconfigurations}'.");

        var kinds = KindsOf(map, projects);
        var sections = map.Sections.ToDictionary(section => section.Pointer, StringComparer.Ordinal);
        foreach (var pointer in projects)
        {
            var project = Project.Of(map, pointer);
            yield return new ReportItem.ScannerSeen("snyk")
            {
                Category = Bounded.Identity(project.Name),
                Image = project.Image,
                Results = Lists.Sum(list => sections.GetValueOrDefault($"{pointer}/{list}")?.Count ?? 0),
                Kinds = kinds,
                Failure = FailureOf(map, pointer),
            };
            foreach (var list in Lists)
            {
                if (!sections.TryGetValue($"{pointer}/{list}", out var section))
                    continue;
                await foreach (var item in map.ItemsAsync(section, cancellationToken))
                    yield return list == Misconfigurations ? Misconfiguration(item, project) : Read(item, project, list);
            }
        }
    }

    static IEnumerable<string> Projects(JsonMap map)
    {
        var roots = map.HasNames ? [""] : Enumerable.Range(0, map.Length("")).Select(i => string.Create(CultureInfo.InvariantCulture, $"/{i}"));
        foreach (var root in roots)
        {
            yield return root;
            for (var i = 0; i < map.Length($"{root}/applications"); i++)
                yield return string.Create(CultureInfo.InvariantCulture, $"{root}/applications/{i}");
        }
    }

    // Each command looks for its own; a project that could not be tested is one of the others' command. Infrastructure has an empty list of vulnerabilities, too.
    static IReadOnlyList<FindingKind>? KindsOf(JsonMap map, List<string> projects) =>
        projects.Exists(project => map.Has($"{project}/{Misconfigurations}")) ? [FindingKind.Config]
        : projects.Exists(project => map.Has($"{project}/vulnerabilities")) ? [FindingKind.Sca, FindingKind.License]
        : null;

    static string? FailureOf(JsonMap map, string project) =>
        map.Scalar($"{project}/error") is { } error ? Bounded.Title($"Snyk reports an error: {error}")
        : map.Has($"{project}/vulnerabilities") || map.Has($"{project}/{Misconfigurations}") ? null
        : "A project has no list of vulnerabilities.";

    ReportItem Read(JsonItem item, Project project, string list)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (Bounded.Identity(raw.Text("id"u8)) is not { } id)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "id is missing.");
        // A distribution's packages are "source/binary"; other scanners know them by the binary's name.
        var manager = raw.Text("packageManager"u8) ?? project.PackageManager;
        var fullName = raw.Text("name"u8) ?? raw.Text("packageName"u8) ?? raw.Text("moduleName"u8);
        var isOfDistribution = manager?.Contains(':', StringComparison.Ordinal) is true || raw.Text("language"u8) == "linux";
        if (Bounded.Identity(isOfDistribution ? fullName?[(fullName.LastIndexOf('/') + 1)..] : fullName) is not { } name)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "name is missing.");

        var purl = Bounded.Identity(PurlOf(manager, name));
        var component = new Component(
            name, Bounded.Word(raw.Text("version"u8)), Purl.TypeOf(purl) ?? Bounded.Word(manager), Purl: null, purl,
            Bounded.Words(raw.Texts("fixedIn"u8).Append(raw.Text("nearestFixedInVersion"u8))));
        var isLicense = raw.Text("type"u8) == "license";
        var observation = new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = isLicense ? FindingKind.License : FindingKind.Sca,
            RuleId = isLicense ? Bounded.Identity(raw.Text("license"u8)) ?? id : id,
            Title = Bounded.Title(raw.Text("title"u8) is { } title ? $"{title} in {name}" : $"{id} in {name}"),
            Description = Bounded.Description(raw.Text("description"u8)),
            RawSeverity = Bounded.Word(raw.Text("severity"u8)),
            Severity = Severities.Map(raw.Text("severity"u8)),
            Cvss = Cvss(raw),
            Identifiers = isLicense ? [] : Identifiers.Advisories([id, .. raw.Properties("identifiers"u8).Take(Bounded.ListLength).SelectMany(ids => Texts(ids.Value))]),
            Cwes = Identifiers.Cwes(raw.Field("identifiers"u8).Texts("CWE"u8)),
            Component = component,
            Manifest = project.Image is null || !isOfDistribution ? project.Manifest : null,
            ImageRepository = project.ImageRepository,
            References = Bounded.Urls(raw.Items("references"u8).Select(reference => reference.Text("url"u8))),
        };
        return list switch
        {
            Ignored => observation.Dismissed(ReasonOf(raw)),
            Patched => observation.Dismissed("Patched by Snyk."),
            _ => new ReportItem.Observed(observation),
        };
    }

    ReportItem Misconfiguration(JsonItem item, Project project)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (Bounded.Identity(raw.Text("id"u8) ?? raw.Text("publicId"u8)) is not { } id)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "id is missing.");
        var words = raw.Field("iacDescription"u8);
        string?[] description = [raw.Text("issue"u8) ?? words.Text("issue"u8), raw.Text("impact"u8) ?? words.Text("impact"u8), raw.Text("resolve"u8) ?? words.Text("resolve"u8)];
        var observation = new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Config,
            RuleId = id,
            Title = Bounded.Title(raw.Text("title"u8) ?? id),
            Description = Bounded.Description(string.Join("\n\n", description.OfType<string>().Distinct())),
            RawSeverity = Bounded.Word(raw.Text("severity"u8)),
            Severity = Severities.Map(raw.Text("severity"u8)),
            Location = project.Manifest is null ? null : new CodeLocation(project.Manifest, raw.Position("lineNumber"u8)),
            Resource = Bounded.Identity(ResourceOf(raw)) ?? project.Manifest,
            // Benchmarks' names stand among the addresses.
            References = Bounded.Urls(raw.Texts("references"u8).Prepend(raw.Text("documentation"u8)).Where(IsAddress)),
        };
        return raw.IsTrue("isIgnored"u8) ? observation.Dismissed(ReasonOf(raw)) : new ReportItem.Observed(observation);
    }

    // Documents of one YAML file are told apart by their place in it: "[DocId: 1].spec.template", as Snyk itself names them.
    static string? ResourceOf(JsonElement raw)
    {
        var path = raw.Items("path"u8).Select(step => step.Text()).OfType<string>();
        return raw.Text("msg"u8) is not { } resource ? string.Join('.', path)
            : path.FirstOrDefault() is { } first && first.StartsWith("[DocId:", StringComparison.Ordinal) ? $"{first}.{resource}"
            : resource;
    }

    static bool IsAddress(string? reference) => reference?.StartsWith("http", StringComparison.OrdinalIgnoreCase) is true;

    static string ReasonOf(JsonElement raw)
    {
        var rules = raw.Field("filtered"u8).Items("ignored"u8).Take(Bounded.ListLength);
        var reasons = Bounded.Words(rules.Select(rule => rule.Text("reason"u8) ?? rule.Text("reasonType"u8)));
        return Bounded.Title($"Ignored in Snyk: {(reasons.Count > 0 ? string.Join("; ", reasons).TrimEnd('.') : "no reason")}.");
    }

    static IEnumerable<string?> Texts(JsonElement list) => list.ValueKind == JsonValueKind.Array ? list.EnumerateArray().Take(Bounded.ListLength).Select(id => id.Text()) : [];

    static IReadOnlyList<ReportedCvss> Cvss(JsonElement raw)
    {
        var vectors = new List<ReportedCvss?> { Identifiers.Cvss(raw.Text("CVSSv3"u8), raw.Decimal("cvssScore"u8), "Snyk") };
        foreach (var source in raw.Items("cvssSources"u8).Take(Bounded.ListLength))
            vectors.Add(Identifiers.Cvss(source.Text("vector"u8), source.Decimal("baseScore"u8), source.Text("assigner"u8)));
        foreach (var source in raw.Items("cvssDetails"u8).Take(Bounded.ListLength))
            vectors.Add(Identifiers.Cvss(source.Text("cvssV3Vector"u8), source.Decimal("cvssV3BaseScore"u8), source.Text("assigner"u8)));
        return [.. vectors.OfType<ReportedCvss>().Distinct().Take(Bounded.ListLength)];
    }

    static string? PurlOf(string? manager, string name)
    {
        var kind = manager?.Split(':')[0];
        return kind switch
        {
            "npm" or "yarn" or "yarn-workspace" or "pnpm" => Purl.OfName("npm", name),
            "maven" or "gradle" or "sbt" => Purl.OfName("maven", name),
            "pip" or "poetry" or "pipenv" => Purl.OfName("pypi", name),
            "rubygems" => Purl.OfName("gem", name),
            "golangdep" or "gomodules" or "govendor" or "golang" => Purl.OfName("golang", name),
            "nuget" or "paket" => Purl.OfName("nuget", name),
            "composer" => Purl.OfName("composer", name),
            "cocoapods" => Purl.OfName("cocoapods", name),
            "hex" => Purl.OfName("hex", name),
            "cargo" => Purl.OfName("cargo", name),
            "swift" => Purl.OfName("swift", name),
            "debian" or "ubuntu" => Purl.Of("deb", kind, name),
            "alpine" or "wolfi" or "chainguard" => Purl.Of("apk", kind, name),
            "rhel" => Purl.Of("rpm", "redhat", name),
            "amzn" => Purl.Of("rpm", "amazon", name),
            "sles" => Purl.Of("rpm", "suse", name),
            "centos" or "oracle" or "rocky" => Purl.Of("rpm", kind, name),
            _ => null,
        };
    }

    sealed record Project(string? Name, string? PackageManager, string? Manifest, string? Image)
    {
        public string? ImageRepository { get; } = Identifiers.ImageRepository(Image);

        public static Project Of(JsonMap map, string pointer)
        {
            const string ofImage = "docker-image|";
            var name = map.Scalar($"{pointer}/projectName");
            return new Project(
                name,
                map.Scalar($"{pointer}/packageManager"),
                Bounded.Path((map.Scalar($"{pointer}/displayTargetFile") ?? map.Scalar($"{pointer}/targetFile"))?.Replace('\\', '/')),
                name?.StartsWith(ofImage, StringComparison.Ordinal) is true ? Bounded.Identity(name[ofImage.Length..]) : null);
        }
    }
}

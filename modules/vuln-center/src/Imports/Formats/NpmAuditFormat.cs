using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// <c>npm audit --json</c>. Of npm 6 a raw result is a member of <c>advisories</c>, whatever the number of paths that lead to
/// it. Of npm 7 and later (<c>auditReportVersion</c> 2, also inside <c>npm audit fix</c>'s <c>audit</c>) it is an element of a
/// package's <c>via</c>: an advisory; or the name of another package of the report through which this one is affected, which
/// is no problem of its own and rejected as such. npm 7 names neither the installed version nor the lock file.
/// </summary>
internal sealed class NpmAuditFormat : IReportFormat
{
    static readonly JsonPaths Paths = new(
        "auditReportVersion", "advisories/{}", "vulnerabilities/{}", "audit/auditReportVersion", "audit/vulnerabilities/{}",
        "error/code", "error/summary", "metadata/vulnerabilities");

    public string Name => "npm-audit";
    public string Title => "npm audit JSON";
    public IReadOnlyList<string> Versions => ["npm 6", "npm 7 and later (auditReportVersion 2)"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("critical", Severity.Critical),
        new("high", Severity.High),
        new("moderate", Severity.Medium),
        new("low", Severity.Low),
        new("info", Severity.Info),
        new("none", Severity.None),
    ];

    public bool Recognises(ReportPeek peek) =>
        peek.HasAll("auditReportVersion", "vulnerabilities")
        || peek.HasAll("audit/auditReportVersion", "audit/vulnerabilities")
        || peek.HasAll("advisories", "metadata/vulnerabilities", "muted");

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        var version = map.Scalar("/auditReportVersion") ?? map.Scalar("/audit/auditReportVersion");
        var isError = map.Has("/error/summary");
        var sections = map.Sections.Where(section => section.Pattern == "advisories/{}" == (version is null)).ToList();
        if (!isError && (version is null ? !map.Has("/advisories") || !map.Has("/metadata") : sections.Count == 0))
            throw JsonMap.Foreign("Not an npm audit report: neither 'advisories' nor 'auditReportVersion' with 'vulnerabilities'.");
        if (version is not (null or "2"))
            throw JsonMap.Foreign($"auditReportVersion '{Bounded.Word(version)}' is not read, only 2.");

        yield return new ReportItem.ScannerSeen("npm-audit")
        {
            Results = version is null
                ? sections.Sum(section => section.Count)
                : await map.CountAsync(sections, entry => entry.Children("via").Count(), context, cancellationToken),
            Failure = isError ? Bounded.Title($"npm reports an error: {map.Scalar("/error/code")} {map.Scalar("/error/summary")}") : null,
        };
        foreach (var section in sections)
        {
            var packages = new HashSet<string>(section.Names ?? [], StringComparer.Ordinal);
            var index = 0;
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                if (version is null)
                {
                    yield return Advisory(item);
                    continue;
                }
                var package = section.Names?[index++] ?? "";
                foreach (var via in item.Children("via"))
                    yield return Via(via, package, packages);
            }
        }
    }

    ReportItem Advisory(JsonItem item)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (Bounded.Identity(raw.Text("module_name"u8)) is not { } name)
            return Unreadable(item, "module_name is missing.");
        var ghsa = raw.Text("github_advisory_id"u8) ?? GhsaOf(raw.Text("url"u8));
        if (Bounded.Identity(ghsa ?? NumberOf(raw.Field("id"u8))) is not { } id)
            return Unreadable(item, "id is missing.");
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Sca,
            RuleId = id,
            Title = Bounded.Title(raw.Text("title"u8) is { } title ? $"{title} in {name}" : $"{id} in {name}"),
            Description = Bounded.Description(raw.Text("overview"u8)),
            RawSeverity = Bounded.Word(raw.Text("severity"u8)),
            Severity = Severities.Map(raw.Text("severity"u8)),
            Cvss = Cvss(raw),
            Identifiers = Identifiers.Advisories([ghsa, .. raw.Texts("cves"u8)]),
            Cwes = Identifiers.Cwes([.. raw.Texts("cwe"u8), .. CwesIn(raw.Text("cwe"u8))]),
            Component = ComponentOf(name, raw.Items("findings"u8).Select(finding => finding.Text("version"u8)).FirstOrDefault(), raw.Text("patched_versions"u8)),
            References = Bounded.Urls(raw.Text("url"u8)),
        });
    }

    ReportItem Via(JsonItem item, string package, HashSet<string> packages)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (raw.Text() is { } through)
        {
            return packages.Contains(through)
                ? new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.NotAProblem, $"Affected only through {Bounded.Word(through)}, which the report lists itself.")
                : Unreadable(item, $"Affected through {Bounded.Word(through)}, which the report does not list.");
        }
        if (raw.ValueKind != JsonValueKind.Object)
            return Unreadable(item, "Expected an advisory or the name of a package.");
        if (Bounded.Identity(raw.Text("name"u8) ?? package) is not { } name)
            return Unreadable(item, "name is missing.");
        var ghsa = GhsaOf(raw.Text("url"u8));
        if (Bounded.Identity(ghsa ?? NumberOf(raw.Field("source"u8))) is not { } id)
            return Unreadable(item, "source is missing.");
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Sca,
            RuleId = id,
            Title = Bounded.Title(raw.Text("title"u8) is { } title ? $"{title} in {name}" : $"{id} in {name}"),
            Description = Bounded.Description(raw.Text("range"u8) is { } range ? $"Affected versions: {range}" : null),
            RawSeverity = Bounded.Word(raw.Text("severity"u8)),
            Severity = Severities.Map(raw.Text("severity"u8)),
            Cvss = Cvss(raw),
            Identifiers = Identifiers.Advisories(ghsa),
            Cwes = Identifiers.Cwes(raw.Texts("cwe"u8)),
            Component = ComponentOf(name, version: null, patched: null),
            References = Bounded.Urls(raw.Text("url"u8)),
        });
    }

    static ReportItem.Rejected Unreadable(JsonItem item, string reason) => new(item.Pointer, item.Offset, RejectionCodes.Unreadable, reason);

    static Component ComponentOf(string name, string? version, string? patched) =>
        new(name, Bounded.Word(version), "npm", Purl: null, Bounded.Identity(Purl.OfName("npm", name)), Bounded.Words([patched is "<0.0.0" ? null : patched]));

    // npm 7 has no field for the advisory's id but the address of its page, which is made of it.
    static string? GhsaOf(string? url) =>
        url?.StartsWith("https://github.com/advisories/", StringComparison.OrdinalIgnoreCase) is true
        && Identifiers.Advisory(url[(url.LastIndexOf('/') + 1)..]) is { Kind: "ghsa" }
            ? url[(url.LastIndexOf('/') + 1)..]
            : null;

    static string? NumberOf(JsonElement id) => id.ValueKind == JsonValueKind.Number ? id.GetRawText() : id.Text();

    static IReadOnlyList<ReportedCvss> Cvss(JsonElement raw) =>
        Identifiers.Cvss(raw.Field("cvss"u8).Text("vectorString"u8), raw.Field("cvss"u8).Decimal("score"u8), null) is { } cvss ? [cvss] : [];

    // npm 6 writes "CWE-400", an array of them, or an array of them as text: ["CWE-125","CWE-400"].
    static string[] CwesIn(string? text) => text?.Length is null or > Bounded.IdentityLength ? [] : text.Split(['[', ']', '"', ',', ' '], StringSplitOptions.RemoveEmptyEntries);
}

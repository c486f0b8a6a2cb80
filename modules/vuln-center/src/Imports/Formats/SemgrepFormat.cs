using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Semgrep's JSON (<c>semgrep_output_v1</c>): code, secrets and supply chain. A raw result is an element of <c>results</c>.
/// Without a login Semgrep writes "requires login" where the code and the fingerprint belong: neither is taken. The
/// fingerprint is the one its SARIF calls <c>matchBasedId/v1</c>.
/// </summary>
internal sealed class SemgrepFormat : IReportFormat
{
    const string Masked = "requires login";

    static readonly JsonPaths Paths = new("version", "results/*", "errors/*", "paths/scanned");

    public string Name => "semgrep";
    public string Title => "Semgrep JSON";
    public IReadOnlyList<string> Versions => ["0.60 and later"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("CRITICAL", Severity.Critical),
        new("HIGH", Severity.High),
        new("MEDIUM", Severity.Medium),
        new("LOW", Severity.Low),
        new("ERROR", Severity.High),
        new("WARNING", Severity.Medium),
        new("INFO", Severity.Low),
        new("INVENTORY", Severity.Info),
        new("EXPERIMENT", Severity.Info),
    ];

    public bool Recognises(ReportPeek peek) => peek.Has("results") && peek.Has("errors")
        && (peek.Has("paths/scanned") || peek.HasAll("results/*/check_id", "results/*/extra"));

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        var results = map.Sections.Where(section => section.Pattern == "results/*").ToList();
        if (!map.Has("/results") || !map.Has("/errors") || !await map.LooksLikeAsync(results, raw => raw.Text("check_id"u8) is not null, cancellationToken))
            throw JsonMap.Foreign("Not a Semgrep report: no arrays 'results' and 'errors', or results without a check_id.");

        yield return new ReportItem.ScannerSeen("semgrep")
        {
            Version = Bounded.Word(map.Scalar("/version")),
            Results = results.Sum(section => section.Count),
            Failure = await FailureAsync(map, cancellationToken)
                ?? (map.Has("/paths/scanned") || results.Exists(section => section.Count > 0) ? null : "The report says neither what was found nor what was scanned."),
        };
        var occurrences = new Occurrences();
        foreach (var section in results)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item, occurrences, context);
        }
    }

    // Messages quote code; what kind of error it is and where is enough. Warnings (a file that parsed in part) are no failure.
    static async Task<string?> FailureAsync(JsonMap map, CancellationToken cancellationToken)
    {
        var (count, first) = (0, "");
        foreach (var section in map.Sections.Where(section => section.Pattern == "errors/*"))
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                using var document = item.Parse();
                var error = document.RootElement;
                if (error.Text("level"u8) != "error")
                    continue;
                if (count++ == 0)
                    first = Bounded.Title($"{error.Text("type"u8) ?? "an error"} {(error.Text("path"u8) is { } path ? $"in {path}" : "")}".TrimEnd());
            }
        }
        return count == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"Semgrep reports {count} errors, the first: {first}.");
    }

    ReportItem Read(JsonItem item, Occurrences occurrences, ReportContext context)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (Bounded.Identity(raw.Text("check_id"u8)) is not { } check)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "check_id is missing.");
        if (raw.Text("path"u8) is not { } path)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "path is missing.");
        var extra = raw.Field("extra"u8);
        var metadata = extra.Field("metadata"u8);
        return extra.Field("sca_info"u8) is { ValueKind: JsonValueKind.Object } supply
            ? Package(item, extra, supply, check)
            : Code(item, raw, extra, metadata, check, Bounded.Path(path.Replace('\\', '/')), occurrences, context);
    }

    ReportItem.Observed Code(
        JsonItem item, JsonElement raw, JsonElement extra, JsonElement metadata, string check, string? path, Occurrences occurrences, ReportContext context)
    {
        var cwes = CwesOf(metadata);
        var isSecret = IsSecret(check, extra, metadata);
        var isSensitive = isSecret || Secrets.AreShownBy(cwes);
        var lines = Unmasked(extra.Text("lines"u8));
        var place = new SarifPlace(path, raw.Field("start"u8).Position("line"u8), raw.Field("end"u8).Position("line"u8), raw.Field("start"u8).Position("col"u8), lines, Scope: null);
        var secret = isSecret ? Secrets.Trace(lines, context) : null;
        var redaction = Redaction.Of(isSensitive ? lines : null, secret);
        var location = place.Locate(isSecret ? null : place.HashSnippet(isSensitive ? context : null));
        var message = isSensitive ? null : extra.Text("message"u8);
        return new ReportItem.Observed(redaction.Of(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = isSensitive ? item.KeyedHash(context) : item.Hash(),
            Kind = isSecret ? FindingKind.Secret : FindingKind.Sast,
            RuleId = check,
            Title = Bounded.Title(message ?? check[(check.LastIndexOf('.') + 1)..]),
            Description = Bounded.Description(message),
            RawSeverity = Bounded.Word(extra.Text("severity"u8)),
            Severity = Severities.Map(extra.Text("severity"u8)),
            Cwes = cwes,
            Location = location,
            Fingerprints = Unmasked(extra.Text("fingerprint"u8)) is { } fingerprint && Bounded.Identity(fingerprint) is { } value
                ? [new ToolFingerprint("matchBasedId/v1", value) { Occurrence = occurrences.Next($"matchBasedId/v1\0{value}", check, path, place.Position) }]
                : [],
            Secret = secret,
            Occurrence = occurrences.Next($"{secret?.Hash ?? location?.SnippetHash}", check, path, place.Position),
            References = Bounded.Urls(metadata.Texts("references"u8)),
            SuppressedInSource = SuppressionOf(extra),
        }, context));
    }

    ReportItem Package(JsonItem item, JsonElement extra, JsonElement supply, string check)
    {
        var match = supply.Field("dependency_match"u8);
        var found = match.Field("found_dependency"u8);
        if (Bounded.Identity(found.Text("package"u8)) is not { } name)
            return new ReportItem.Rejected(item.Pointer, item.Offset, RejectionCodes.Unreadable, "extra.sca_info.dependency_match.found_dependency.package is missing.");
        var metadata = extra.Field("metadata"u8);
        var ids = metadata.Texts("sca-vuln-database-identifier"u8).Append(metadata.Text("sca-vuln-database-identifier"u8)).OfType<string>().ToList();
        var purl = Bounded.Identity(Purl.OfName(PurlTypeOf(found.Text("ecosystem"u8)), name));
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = item.Hash(),
            Kind = FindingKind.Sca,
            RuleId = ids.Count > 0 ? Bounded.Identity(ids[0]) ?? check : check,
            Title = Bounded.Title($"{(ids.Count > 0 ? ids[0] : check)} in {name}"),
            Description = Bounded.Description(extra.Text("message"u8)),
            RawSeverity = Bounded.Word(extra.Text("severity"u8)),
            Severity = Severities.Map(extra.Text("severity"u8)),
            Identifiers = Identifiers.Advisories(ids),
            Cwes = CwesOf(metadata),
            Component = new Component(
                name, Bounded.Word(found.Text("version"u8)), Purl.TypeOf(purl) ?? Bounded.Word(found.Text("ecosystem"u8)), Purl: null, purl,
                Bounded.Words(metadata.Items("sca-fix-versions"u8).SelectMany(fix => fix.ValueKind == JsonValueKind.Object ? fix.EnumerateObject().Select(version => version.Value.Text()) : []))),
            Manifest = Bounded.Path((match.Text("lockfile"u8) ?? found.Text("lockfile_path"u8))?.Replace('\\', '/')),
            References = Bounded.Urls(metadata.Texts("references"u8)),
            SuppressedInSource = SuppressionOf(extra),
        });
    }

    static SourceSuppression? SuppressionOf(JsonElement extra) => extra.IsTrue("is_ignored"u8) ? new SourceSuppression("inSource", "nosemgrep") : null;

    // The registry keeps its rules for secrets under "secrets"; Semgrep Secrets says how it checked the one it found.
    static bool IsSecret(string check, JsonElement extra, JsonElement metadata) =>
        check.Split('.').Contains("secrets", StringComparer.OrdinalIgnoreCase)
        || metadata.Texts("technology"u8).Contains("secrets", StringComparer.OrdinalIgnoreCase)
        || metadata.Text("secret_type"u8) is not null
        || extra.Text("validation_state"u8) is not (null or "NO_VALIDATOR");

    static IReadOnlyList<int> CwesOf(JsonElement metadata) => Identifiers.Cwes(metadata.Texts("cwe"u8).Append(metadata.Text("cwe"u8)));

    static string? Unmasked(string? text) => text == Masked ? null : text;

    static string? PurlTypeOf(string? ecosystem) => ecosystem?.ToLowerInvariant() switch
    {
        "gomod" => "golang",
        "swiftpm" => "swift",
        "mix" => "hex",
        var same => same,
    };
}

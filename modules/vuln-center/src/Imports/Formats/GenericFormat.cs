using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// The normalized schema, version 1, for people (red team, bug bounty, audit) and scanners we have no reader for:
/// <c>{"schemaVersion":"1","source":"red-team","service":"shop-api","findings":[…]}</c>, the bare array of findings, or one
/// finding. A finding may name a service of its own; when the scan was is said once, of the whole report. Additive within a version: fields it does not know are kept in <see cref="RawObservation.Extra"/>.
/// </summary>
internal sealed class GenericFormat : IReportFormat
{
    const string ScannedAt = "scannedAt";

    static readonly JsonPaths Paths = new("schemaVersion", "source", "service", "title", "tool/name", "tool/version", "scope", "image", ScannedAt, "findings/*", "*");

    static readonly string[] Texts = ["/schemaVersion", "/source", "/service", "/scope", "/image", "/tool/name", "/tool/version"];

    public string Name => "generic";
    public string Title => "Normalized findings";
    public IReadOnlyList<string> Versions => SchemaVersions;

    internal static IReadOnlyList<string> SchemaVersions { get; } = ["schemaVersion 1"];

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
        new("P1", Severity.Critical),
        new("P2", Severity.High),
        new("P3", Severity.Medium),
        new("P4", Severity.Low),
        new("P5", Severity.Info),
    ];

    /// <summary>Only with its schema version: a list called "findings" is what half of all tools write.</summary>
    public bool Recognises(ReportPeek peek) =>
        (peek.Has("schemaVersion") && (peek.Has("findings") || peek.Has("title")))
        || (peek.Kind == DocumentKind.JsonArray && peek.HasAll("*/schemaVersion", "*/title"));

    public IAsyncEnumerable<ReportItem> ReadAsync(Stream report, ReportContext context, CancellationToken cancellationToken) =>
        ReadAsync(report, context, this, cancellationToken);

    /// <summary>Severities are read as the source reads them that the request, the report or the format names, in this order.</summary>
    internal static async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, IReportFormat format, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var map = await JsonMap.ReadAsync(report, Paths, context, cancellationToken);
        var isSingle = map.HasNames && map.Has("/title") && !map.Has("/findings");
        if (map.HasNames && !isSingle && !map.Has("/findings"))
            throw JsonMap.Foreign("Not a report in the normalized schema: no array 'findings'.");
        // Of a single finding the others are its own members, and it is rejected for them.
        foreach (var pointer in isSingle ? Texts[..1] : Texts)
        {
            if (map.Has(pointer) && map.Scalar(pointer) is null)
                throw new ReportFormatException(ReportFormatException.WrongType, $"{pointer[1..]} must be a string.", 0, 1, 1, pointer);
        }
        if (map.Scalar("/schemaVersion") is { } version && version != "1" && !version.StartsWith("1.", StringComparison.Ordinal))
            throw JsonMap.Foreign($"schemaVersion '{Bounded.Word(version)}' is not read, only 1.");
        if (!map.HasNames && !await HoldsFindingsAsync(map, cancellationToken))
            throw JsonMap.Foreign("Not a report in the normalized schema: neither an object with 'findings' nor an array of objects with a title.");

        var image = Bounded.Identity(map.Scalar("/image"));
        var source = Bounded.Word(map.Scalar("/source") ?? map.Scalar("/tool/name")) ?? format.Name;
        var severities = (PeopleSources.Find(context.Source ?? source) ?? format).Severities;
        yield return new ReportItem.ScannerSeen(source)
        {
            Version = Bounded.Word(map.Scalar("/tool/version")),
            Category = Bounded.Identity(map.Scalar("/scope")),
            Image = image,
            ScannedAt = ScannedAtOf(map),
            Results = isSingle ? 1 : map.Sections.Sum(section => section.Count),
        };
        var occurrences = new Occurrences();
        var service = Bounded.Word(map.Scalar("/service"));
        if (isSingle)
        {
            if (report.Length > context.MaxElementBytes)
                throw new ReportFormatException(ReportFormatException.TooLarge, $"A single finding may have {context.MaxElementBytes} bytes.", 0, 1, 1, "");
            yield return Read(await map.WholeAsync((int)report.Length, cancellationToken), image, service, severities, occurrences, context);
            yield break;
        }

        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
                yield return Read(item, image, service, severities, occurrences, context);
        }
    }

    // A scanner that writes no offset cannot help it; who writes this schema can.
    static DateTimeOffset? ScannedAtOf(JsonMap map) => !map.Has($"/{ScannedAt}")
        ? null
        : ReportTimes.Of(map.Scalar($"/{ScannedAt}")) ?? throw new ReportFormatException(
            ReportFormatException.WrongType, "scannedAt must be a time with an offset (RFC 3339), such as 2026-03-01T09:30:00+01:00.", 0, 1, 1, $"/{ScannedAt}");

    // Many formats are arrays; what is not ours must not pass for a scan in which everything was rejected.
    static async Task<bool> HoldsFindingsAsync(JsonMap map, CancellationToken cancellationToken)
    {
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellationToken))
            {
                using var document = item.Parse();
                return document.RootElement.Text("title"u8) is not null;
            }
        }
        return false;
    }

    static ReportItem Read(
        JsonItem item, string? image, string? service, IReadOnlyList<SeverityMapping> severities, Occurrences occurrences, ReportContext context)
    {
        using var document = item.Parse();
        var raw = document.RootElement;
        if (raw.ValueKind != JsonValueKind.Object)
            return Rejected(item, "Expected an object.");
        if (GenericShape.Fault(raw) is { } fault)
            return new ReportItem.Rejected(item.Pointer + fault.Pointer, item.Offset, RejectionCodes.Unreadable, $"{fault.Pointer[1..]} must be {fault.Expected}.");
        var identifiers = Identifiers.Advisories(raw.Texts("identifiers"u8).Prepend(raw.Text("rule"u8)));
        var rule = Bounded.Identity(raw.Text("rule"u8)) ?? (identifiers is [var first, ..] ? first.Value : Bounded.Identity(raw.Text("id"u8)));
        if (rule is null)
            return Rejected(item, "One of rule, identifiers and id has to be there.");
        if (raw.Text("title"u8) is not { } title || string.IsNullOrWhiteSpace(title))
            return Rejected(item, "title is missing.");
        if (KindOf(raw) is not { } kind)
            return Rejected(item, "kind is none of sca, sast, dast, secret, config, license, and no field tells it.");
        var isSecret = kind == FindingKind.Secret;
        var match = raw.Field("secret"u8).Text("match"u8) ?? (isSecret ? raw.Field("location"u8).Text("snippet"u8) : null);
        var isSensitive = isSecret || match is not null;
        var secret = Secrets.Trace(match, context);
        var redaction = Redaction.Of(match, secret);
        if (GenericExtra.Of(raw, redaction.Text, isReport: item.Pointer.Length == 0) is not { } extra)
            return Rejected(item, $"The fields this version does not know are larger than {GenericExtra.MaxBytes} bytes.");
        var location = LocationOf(raw.Field("location"u8), isSensitive, redaction);
        var severity = raw.Text("severity"u8);
        return new ReportItem.Observed(redaction.Of(new RawObservation
        {
            Pointer = item.Pointer,
            Offset = item.Offset,
            PayloadHash = isSensitive ? item.KeyedHash(context) : item.Hash(),
            Service = Bounded.Word(raw.Text("service"u8)) ?? service,
            Kind = kind,
            RuleId = Bounded.Identity(redaction.Text(rule)) ?? rule,
            Title = Bounded.Title(redaction.Text(title)),
            Description = Bounded.Description(raw.Text("description"u8) is { } description ? redaction.Text(description) : null),
            RawSeverity = Bounded.Word(severity),
            Severity = severities.Map(severity),
            Cvss = [.. raw.Items("cvss"u8).Take(Bounded.ListLength).Select(CvssOf).OfType<ReportedCvss>()],
            Identifiers = identifiers,
            Cwes = Identifiers.Cwes(raw.Items("cwes"u8).Select(cwe => cwe.ValueKind == JsonValueKind.Number ? cwe.GetRawText() : cwe.Text())),
            Component = ComponentOf(raw.Field("component"u8)),
            Manifest = Bounded.Path(Redacted(raw.Text("manifest"u8))),
            ImageRepository = Identifiers.ImageRepository(raw.Text("image"u8) ?? image),
            Location = location,
            Web = WebOf(raw.Field("web"u8), redaction),
            Resource = Bounded.Identity(Redacted(raw.Text("resource"u8))),
            Fingerprints = FingerprintsOf(raw),
            Secret = secret,
            Occurrence = occurrences.Next(
                $"{kind}\0{secret?.Hash ?? location?.SnippetHash ?? location?.ScopeHash}", rule, location?.Path,
                string.Create(CultureInfo.InvariantCulture, $"{location?.StartLine}:{location?.StartColumn}\0{title}")),
            References = Bounded.Urls(raw.Texts("references"u8)),
            Environments = [.. raw.Texts("environments"u8).Select(Bounded.Word).OfType<string>()],
            Extra = extra.Length == 0 ? null : extra,
        }, context));

        // Before it is bounded: what is too long is cut, in the middle of a secret perhaps.
        string? Redacted(string? text) => text is null ? null : redaction.Text(text);
    }

    static ReportItem.Rejected Rejected(JsonItem item, string reason) => new(item.Pointer, item.Offset, RejectionCodes.Unreadable, reason);

    static FindingKind? KindOf(JsonElement raw) => raw.Text("kind"u8)?.ToLowerInvariant() switch
    {
        "sca" => FindingKind.Sca,
        "sast" => FindingKind.Sast,
        "dast" => FindingKind.Dast,
        "secret" => FindingKind.Secret,
        "config" => FindingKind.Config,
        "license" => FindingKind.License,
        not null => null,
        null when raw.Field("kind"u8).ValueKind != JsonValueKind.Undefined => null,
        null when IsObject(raw.Field("secret"u8)) => FindingKind.Secret,
        null when IsObject(raw.Field("component"u8)) => FindingKind.Sca,
        null when IsObject(raw.Field("web"u8)) => FindingKind.Dast,
        null when raw.Text("resource"u8) is not null => FindingKind.Config,
        null when IsObject(raw.Field("location"u8)) => FindingKind.Sast,
        null => null,
    };

    static bool IsObject(JsonElement element) => element.ValueKind == JsonValueKind.Object;

    static ReportedCvss? CvssOf(JsonElement cvss) => cvss.ValueKind == JsonValueKind.String
        ? Identifiers.Cvss(cvss.GetString(), null, null)
        : Identifiers.Cvss(cvss.Text("vector"u8), cvss.Decimal("score"u8), cvss.Text("origin"u8));

    static Component? ComponentOf(JsonElement raw)
    {
        var purl = raw.Text("purl"u8);
        var canonical = Purl.WithoutVersion(purl);
        var name = raw.Text("name"u8) ?? canonical?[(canonical.LastIndexOf('/') + 1)..];
        var ecosystem = Bounded.Word(Purl.TypeOf(canonical) ?? raw.Text("ecosystem"u8));
        return Bounded.Identity(name) is not { } known
            ? null
            : new Component(
                known, Bounded.Word(raw.Text("version"u8)), ecosystem, Bounded.Identity(purl), Bounded.Identity(canonical),
                [.. raw.Texts("fixedVersions"u8).Select(Bounded.Word).OfType<string>()]);
    }

    static CodeLocation? LocationOf(JsonElement raw, bool isSensitive, Redaction redaction)
    {
        var place = new SarifPlace(
            Bounded.Path(raw.Text("path"u8) is { } path ? redaction.Text(path) : null), raw.Position("startLine"u8), raw.Position("endLine"u8), raw.Position("startColumn"u8), raw.Text("snippet"u8), raw.Text("scope"u8) is { } scope ? redaction.Text(scope) : null);
        return place.Locate(isSensitive ? null : place.HashSnippet(keyed: null));
    }

    static WebLocation? WebOf(JsonElement raw, Redaction redaction)
    {
        if (!IsObject(raw))
            return null;
        var url = WebPlaces.WithoutCredentials(raw.Text("url"u8)) is { } address ? redaction.Text(address) : null;
        var uri = Uri.TryCreate(url, UriKind.Absolute, out var absolute) && absolute.Host.Length > 0 ? absolute : null;
        return new WebLocation(
            Bounded.Word(raw.Text("method"u8))?.ToUpperInvariant(),
            Bounded.Identity(raw.Text("host"u8) ?? uri?.Authority)?.ToLowerInvariant(),
            Bounded.Path(raw.Text("pathTemplate"u8) ?? (uri is null ? null : PathTemplate.Of(uri.AbsolutePath))),
            Bounded.Identity(raw.Text("parameter"u8)),
            Bounded.Path(url));
    }

    static List<ToolFingerprint> FingerprintsOf(JsonElement raw)
    {
        var fingerprints = new List<ToolFingerprint>();
        if (Bounded.Identity(raw.Text("id"u8)) is { } id)
            fingerprints.Add(new ToolFingerprint("id", id));
        foreach (var fingerprint in raw.Properties("fingerprints"u8).Take(Bounded.ListLength))
        {
            if (Bounded.Identity(fingerprint.Name) is { } algorithm && Bounded.Identity(fingerprint.Value.Text()) is { } value)
                fingerprints.Add(new ToolFingerprint(algorithm, value));
        }
        return fingerprints;
    }
}

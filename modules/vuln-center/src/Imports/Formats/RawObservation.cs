using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// One raw result of a report, as the scanner stated it; nothing is inferred from free text.
/// All strings are valid Unicode without U+0000: ill-formed UTF-8, lone surrogates and NUL arrive as U+FFFD.
/// Lengths are bounded by <see cref="Bounded"/>. A raw secret is never in here.
/// </summary>
internal sealed record RawObservation
{
    /// <summary>RFC 6901 pointer of the raw result in the (decompressed) report; of JSON Lines as if its lines were one array.</summary>
    public required string Pointer { get; init; }

    /// <summary>Where the raw result starts in the decompressed report, in bytes from 0.</summary>
    public required long Offset { get; init; }

    /// <summary>
    /// SHA-256 over the raw result's bytes exactly as they stand; HMAC-SHA-256 when they can hold a secret. A raw result that
    /// only names what an element around it is about (a product of a VEX statement) is hashed with that element.
    /// </summary>
    public required Sha256Digest PayloadHash { get; init; }

    /// <summary>The service this result names itself, in formats that allow it; null otherwise.</summary>
    public string? Service { get; init; }

    public required FindingKind Kind { get; init; }

    /// <summary>The scanner's rule or check; for <see cref="FindingKind.Sca"/> the advisory it reports (CVE, GHSA …).</summary>
    public required string RuleId { get; init; }

    public required string Title { get; init; }
    public string? Description { get; init; }
    public string? RawSeverity { get; init; }
    public Severity Severity { get; init; }
    public IReadOnlyList<ReportedCvss> Cvss { get; init; } = [];

    /// <summary>Only ids the scanner states in a field made for them; never found by searching text.</summary>
    public IReadOnlyList<AdvisoryId> Identifiers { get; init; } = [];

    /// <summary>
    /// Pairs of ids that the format itself states to be one problem (OSV's <c>aliases</c>), upper-case; naming two ids is no such
    /// statement, and <c>related</c> or <c>upstream</c> neither.
    /// </summary>
    public IReadOnlyList<AliasPair> Aliases { get; init; } = [];

    /// <summary>CWE numbers (79 for CWE-79), ascending, each once.</summary>
    public IReadOnlyList<int> Cwes { get; init; } = [];

    public Component? Component { get; init; }

    /// <summary>The file that declares the component (a lock file, a jar), as the scanner names it. Never a tag or a digest.</summary>
    public string? Manifest { get; init; }

    /// <summary>The scanned image without tag and digest: <c>registry.example/shop/api</c>.</summary>
    public string? ImageRepository { get; init; }

    public CodeLocation? Location { get; init; }

    /// <summary>Further places of the same result, as SARIF gives them: shown, never compared.</summary>
    public IReadOnlyList<CodeLocation> OtherLocations { get; init; } = [];

    public WebLocation? Web { get; init; }

    /// <summary>What is misconfigured: <c>Deployment/shop/api</c>, <c>aws_s3_bucket.logs</c>, <c>Dockerfile</c>.</summary>
    public string? Resource { get; init; }

    /// <summary>The scanner's own ids for this result, best first.</summary>
    public IReadOnlyList<ToolFingerprint> Fingerprints { get; init; } = [];

    public SecretTrace? Secret { get; init; }

    /// <summary>
    /// 0 for the first result of this rule, file and code in the report, 1 for the next one elsewhere in the file, and so on;
    /// a result repeated at the same position has the same number.
    /// </summary>
    public int Occurrence { get; init; }

    public IReadOnlyList<string> References { get; init => field = [.. value.Select(WebPlaces.WithoutCredentials).OfType<string>()]; } = [];
    public IReadOnlyList<string> Environments { get; init; } = [];

    /// <summary>How the source itself set the result aside; null when it did not. It is observed all the same.</summary>
    public SourceSuppression? SuppressedInSource { get; init; }

    /// <summary>
    /// Fields of the generic schema this version does not know, as one JSON object that a <c>jsonb</c> column accepts
    /// (numbers beyond a double arrive as strings).
    /// </summary>
    public string? Extra { get; init; }

    /// <summary>As a result that the report calls no problem.</summary>
    public ReportItem Dismissed(string reason) => new ReportItem.Rejected(Pointer, Offset, RejectionCodes.NotAProblem, reason) { About = this };
}

/// <summary>
/// A CVSS vector as reported. The version (<c>2.0</c>, <c>3.0</c>, <c>3.1</c>, <c>4.0</c>) is read from the vector's
/// prefix; the score is the scanner's own, 0.0 to 10.0: recorded, not trusted; the origin is who scored it (<c>nvd</c>,
/// <c>redhat</c> …), empty when not said.
/// </summary>
internal sealed record ReportedCvss(string Version, string Vector, decimal? Score, string Origin);

/// <summary>An explicit advisory id, upper-case; <paramref name="Kind"/> is lower-case: <c>cve</c>, <c>ghsa</c>, <c>osv</c> …</summary>
internal sealed record AdvisoryId(string Kind, string Value);

/// <summary>Two advisory ids of one problem, as the report states it.</summary>
internal sealed record AliasPair(string A, string B);

/// <summary>
/// A package. <c>Ecosystem</c> is its purl type (<c>npm</c>, <c>deb</c>, <c>golang</c> …), <c>Purl</c> the package URL as
/// reported, <c>PurlWithoutVersion</c> its canonical spelling without version and qualifiers, the same for every scanner
/// and built from the ecosystem where the scanner gives none.
/// </summary>
internal sealed record Component(
    string Name, string? Version, string? Ecosystem, string? Purl, string? PurlWithoutVersion, IReadOnlyList<string> FixedVersions)
{
    /// <summary>The same from every scanner: the canonical purl, else the ecosystem and the name. A name alone is nobody's; it has none.</summary>
    public string? Key => PurlWithoutVersion ?? (Ecosystem is null ? null : $"{Ecosystem}:{Name}");
}

/// <summary>
/// Where in the code. The path is relative to the scanned root where the report allows it, '/' separated, case as
/// reported. Lines and columns count from 1 and never identify a finding.
/// </summary>
internal sealed record CodeLocation(string? Path, int? StartLine = null, int? EndLine = null, int? StartColumn = null)
{
    /// <summary>Hash of the flagged code without indentation and blank lines; keyed when it can hold a secret.</summary>
    public Sha256Digest? SnippetHash { get; init; }

    /// <summary>Hash of the enclosing named scope (class, function), when the report names one.</summary>
    public Sha256Digest? ScopeHash { get; init; }
}

/// <summary>Where on the web. The path template is the path with ids replaced: <c>/orders/{id}/items</c>.</summary>
internal sealed record WebLocation(string? Method, string? Host, string? PathTemplate, string? Parameter, string? Url)
{
    public string? Host { get; init; } = Host?[(Host.LastIndexOf('@') + 1)..];

    /// <summary>Without user, password and the values of secret parameters.</summary>
    public string? Url { get; init; } = WebPlaces.WithoutCredentials(Url);
}

/// <summary>Two fingerprints compare only when their algorithms are equal, version included: <c>matchBasedId/v1</c>.</summary>
internal sealed record ToolFingerprint(string Algorithm, string Value)
{
    /// <summary>
    /// Numbers the places in a file that share the fingerprint, as tools that hash only the line give it to equal lines.
    /// </summary>
    public int Occurrence { get; init; }
}

/// <summary>
/// A secret's HMAC-SHA-256 under the tenant's key and a preview for people: at most a quarter of it, four characters at
/// most.
/// </summary>
internal sealed record SecretTrace(Sha256Digest Hash, string Preview)
{
    /// <summary>The scanner had masked the secret: the hash is of the mask and does not tell two secrets apart.</summary>
    public bool IsMasked { get; init; }
}

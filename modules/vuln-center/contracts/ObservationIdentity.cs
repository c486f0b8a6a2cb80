using System.Text.Json.Serialization;

namespace Wave16.VulnCenter.Contracts;

/// <summary>
/// What a raw result can be recognised by, as its report said it: all that keys are made of, and where it stood. Hashes are
/// 64 lower-case hexadecimal digits.
/// </summary>
/// <param name="Rule">The scanner's rule or check; the advisory for a vulnerable component.</param>
/// <param name="Ecosystem">Purl type of the component.</param>
/// <param name="Purl">Package URL without version and qualifiers.</param>
/// <param name="Manifest">The file that declares the component.</param>
/// <param name="Image">The scanned image without tag and digest.</param>
/// <param name="Line">1-based; shown, and compared only where somebody split a finding by it.</param>
/// <param name="Snippet">Hash of the flagged code.</param>
/// <param name="Scope">Hash of the enclosing function's or class's name.</param>
/// <param name="Occurrence">0 for the first result of this rule and code in its file, 1 for the next one elsewhere in the file …</param>
/// <param name="Secret">Keyed hash.</param>
/// <param name="Masked">The scanner had masked the secret: the hash is of the mask.</param>
/// <param name="PathTemplate">The path of an address with its ids replaced.</param>
/// <param name="Identifiers">CVE, GHSA and other ids the result names.</param>
/// <param name="Cvss">Vectors as reported.</param>
public sealed record ObservationIdentity(
    FindingKind Kind,
    string Rule,
    string? Ecosystem = null,
    string? Component = null,
    string? ComponentVersion = null,
    string? Purl = null,
    string? Manifest = null,
    string? Image = null,
    string? Path = null,
    int? Line = null,
    int? EndLine = null,
    string? Snippet = null,
    string? Scope = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] int Occurrence = 0,
    string? Secret = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Masked = false,
    string? Resource = null,
    string? Method = null,
    string? Host = null,
    string? PathTemplate = null,
    string? Parameter = null,
    string? Url = null,
    IReadOnlyList<ObservedFingerprint>? Fingerprints = null,
    IReadOnlyList<string>? Identifiers = null,
    IReadOnlyList<ReportedScore>? Cvss = null);

/// <summary>The scanner's own id of a result. Two compare only when their algorithms are equal, version included.</summary>
/// <param name="Occurrence">Numbers the places in a file that share the fingerprint.</param>
public sealed record ObservedFingerprint(
    string Algorithm, string Value, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] int Occurrence = 0);

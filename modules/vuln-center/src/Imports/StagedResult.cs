using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports.Formats;
using Wave16.VulnCenter.Ssvc;

namespace Wave16.VulnCenter.Imports;

/// <summary>A raw result as it is staged: the columns of a finding, the keys it may be known by, and what a scan may change about it.</summary>
internal sealed record StagedResult(
    string Service, string Source, int Ordinal, RawObservation Raw, ObservationIdentity Identity, IReadOnlyList<DedupKey> Keys, SeverityDecision Severity, string Detail, byte[] ContentHash)
{
    /// <summary>Why it is no problem, as the report says; null where it is one. It makes no observation: it says that its finding was not gone.</summary>
    public string? Dismissed { get; init; }

    /// <summary>One of its references is an exploit.</summary>
    public bool Exploit => Raw.References.Any(SsvcInputs.IsExploit);

    public static StagedResult Of(string service, string source, int ordinal, RawObservation raw, SourceRules rules)
    {
        var content = new FindingContent(
            raw.Description,
            [.. raw.Cvss.Select(cvss => new ReportedScore(cvss.Version, cvss.Vector, cvss.Score, cvss.Origin))],
            raw.Cwes,
            raw.References,
            raw.Secret?.Preview,
            raw.Location?.StartColumn,
            SuppressedInSource: null,
            raw.Extra,
            raw.OtherLocations is { Count: > 0 } others ? [.. others.Select(place => new ContentLocation(place.Path, place.StartLine, place.EndLine))] : null,
            raw.SuppressedInSource);
        var detail = Json(content);
        var identity = Identities.Of(raw);

        // Without the service's environmental metrics: they may change, and are added where the finding is settled.
        var severity = SeverityDecision.Of(raw.Cvss, raw.Severity, environment: null);
        return new StagedResult(
            service, source, ordinal, raw, identity, DedupKeys.KeysOf(identity, rules), severity, System.Text.Encoding.UTF8.GetString(detail),
            Hash(raw, severity, content.IsInOrder ? detail : Json(content.InOrder())));
    }

    /// <summary>A key's kind, with the algorithm for a tool's fingerprint: fingerprints compare only within one algorithm.</summary>
    public static string KindOf(DedupKey key) =>
        key.Fields.FirstOrDefault(field => field.Name == "algorithm")?.Value is { } algorithm ? $"{key.Kind}:{algorithm}" : key.Kind;

    private static ReadOnlySpan<byte> Json(FindingContent content)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer))
        {
            JsonSerializer.Serialize(json, content, VulnCenterJson.Default.FindingContent);
        }

        return buffer.WrittenSpan;
    }

    private static List<string> Sorted(IEnumerable<string> texts) => [.. texts.Order(StringComparer.Ordinal)];

    /// <summary>SHA-256 over everything a later scan may update, lists that have no order sorted; two equal hashes mean there is nothing to write.</summary>
    private static byte[] Hash(RawObservation raw, SeverityDecision severity, ReadOnlySpan<byte> detail)
    {
        var content = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(content))
        {
            JsonSerializer.Serialize(json, new FindingAttributes(
                raw.RuleId, raw.Title, (int)severity.Severity, severity.From, raw.RawSeverity, Sorted(raw.Identifiers.Select(id => id.Value)), raw.Component?.Name, raw.Component?.Version,
                raw.Component?.Purl, Sorted(raw.Component?.FixedVersions ?? []), raw.Manifest, raw.ImageRepository, raw.Location?.Path, raw.Location?.StartLine,
                raw.Location?.EndLine, raw.Resource, raw.Web?.Url, Sorted(raw.Environments)), VulnCenterJson.Default.FindingAttributes);
        }

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(content.WrittenSpan);
        hash.AppendData(detail);
        return hash.GetHashAndReset();
    }
}

/// <summary>The <c>detail</c> column of a finding: shown, not searched.</summary>
/// <param name="SuppressedInSource">Of before its kind was kept, in one word or sentence.</param>
/// <param name="Extra">A JSON object, as text.</param>
internal sealed record FindingContent(
    string? Description, IReadOnlyList<ReportedScore> Cvss, IReadOnlyList<int> Cwes, IReadOnlyList<string> References, string? SecretPreview, int? Column,
    string? SuppressedInSource, string? Extra, IReadOnlyList<ContentLocation>? OtherLocations, SourceSuppression? SourceSuppression = null)
{
    /// <summary>Links have no order; of vectors the first one counts.</summary>
    [JsonIgnore]
    public bool IsInOrder => !References.Zip(References.Skip(1)).Any(pair => string.CompareOrdinal(pair.First, pair.Second) > 0);

    public FindingContent InOrder() => this with { References = [.. References.Order(StringComparer.Ordinal)] };
}

internal sealed record ContentLocation(string? Path, int? Line, int? EndLine);

/// <summary>The columns of a finding that a scan may change, for their hash.</summary>
internal sealed record FindingAttributes(
    string Rule, string Title, int Severity, string SeverityFrom, string? RawSeverity, IReadOnlyList<string> Identifiers, string? Component, string? ComponentVersion, string? Purl,
    IReadOnlyList<string> FixedVersions, string? Manifest, string? Image, string? Path, int? Line, int? EndLine, string? Resource, string? Url,
    IReadOnlyList<string> Environments);

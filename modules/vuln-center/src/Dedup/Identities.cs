using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Dedup;

/// <summary>The identity of a raw result, and its compact JSON as it is staged and kept with the observation: what is missing is left out.</summary>
internal static class Identities
{
    public static ObservationIdentity Of(RawObservation o) => new(
        o.Kind, o.RuleId, o.Component?.Ecosystem, o.Component?.Name, o.Component?.Version, o.Component?.PurlWithoutVersion, o.Manifest, o.ImageRepository,
        o.Location?.Path, o.Location?.StartLine, o.Location?.EndLine, o.Location?.SnippetHash?.ToString(), o.Location?.ScopeHash?.ToString(), o.Occurrence,
        o.Secret?.Hash.ToString(), o.Secret is { IsMasked: true }, o.Resource, o.Web?.Method, o.Web?.Host, o.Web?.PathTemplate, o.Web?.Parameter, o.Web?.Url,
        o.Fingerprints.Count == 0 ? null : [.. o.Fingerprints.Select(print => new ObservedFingerprint(print.Algorithm, print.Value, print.Occurrence))],
        o.Identifiers.Count == 0 ? null : [.. o.Identifiers.Select(id => id.Value)],
        o.Cvss.Count == 0 ? null : [.. o.Cvss.Select(cvss => new ReportedScore(cvss.Version, cvss.Vector, cvss.Score, cvss.Origin))]);

    public static string Write(ObservationIdentity identity) => JsonSerializer.Serialize(identity, VulnCenterJson.Default.ObservationIdentity);

    public static ObservationIdentity Read(string json) =>
        JsonSerializer.Deserialize(json, VulnCenterJson.Default.ObservationIdentity) ?? throw new JsonException("An observation's identity is null.");
}

using System.Text.Json.Serialization;

namespace Wave16.VulnCenter.Contracts;

/// <summary>Something that shows what a finding is, or that it is gone: a file, or a reference to one that is kept elsewhere.</summary>
/// <param name="Sha256">Of its content, 64 lower-case hexadecimal digits.</param>
/// <param name="Name">The file's name, without a path.</param>
/// <param name="Size">In bytes; null where a reference does not say.</param>
/// <param name="Uri">Where it is kept, if elsewhere. Stored, never fetched.</param>
/// <param name="Stored">Its content is here: <c>GET /findings/{id}/artifacts/{sha256}</c>.</param>
public sealed record Artifact(
    string Sha256, string? Name, string MediaType, long? Size, string? Uri, string? Note, bool Stored, string AttachedBy, DateTimeOffset AttachedAt);

/// <summary>Body of <c>POST /findings/{id}/artifacts</c> as JSON: an artifact that is kept elsewhere.</summary>
/// <param name="Sha256">64 hexadecimal digits.</param>
/// <param name="Uri">Absolute, http or https, at most 2,000 characters.</param>
/// <param name="MediaType">As for files: one that is taken here.</param>
/// <param name="Size">In bytes.</param>
/// <param name="Note">1 to 2,000 characters.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record ArtifactReference(string Sha256, string Uri, string MediaType, long? Size = null, string? Note = null);

/// <summary>A finding's artifacts, latest first.</summary>
/// <param name="Version">The finding's, after what was attached last.</param>
public sealed record ArtifactList(Guid Finding, long Version, IReadOnlyList<Artifact> Items);

using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>The stable codes of what can be wrong with an artifact.</summary>
internal static class ArtifactProblems
{
    public const string Malformed = "artifact.malformed";
    public const string TooLarge = "artifact.too-large";
    public const string TypeNotAllowed = "artifact.type-not-allowed";
    public const string TypeMismatch = "artifact.type-mismatch";
    public const string TooMany = "artifact.too-many";
    public const string OverQuota = "artifact.over-quota";
    public const string IsEvidence = "artifact.is-evidence";
    public const string Elsewhere = "artifact.elsewhere";

    public static readonly ProblemCode[] All =
    [
        new(Malformed, 400, "The upload cannot be read"),
        new(TooLarge, 413, "The artifact is too large"),
        new(TypeNotAllowed, 415, "The artifact's type is not taken"),
        new(TypeMismatch, 422, "The artifact is not what its type says"),
        new(TooMany, 409, "The finding has as many artifacts as it may have"),
        new(OverQuota, 409, "The tenant's artifacts take up as much as they may"),
        new(IsEvidence, 409, "The artifact is evidence"),
        new(Elsewhere, 404, "The artifact is kept elsewhere"),
    ];
}

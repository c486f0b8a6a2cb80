using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>
/// What the drift pass works with: results that no key recognised, and findings that the scan before showed and this one
/// does not. docs/dedup.md says when two of them are the same problem.
/// </summary>
internal static class Drift
{
    /// <summary>Kinds of problems that stand in a file and can move with it.</summary>
    public static IReadOnlyList<FindingKind> Kinds { get; } = [FindingKind.Sast, FindingKind.Secret, FindingKind.Config];

    /// <summary>A problem that was said to be gone is not somewhere else.</summary>
    public static IReadOnlyList<FindingStatus> Tracked { get; } = [FindingStatus.Open, FindingStatus.Triaged];

    /// <summary>
    /// Fingerprints made of the flagged lines or the path (LIKE patterns over kinds of keys): they change with the code, so
    /// two different ones are not the tool's word that two problems differ. Any other one is.
    /// </summary>
    public static IReadOnlyList<string> LineHashes { get; } =
        ["fingerprint:primaryLocationLineHash%", "fingerprint:scanPrimaryLocationHash%", "fingerprint:matchBasedId/%"];

    /// <summary>Keys made of the flagged code itself, which may differ where lines shifted.</summary>
    public static IReadOnlyList<string> CodeKeys { get; } = ["sast", "position"];

    /// <summary>Null when nothing is left that would tell two problems of one rule apart.</summary>
    public static Sha256Digest? ContentOf(string key, IReadOnlyList<KeyField> fields, ObservationIdentity observation)
    {
        if (!Kinds.Contains(observation.Kind) || observation.Path is null)
        {
            return null;
        }

        // The mask of a secret is the same for all of them.
        if (fields.Any(field => field is { Name: "secret", Value: not null }) && observation.Masked)
        {
            return null;
        }

        List<KeyField> content = [.. fields.Where(field => field.Name != "path")];
        return content.Exists(field => field.Value is not null && field.Name is not ("rule" or "occurrence" or "algorithm"))
            ? DedupKeys.Hash($"content:{key}", content)
            : null;
    }
}

using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Dedup;

/// <summary>How findings of one source are recognised: a version of data, not of code.</summary>
internal sealed record SourceRules(string Source, int Version, IReadOnlyList<KeyRule> Keys)
{
    static readonly FindingKind[] All = Enum.GetValues<FindingKind>();

    static readonly IReadOnlyList<KeyRule> DefaultKeys =
    [
        new("fingerprint", All, ["rule", "path?", KeyFields.Fingerprint]),
        // Two jars of one image are two places; what a distribution's package manager keeps is of the image as a whole.
        new("sca-file", [FindingKind.Sca], ["component", "rule", "package-file"]),
        new("sca", [FindingKind.Sca], ["component", "rule", "place"]),
        new("sast", [FindingKind.Sast], ["rule", "path", "code", "occurrence"]),
        new("dast", [FindingKind.Dast], ["rule", "method?", "host", "path-template", "parameter?"]),
        new("secret", [FindingKind.Secret], ["rule", "path", "secret"]),
        // A resource is named within its file: aws_s3_bucket.logs of two stacks are two buckets.
        new("config", [FindingKind.Config], ["rule", "path?", "resource"]),
        new("license", [FindingKind.License], ["rule", "component", "path?", "place?"]),
        new("license-file", [FindingKind.License], ["rule", "path"]) { IsFallback = true },
        new("component", [FindingKind.Sca], ["component", "rule"]) { IsFallback = true },
        new("position", All, ["rule", "path?", "code?", "resource?", "host?", "path-template?", "parameter?", "occurrence"]) { IsFallback = true },
    ];

    /// <summary>Rule set version 1, what every source starts with.</summary>
    public static SourceRules Default(string source) => new(source, 1, DefaultKeys);
}

/// <summary>
/// One key: its name, the kinds it applies to and its fields in order (<see cref="KeyFields.Names"/>; "?" at the end: may
/// be missing). A fallback counts only for observations that have no key yet.
/// </summary>
internal sealed record KeyRule(string Name, IReadOnlyList<FindingKind> Kinds, IReadOnlyList<string> Fields)
{
    public bool IsFallback { get; init; }
}

using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Dedup;

/// <summary>How findings of one source are recognised: a version of data, not of code.</summary>
internal sealed record SourceRules(string Source, int Version, IReadOnlyList<KeyRule> Keys)
{
    static readonly ObservationKind[] All = Enum.GetValues<ObservationKind>();

    static readonly IReadOnlyList<KeyRule> DefaultKeys =
    [
        new("fingerprint", All, ["rule", "path?", KeyFields.Fingerprint]),
        new("sca", [ObservationKind.Sca], ["component", "rule", "place"]),
        new("sast", [ObservationKind.Sast], ["rule", "path", "code", "occurrence"]),
        new("dast", [ObservationKind.Dast], ["rule", "method?", "host", "path-template", "parameter?"]),
        new("secret", [ObservationKind.Secret], ["rule", "path", "secret"]),
        // A resource is named within its file: aws_s3_bucket.logs of two stacks are two buckets.
        new("config", [ObservationKind.Config], ["rule", "path?", "resource"]),
        new("license", [ObservationKind.License], ["rule", "component", "path?", "place?"]),
        new("license-file", [ObservationKind.License], ["rule", "path"]) { IsFallback = true },
        new("component", [ObservationKind.Sca], ["component", "rule"]) { IsFallback = true },
        new("position", All, ["rule", "path?", "code?", "resource?", "host?", "path-template?", "parameter?", "occurrence"]) { IsFallback = true },
    ];

    /// <summary>Rule set version 1, what every source starts with.</summary>
    public static SourceRules Default(string source) => new(source, 1, DefaultKeys);
}

/// <summary>
/// One key: its name, the kinds it applies to and its fields in order (<see cref="KeyFields.Names"/>; "?" at the end: may
/// be missing). A fallback counts only for observations that have no key yet.
/// </summary>
internal sealed record KeyRule(string Name, IReadOnlyList<ObservationKind> Kinds, IReadOnlyList<string> Fields)
{
    public bool IsFallback { get; init; }
}

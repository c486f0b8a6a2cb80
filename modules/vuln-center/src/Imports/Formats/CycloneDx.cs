using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>A component of a BOM, as both syntaxes give it.</summary>
internal sealed record CycloneDxComponent(string? Group, string? Name, string? Version, string? Purl)
{
    /// <summary>Where it was found (<c>evidence/occurrences</c>).</summary>
    public string? Location { get; init; }

    public Component? ToComponent()
    {
        var canonical = Formats.Purl.WithoutVersion(Purl);
        var name = string.IsNullOrEmpty(Group) ? Name : $"{Group}/{Name}";
        return Bounded.Identity(Name is null ? canonical?[(canonical.LastIndexOf('/') + 1)..] : name) is not { } known
            ? null
            : new Component(
                known, Bounded.Word(Version ?? (Purl is null ? null : Formats.Purl.VersionOf(Purl))), Formats.Purl.TypeOf(canonical), Bounded.Identity(Purl), Bounded.Identity(canonical), []);
    }
}

/// <summary>The components of a BOM by their <c>bom-ref</c>.</summary>
internal sealed class CycloneDxComponents
{
    /// <summary>In characters, a component's object counted as a hundred.</summary>
    public const int MaxRetained = 64 << 20;

    readonly Dictionary<string, CycloneDxComponent> _byReference = new(StringComparer.Ordinal);
    long _retained;

    /// <summary>More than <see cref="MaxRetained"/>.</summary>
    public bool IsTooLarge => _retained > MaxRetained;

    public void Add(string? reference, CycloneDxComponent component)
    {
        if (reference is null || !_byReference.TryAdd(reference, component))
            return;
        _retained += reference.Length + (component.Group?.Length ?? 0) + (component.Name?.Length ?? 0) + (component.Version?.Length ?? 0)
            + (component.Purl?.Length ?? 0) + (component.Location?.Length ?? 0) + 100;
    }

    /// <summary>
    /// A reference is a <c>bom-ref</c>, or a BOM-Link into this BOM or another (<c>urn:cdx:serial/version#ref</c>). What the BOM
    /// does not list is known by its reference alone, which often is a package URL.
    /// </summary>
    public CycloneDxComponent Find(string reference)
    {
        if (_byReference.TryGetValue(reference, out var component))
            return component;
        if (reference.StartsWith("urn:cdx:", StringComparison.Ordinal) && reference.IndexOf('#', StringComparison.Ordinal) is var hash and > 0)
        {
            reference = Uri.UnescapeDataString(reference[(hash + 1)..]);
            if (_byReference.TryGetValue(reference, out component))
                return component;
        }
        return Purl.WithoutVersion(reference) is not null
            ? new CycloneDxComponent(null, null, null, reference)
            : new CycloneDxComponent(null, reference, null, null);
    }
}

/// <param name="Method">How it was rated: <c>CVSSv31</c>, <c>OWASP</c> …</param>
internal sealed record CycloneDxRating(string? Severity, string? Method, string? Vector, decimal? Score, string? Source);

/// <summary>What a BOM says of a vulnerability, in either syntax; a raw result is one component it affects.</summary>
internal sealed record CycloneDxVulnerability
{
    static readonly string[] NotProblems = ["not_affected", "false_positive", "resolved", "resolved_with_pedigree"];

    public string? Id { get; init; }
    public string? Description { get; init; }
    public string? Detail { get; init; }
    public string? Recommendation { get; init; }
    public IReadOnlyList<CycloneDxRating> Ratings { get; init; } = [];
    public IReadOnlyList<string> Cwes { get; init; } = [];

    /// <summary>Ids of the same vulnerability elsewhere (<c>references</c>).</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    public IReadOnlyList<string> Urls { get; init; } = [];

    /// <summary>The VEX analysis: <c>exploitable</c>, <c>not_affected</c> …</summary>
    public string? State { get; init; }
    public string? Justification { get; init; }
    public string? AnalysisDetail { get; init; }

    /// <summary>Of ratings that differ the worst counts.</summary>
    public static IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("critical", Severity.Critical),
        new("high", Severity.High),
        new("medium", Severity.Medium),
        new("low", Severity.Low),
        new("info", Severity.Info),
        new("none", Severity.None),
        new("unknown", Severity.Unknown),
    ];

    /// <param name="payload">Of the vulnerability: what is affected is next to nothing without it.</param>
    /// <param name="component">Null when the BOM does not say what is affected.</param>
    /// <param name="isUnaffected">All versions named for the component are unaffected.</param>
    public ReportItem Affects(string pointer, long offset, Sha256Digest payload, CycloneDxComponent? component, bool isUnaffected, string? imageRepository)
    {
        if (Bounded.Identity(Id) is not { } id)
            return new ReportItem.Rejected(pointer, offset, RejectionCodes.Unreadable, "id is missing.");
        var affected = component?.ToComponent();
        var worst = Ratings.Where(rating => rating.Severity is not null).MaxBy(rating => Severities.Map(rating.Severity));
        var observation = new RawObservation
        {
            Pointer = pointer,
            Offset = offset,
            PayloadHash = payload,
            Kind = FindingKind.Sca,
            RuleId = id,
            Title = Bounded.Title(affected is null ? id : $"{id} in {affected.Name}"),
            Description = Bounded.Description(string.Join("\n\n", new[] { Description, Detail, Recommendation }.OfType<string>())),
            RawSeverity = Bounded.Word(worst?.Severity),
            Severity = Severities.Map(worst?.Severity),
            Cvss = [.. Ratings.Select(CvssOf).OfType<ReportedCvss>().Distinct().Take(Bounded.ListLength)],
            Identifiers = Identifiers.Advisories([id, .. Aliases]),
            Cwes = Identifiers.Cwes(Cwes),
            Component = affected,
            Manifest = Bounded.Path(component?.Location),
            ImageRepository = imageRepository,
            References = Bounded.Urls(Urls),
        };
        if (State is not null && NotProblems.Contains(State, StringComparer.Ordinal))
            return observation.Dismissed(Vex.Reason(State, Justification, AnalysisDetail));
        return isUnaffected ? observation.Dismissed("All versions named are unaffected.") : new ReportItem.Observed(observation);
    }

    // The method says the version of a vector that comes without its prefix.
    static ReportedCvss? CvssOf(CycloneDxRating rating)
    {
        var prefix = rating.Vector?.StartsWith("AV:", StringComparison.Ordinal) is not true ? "" : rating.Method switch
        {
            "CVSSv3" => "CVSS:3.0/",
            "CVSSv31" => "CVSS:3.1/",
            "CVSSv4" => "CVSS:4.0/",
            _ => "",
        };
        return Identifiers.Cvss(rating.Vector is null ? null : prefix + rating.Vector, rating.Score, rating.Source);
    }
}

using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>What the life cycle of a finding depends on, and what it decides.</summary>
internal sealed record FindingState
{
    public required string Tenant { get; init; }
    public required Guid Id { get; init; }
    public required long Version { get; init; }
    public required string Service { get; init; }
    public required string Source { get; init; }

    /// <summary>As the latest report says it. Decides nothing; what stands at the gate is called by it.</summary>
    public required string Title { get; init; }

    /// <summary>As the latest report says it: from its CVSS vector, or by the source's mapping.</summary>
    public required Severity ScanSeverity { get; init; }

    /// <summary>Which of the two: <c>cvss-3.1</c>, <c>source</c>.</summary>
    public required string ScanSeverityFrom { get; init; }

    /// <summary>The vector that decides, normalised; null where none does.</summary>
    public string? CvssVector { get; init; }

    /// <summary>One of its references is an exploit.</summary>
    public bool Exploit { get; init; }

    /// <summary>An analyst's word, before everything else.</summary>
    public SeverityOverride? Override { get; init; }

    /// <summary>Settled: the override's, the environmental one, or the scan's.</summary>
    public required Severity Severity { get; init; }
    public required string SeverityFrom { get; init; }
    public decimal? CvssScore { get; init; }

    /// <summary>What its evidence is measured by: an override that is lifted again afterwards must not have lowered it.</summary>
    public Severity Worst => Override is not null && ScanSeverity > Severity ? ScanSeverity : Severity;

    public required FindingStatus Status { get; init; }
    public required DateTimeOffset StatusSince { get; init; }

    /// <summary>Open again after it was fixed or verified.</summary>
    public bool Regression { get; init; }

    /// <summary>It stands at the safety gate, as far as this store has told the console.</summary>
    public bool Gate { get; init; }

    public double? Epss { get; init; }
    public bool Kev { get; init; }
    public SsvcDecision? Ssvc { get; init; }
    public Suppression? Suppression { get; init; }
    public required SlaClock Sla { get; init; }
    public string? Assignee { get; init; }
    public required byte[] AuditHash { get; init; }

    /// <summary>Somebody has to do something about it: not gone, not set aside.</summary>
    public bool IsLive => Status is FindingStatus.Open or FindingStatus.Triaged && Suppression is null;

    /// <summary>When it has to be looked at again, whatever happens: a suppression ends, an SLA warns or is breached.</summary>
    public DateTimeOffset? NextMoment => Earliest(Earliest(Suppression?.Until, Sla.NextWarning), Sla.NextBreach);

    private static DateTimeOffset? Earliest(DateTimeOffset? a, DateTimeOffset? b) => a is null || b < a ? b : a;
}

internal sealed record SeverityOverride(Severity Severity, string Reason);

/// <summary>
/// A finding's SLA clock. It runs while the finding is live; the time it stood is added to the deadline.
/// </summary>
/// <param name="Policy">Null: no SLA.</param>
/// <param name="From">When it was started: first seen, or open again.</param>
/// <param name="Paused">How long it stood, until it last ran again.</param>
/// <param name="PausedAt">Since when it stands; null while it runs.</param>
/// <param name="WarnAt">Null while it stands, and without a policy; so is <paramref name="DueAt"/>.</param>
internal sealed record SlaClock(
    string? Policy, DateTimeOffset From, TimeSpan Paused, DateTimeOffset? PausedAt, DateTimeOffset? WarnAt, DateTimeOffset? DueAt,
    DateTimeOffset? WarnedAt, DateTimeOffset? BreachedAt)
{
    public static SlaClock StartedAt(DateTimeOffset from) => new(null, from, TimeSpan.Zero, null, null, null, null, null);

    public DateTimeOffset? NextWarning => WarnedAt is null ? WarnAt : null;

    public DateTimeOffset? NextBreach => BreachedAt is null ? DueAt : null;
}

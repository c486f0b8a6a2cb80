using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Policies;
using static Wave16.VulnCenter.Contracts.FindingStatus;
using static Wave16.VulnCenter.Findings.FindingCommand;

namespace Wave16.VulnCenter.Findings;

/// <summary>What can happen to a finding after it was first seen.</summary>
internal abstract record FindingCommand
{
    /// <summary>Somebody looked: it is real.</summary>
    public sealed record Triage(string? Reason) : FindingCommand;

    public sealed record WithdrawTriage(string Reason) : FindingCommand;

    /// <summary>A person claims that it is fixed.</summary>
    public sealed record ClaimFix(string Reason) : FindingCommand;

    /// <summary>A complete scan of its scope no longer shows it.</summary>
    public sealed record GoneFromScan(Guid Scan) : FindingCommand;

    /// <param name="Proof">What the evidence turned out to be worth.</param>
    public sealed record Verify(Evidence Evidence, EvidenceProof Proof, string? Reason) : FindingCommand;

    /// <summary>A scan shows it (again).</summary>
    public sealed record SeenInScan(Guid Scan) : FindingCommand;

    /// <summary>A person found it to be there still.</summary>
    public sealed record ReportedAgain(string Reason) : FindingCommand;

    /// <summary>Sets it aside, whatever its status.</summary>
    public sealed record Suppress(SuppressionKind Kind, string Reason, DateTimeOffset Until) : FindingCommand;

    public sealed record LiftSuppression(string Reason) : FindingCommand;

    public sealed record OverrideSeverity(Severity Severity, string Reason) : FindingCommand;

    public sealed record RestoreSeverity(string Reason) : FindingCommand;

    /// <param name="Assignee">Null: nobody.</param>
    public sealed record Assign(string? Assignee) : FindingCommand;

    /// <summary>A moment that it was waiting for may have come.</summary>
    public sealed record ComeDue : FindingCommand;
}

/// <summary>What evidence for "gone" amounts to once it has been looked up.</summary>
internal enum EvidenceProof
{
    /// <summary>A complete scan of the same service by the same source, after the fix, without the finding.</summary>
    CleanScan,

    /// <summary>An artifact attached to the finding, named by its digest.</summary>
    Artifact,

    /// <summary>An artifact that can change behind its link.</summary>
    Link,

    /// <summary>Somebody's word.</summary>
    Note,

    /// <summary>None was named, and there is no scan that shows it.</summary>
    None,

    /// <summary>A scan that is unknown, partial, failed, too early, of something else, or that shows the finding.</summary>
    WorthlessScan,

    /// <summary>A digest of nothing that was attached to the finding since the fix.</summary>
    WorthlessArtifact,
}

internal abstract record FindingDecision
{
    /// <param name="Change">For history and audit: <c>finding.triaged</c>.</param>
    /// <param name="At">When it happened.</param>
    public sealed record Accepted(FindingState State, string Change, DateTimeOffset At, string? Reason = null, Guid? Scan = null, Evidence? Evidence = null) : FindingDecision;

    /// <summary>Nothing to do: the command states what is so already.</summary>
    public sealed record Unchanged : FindingDecision;

    public sealed record Rejected(string Code, string Detail) : FindingDecision;
}

/// <summary>The life of a finding: <c>open → triaged → fixed → verified</c>, and back to open when it is seen again.</summary>
internal static class FindingRules
{
    /// <summary>Nothing is set aside for longer.</summary>
    public static readonly TimeSpan MaxSuppression = TimeSpan.FromDays(366);

    /// <summary>The command's outcome, with all that follows from it by policy.</summary>
    public static FindingDecision Decide(FindingState f, FindingCommand command, FindingPolicies policies, DateTimeOffset now) =>
        Decide(f, command, now) switch
        {
            FindingDecision.Accepted accepted => accepted with { State = Settlement.Settle(f, accepted.State, policies, Effective(f, accepted, now)) },
            var other => other,
        };

    /// <summary>The whole state machine. A transition that is not here is refused.</summary>
    private static FindingDecision Decide(FindingState f, FindingCommand command, DateTimeOffset now) => (f.Status, command) switch
    {
        (Open, Triage c) => To(f, Triaged, now, "finding.triaged", c.Reason),
        (Open or Triaged, GoneFromScan c) => To(f, Fixed, now, "finding.gone-from-scan", reason: null, c.Scan),
        (Triaged, WithdrawTriage c) => To(f, Open, now, "finding.triage-withdrawn", c.Reason),
        (Triaged, ClaimFix c) => To(f, Fixed, now, "finding.fix-claimed", c.Reason),
        (Fixed, Verify c) when Suffices(f.Worst, c.Proof) => To(f, Verified, now, "finding.verified", c.Reason, c.Evidence.Scan, c.Evidence),
        (Fixed or Verified, SeenInScan c) => To(f, Open, now, "finding.seen-again", reason: null, c.Scan),
        (Fixed or Verified, ReportedAgain c) => To(f, Open, now, "finding.reported-again", c.Reason),

        (Open or Triaged, SeenInScan) or (Fixed or Verified, GoneFromScan) => new FindingDecision.Unchanged(),

        // Whatever its status.
        (_, Suppress c) when c.Until <= now || c.Until > now + MaxSuppression => new FindingDecision.Rejected(
            FindingProblems.SuppressionExpiry, $"A suppression ends between now and {MaxSuppression.TotalDays:0} days from now."),
        (_, Suppress c) => In(f with { Suppression = new Suppression(c.Kind, c.Reason, now, c.Until) }, now, "finding.suppressed", c.Reason),
        (_, LiftSuppression) when f.Suppression is null => new FindingDecision.Rejected(FindingProblems.NotSuppressed, "The finding is not suppressed."),
        (_, LiftSuppression c) => In(f with { Suppression = null }, now, "finding.suppression-lifted", c.Reason),
        (_, OverrideSeverity c) => In(f with { Override = new SeverityOverride(c.Severity, c.Reason) }, now, "finding.severity-overridden", c.Reason),
        (_, RestoreSeverity) when f.Override is null => new FindingDecision.Rejected(FindingProblems.NotOverridden, "The finding's severity is not overridden."),
        (_, RestoreSeverity c) => In(f with { Override = null }, now, "finding.severity-restored", c.Reason),
        (_, Assign c) => In(f with { Assignee = c.Assignee }, now, c.Assignee is null ? "finding.unassigned" : "finding.assigned", reason: null),
        (_, ComeDue) => WhatIsDue(f, now),

        (Fixed, Verify c) => new FindingDecision.Rejected(FindingProblems.EvidenceInsufficient, Insufficient(f.Worst, c.Proof)),
        (Verified, _) => new FindingDecision.Rejected(FindingProblems.Verified, "The finding is verified; it opens again only when it is seen again."),
        (var status, _) => new FindingDecision.Rejected(FindingProblems.InvalidTransition, $"A finding that is {Name(status)} cannot {Intent(command)}."),
    };

    /// <summary>The earliest moment that has come; those after it come in turn.</summary>
    private static FindingDecision WhatIsDue(FindingState f, DateTimeOffset now) => f.NextMoment switch
    {
        null => new FindingDecision.Unchanged(),
        var moment when moment > now => new FindingDecision.Unchanged(),
        var moment when moment == f.Suppression?.Until => In(f with { Suppression = null }, now, "finding.suppression-expired", f.Suppression.Reason),
        var moment when moment == f.Sla.NextWarning => In(f with { Sla = f.Sla with { WarnedAt = moment } }, now, "finding.sla-warned", reason: null),
        var moment => In(f with { Sla = f.Sla with { BreachedAt = moment } }, now, "finding.sla-breached", reason: null),
    };

    // A suppression ended when it ended, not when somebody got round to it: the clock runs from then.
    private static DateTimeOffset Effective(FindingState f, FindingDecision.Accepted accepted, DateTimeOffset now) =>
        accepted.Change == "finding.suppression-expired" && f.Suppression is { } ended && ended.Until < now ? ended.Until : now;

    /// <summary>Whether the evidence is enough to call a finding of this severity verified. From high on somebody's word or a changeable link is not.</summary>
    public static bool Suffices(Severity severity, EvidenceProof proof) => (severity, proof) switch
    {
        (_, EvidenceProof.WorthlessScan or EvidenceProof.WorthlessArtifact or EvidenceProof.None) => false,
        (_, EvidenceProof.CleanScan or EvidenceProof.Artifact) => true,
        ( >= Severity.High, _) => false,
        (Severity.Medium, EvidenceProof.Link) => true,
        (Severity.Medium, _) => false,
        _ => true,
    };

    private static FindingDecision.Accepted To(
        FindingState f, FindingStatus status, DateTimeOffset now, string change, string? reason, Guid? scan = null, Evidence? evidence = null) =>
        new(f with
        {
            Version = f.Version + 1,
            Status = status,
            StatusSince = now,
            Regression = status switch { Open => f.Regression || f.Status is Fixed or Verified, Verified => false, _ => f.Regression },
        }, change, now, reason, scan, evidence);

    private static FindingDecision.Accepted In(FindingState changed, DateTimeOffset now, string change, string? reason) =>
        new(changed with { Version = changed.Version + 1 }, change, now, reason);

    private static string Insufficient(Severity severity, EvidenceProof proof) => proof switch
    {
        EvidenceProof.WorthlessScan =>
            "The scan named as evidence must be a complete one of the same service by the same source, finished after the fix, that does not show the finding.",
        EvidenceProof.WorthlessArtifact =>
            "The digest named as evidence must be of an artifact that was attached to the finding after the fix: POST /findings/{id}/artifacts takes it.",
        EvidenceProof.None =>
            "No evidence is named, and no complete scan of its scope that began after the fix shows it to be gone.",
        _ when severity >= Severity.High => $"A {Name(severity)} finding needs a complete scan without it, or an artifact with its SHA-256.",
        _ => $"A {Name(severity)} finding needs a complete scan without it, or an artifact.",
    };

    private static string Intent(FindingCommand command) => command switch
    {
        Triage => "be triaged",
        WithdrawTriage => "have its triage withdrawn",
        ClaimFix => "be claimed fixed",
        Verify => "be verified",
        ReportedAgain => "be reported again",
        SeenInScan or GoneFromScan => "be changed by a scan",
        Suppress or LiftSuppression or OverrideSeverity or RestoreSeverity or Assign or ComeDue => "be refused that by its status",
        _ => throw new ArgumentOutOfRangeException(nameof(command)),
    };

    private static string Name<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();
}

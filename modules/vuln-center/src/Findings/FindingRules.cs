using Wave16.VulnCenter.Contracts;
using static Wave16.VulnCenter.Contracts.FindingStatus;
using static Wave16.VulnCenter.Findings.FindingCommand;

namespace Wave16.VulnCenter.Findings;

/// <summary>What the life cycle of a finding depends on.</summary>
internal sealed record FindingState
{
    public required string Tenant { get; init; }
    public required Guid Id { get; init; }
    public required long Version { get; init; }
    public required string Service { get; init; }
    public required string Source { get; init; }
    public required Severity Severity { get; init; }
    public required FindingStatus Status { get; init; }
    public required DateTimeOffset StatusSince { get; init; }

    /// <summary>Open again after it was fixed or verified.</summary>
    public required bool Regression { get; init; }

    /// <summary>It stands at the safety gate, as far as this store has told the console.</summary>
    public required bool Gate { get; init; }

    public required byte[] AuditHash { get; init; }
}

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

    /// <summary>A scan that is unknown, partial, failed, too early, of something else, or that shows the finding.</summary>
    WorthlessScan,

    /// <summary>A digest of nothing that is attached to the finding.</summary>
    WorthlessArtifact,
}

internal abstract record FindingDecision
{
    /// <param name="Change">For history and audit: <c>finding.triaged</c>.</param>
    public sealed record Accepted(FindingState State, string Change, string? Reason, Guid? Scan, Evidence? Evidence) : FindingDecision;

    /// <summary>Nothing to do: the command states what is so already.</summary>
    public sealed record Unchanged : FindingDecision;

    public sealed record Rejected(string Code, string Detail) : FindingDecision;
}

/// <summary>The life of a finding: <c>open → triaged → fixed → verified</c>, and back to open when it is seen again.</summary>
internal static class FindingRules
{
    /// <summary>The whole state machine. A transition that is not here is refused.</summary>
    public static FindingDecision Decide(FindingState f, FindingCommand command, DateTimeOffset now) => (f.Status, command) switch
    {
        (Open, Triage c) => To(f, Triaged, now, "finding.triaged", c.Reason),
        (Open or Triaged, GoneFromScan c) => To(f, Fixed, now, "finding.gone-from-scan", reason: null, c.Scan),
        (Triaged, WithdrawTriage c) => To(f, Open, now, "finding.triage-withdrawn", c.Reason),
        (Triaged, ClaimFix c) => To(f, Fixed, now, "finding.fix-claimed", c.Reason),
        (Fixed, Verify c) when Suffices(f.Severity, c.Proof) => To(f, Verified, now, "finding.verified", c.Reason, c.Evidence.Scan, c.Evidence),
        (Fixed or Verified, SeenInScan c) => To(f, Open, now, "finding.seen-again", reason: null, c.Scan),
        (Fixed or Verified, ReportedAgain c) => To(f, Open, now, "finding.reported-again", c.Reason),

        (Open or Triaged, SeenInScan) or (Fixed or Verified, GoneFromScan) => new FindingDecision.Unchanged(),

        (Fixed, Verify c) => new FindingDecision.Rejected(FindingProblems.EvidenceInsufficient, Insufficient(f.Severity, c.Proof)),
        (Verified, _) => new FindingDecision.Rejected(FindingProblems.Verified, "The finding is verified; it opens again only when it is seen again."),
        (var status, _) => new FindingDecision.Rejected(FindingProblems.InvalidTransition, $"A finding that is {Name(status)} cannot {Intent(command)}."),
    };

    /// <summary>Whether the evidence is enough to call a finding of this severity verified. From high on somebody's word or a changeable link is not.</summary>
    public static bool Suffices(Severity severity, EvidenceProof proof) => (severity, proof) switch
    {
        (_, EvidenceProof.WorthlessScan or EvidenceProof.WorthlessArtifact) => false,
        (_, EvidenceProof.CleanScan or EvidenceProof.Artifact) => true,
        ( >= Severity.High, _) => false,
        (Severity.Medium, EvidenceProof.Link) => true,
        (Severity.Medium, _) => false,
        _ => true,
    };

    /// <summary>Whether a finding in this state must stand at the safety gate.</summary>
    public static bool Surfaces(Severity severity, FindingStatus status) => (severity, status) is (Severity.Critical, Open or Triaged);

    private static FindingDecision.Accepted To(
        FindingState f, FindingStatus status, DateTimeOffset now, string change, string? reason, Guid? scan = null, Evidence? evidence = null) =>
        new(f with
        {
            Version = f.Version + 1,
            Status = status,
            StatusSince = now,
            Regression = status switch { Open => f.Regression || f.Status is Fixed or Verified, Verified => false, _ => f.Regression },
            Gate = Surfaces(f.Severity, status),
        }, change, reason, scan, evidence);

    private static string Insufficient(Severity severity, EvidenceProof proof) => proof switch
    {
        EvidenceProof.WorthlessScan =>
            "The scan named as evidence must be a complete one of the same service by the same source, finished after the fix, that does not show the finding.",
        EvidenceProof.WorthlessArtifact =>
            "The digest named as evidence must be of an artifact that is attached to the finding: POST /findings/{id}/artifacts takes it, or a reference to it.",
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
        _ => throw new ArgumentOutOfRangeException(nameof(command)),
    };

    private static string Name<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();
}

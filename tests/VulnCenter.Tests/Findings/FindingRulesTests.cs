using CsCheck;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Policies;
using static Wave16.VulnCenter.Contracts.FindingStatus;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class FindingRulesTests
{
    private static readonly DateTimeOffset Before = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);
    private static readonly Guid Scan = new("0198a000-0000-7000-8000-000000000001");

    private static readonly Dictionary<string, FindingCommand> Commands = new(StringComparer.Ordinal)
    {
        ["triage"] = new FindingCommand.Triage("looked at it"),
        ["withdraw-triage"] = new FindingCommand.WithdrawTriage("wrong component"),
        ["claim-fix"] = new FindingCommand.ClaimFix("upgraded"),
        ["gone-from-scan"] = new FindingCommand.GoneFromScan(Scan),
        ["verify"] = new FindingCommand.Verify(new Evidence(Scan, null, null, null), EvidenceProof.CleanScan, null),
        ["verify-with-worthless-scan"] = new FindingCommand.Verify(new Evidence(Scan, null, null, null), EvidenceProof.WorthlessScan, null),
        ["verify-with-worthless-artifact"] = new FindingCommand.Verify(new Evidence(null, new string('a', 64), null, null), EvidenceProof.WorthlessArtifact, null),
        ["seen-in-scan"] = new FindingCommand.SeenInScan(Scan),
        ["reported-again"] = new FindingCommand.ReportedAgain("still exploitable"),
        ["suppress"] = new FindingCommand.Suppress(SuppressionKind.RiskAccepted, "behind the proxy", Now.AddDays(30)),
        ["suppress-for-ever"] = new FindingCommand.Suppress(SuppressionKind.FalsePositive, "not our code", Now.AddDays(367)),
        ["lift-suppression"] = new FindingCommand.LiftSuppression("not behind it any more"),
        ["override-severity"] = new FindingCommand.OverrideSeverity(Severity.Low, "not reachable"),
        ["restore-severity"] = new FindingCommand.RestoreSeverity("reachable after all"),
        ["assign"] = new FindingCommand.Assign("team-shop"),
        ["come-due"] = new FindingCommand.ComeDue(),
    };

    /// <summary>Every (status, command) pair: the status it leads to, "unchanged", or the code it is refused with.</summary>
    public static TheoryData<FindingStatus, string, string> Table => new()
    {
        { Open, "triage", "triaged" },
        { Open, "withdraw-triage", "finding.invalid-transition" },
        { Open, "claim-fix", "finding.invalid-transition" },
        { Open, "gone-from-scan", "fixed" },
        { Open, "verify", "finding.invalid-transition" },
        { Open, "verify-with-worthless-scan", "finding.invalid-transition" },
        { Open, "verify-with-worthless-artifact", "finding.invalid-transition" },
        { Open, "seen-in-scan", "unchanged" },
        { Open, "reported-again", "finding.invalid-transition" },
        { Open, "suppress", "open" },
        { Open, "suppress-for-ever", "finding.suppression-expiry" },
        { Open, "lift-suppression", "finding.not-suppressed" },
        { Open, "override-severity", "open" },
        { Open, "restore-severity", "finding.severity-not-overridden" },
        { Open, "assign", "open" },
        { Open, "come-due", "unchanged" },

        { Triaged, "triage", "finding.invalid-transition" },
        { Triaged, "withdraw-triage", "open" },
        { Triaged, "claim-fix", "fixed" },
        { Triaged, "gone-from-scan", "fixed" },
        { Triaged, "verify", "finding.invalid-transition" },
        { Triaged, "verify-with-worthless-scan", "finding.invalid-transition" },
        { Triaged, "verify-with-worthless-artifact", "finding.invalid-transition" },
        { Triaged, "seen-in-scan", "unchanged" },
        { Triaged, "reported-again", "finding.invalid-transition" },
        { Triaged, "suppress", "triaged" },
        { Triaged, "suppress-for-ever", "finding.suppression-expiry" },
        { Triaged, "lift-suppression", "finding.not-suppressed" },
        { Triaged, "override-severity", "triaged" },
        { Triaged, "restore-severity", "finding.severity-not-overridden" },
        { Triaged, "assign", "triaged" },
        { Triaged, "come-due", "unchanged" },

        { Fixed, "triage", "finding.invalid-transition" },
        { Fixed, "withdraw-triage", "finding.invalid-transition" },
        { Fixed, "claim-fix", "finding.invalid-transition" },
        { Fixed, "gone-from-scan", "unchanged" },
        { Fixed, "verify", "verified" },
        { Fixed, "verify-with-worthless-scan", "finding.evidence-insufficient" },
        { Fixed, "verify-with-worthless-artifact", "finding.evidence-insufficient" },
        { Fixed, "seen-in-scan", "open" },
        { Fixed, "reported-again", "open" },
        { Fixed, "suppress", "fixed" },
        { Fixed, "suppress-for-ever", "finding.suppression-expiry" },
        { Fixed, "lift-suppression", "finding.not-suppressed" },
        { Fixed, "override-severity", "fixed" },
        { Fixed, "restore-severity", "finding.severity-not-overridden" },
        { Fixed, "assign", "fixed" },
        { Fixed, "come-due", "unchanged" },

        { Verified, "triage", "finding.verified" },
        { Verified, "withdraw-triage", "finding.verified" },
        { Verified, "claim-fix", "finding.verified" },
        { Verified, "gone-from-scan", "unchanged" },
        { Verified, "verify", "finding.verified" },
        { Verified, "verify-with-worthless-scan", "finding.verified" },
        { Verified, "verify-with-worthless-artifact", "finding.verified" },
        { Verified, "seen-in-scan", "open" },
        { Verified, "reported-again", "open" },
        { Verified, "suppress", "verified" },
        { Verified, "suppress-for-ever", "finding.suppression-expiry" },
        { Verified, "lift-suppression", "finding.not-suppressed" },
        { Verified, "override-severity", "verified" },
        { Verified, "restore-severity", "finding.severity-not-overridden" },
        { Verified, "assign", "verified" },
        { Verified, "come-due", "unchanged" },
    };

    [Theory, MemberData(nameof(Table))]
    public void Every_status_answers_every_command_as_the_table_says(FindingStatus status, string command, string expected)
    {
        var outcome = FindingRules.Decide(Finding(status), Commands[command], FindingPolicies.None, Now) switch
        {
            FindingDecision.Accepted accepted => accepted.State.Status.ToString().ToLowerInvariant(),
            FindingDecision.Rejected rejected => rejected.Code,
            _ => "unchanged",
        };
        Assert.Equal(expected, outcome);
    }

    [Fact]
    public void The_table_has_a_row_for_every_pair()
    {
        var rows = Table.Select(row => (row.Data.Item1, row.Data.Item2)).ToHashSet();
        Assert.Equal(Enum.GetValues<FindingStatus>().Length * Commands.Count, rows.Count);
        Assert.Equal(Commands.Values.Select(command => command.GetType()).ToHashSet(), typeof(FindingCommand).GetNestedTypes().ToHashSet());
    }

    [Fact]
    public void A_finding_seen_again_after_it_was_fixed_is_a_regression_until_it_is_verified()
    {
        var reopened = Accept(Finding(Fixed), Commands["seen-in-scan"]);
        var triaged = Accept(reopened, Commands["triage"]);
        var verified = Accept(Accept(triaged, Commands["claim-fix"]), Commands["verify"]);
        Assert.Equal((true, true, false), (reopened.Regression, triaged.Regression, verified.Regression));
    }

    [Fact]
    public void Withdrawing_a_triage_is_no_regression() => Assert.False(Accept(Finding(Triaged), Commands["withdraw-triage"]).Regression);

    [Theory]
    [InlineData(Severity.Critical, nameof(EvidenceProof.Note), false)]
    [InlineData(Severity.Critical, nameof(EvidenceProof.Link), false)]
    [InlineData(Severity.Critical, nameof(EvidenceProof.Artifact), true)]
    [InlineData(Severity.High, nameof(EvidenceProof.Link), false)]
    [InlineData(Severity.High, nameof(EvidenceProof.CleanScan), true)]
    [InlineData(Severity.Medium, nameof(EvidenceProof.Note), false)]
    [InlineData(Severity.Medium, nameof(EvidenceProof.Link), true)]
    [InlineData(Severity.Low, nameof(EvidenceProof.Note), true)]
    [InlineData(Severity.Info, nameof(EvidenceProof.Note), true)]
    [InlineData(Severity.Low, nameof(EvidenceProof.WorthlessScan), false)]
    [InlineData(Severity.Info, nameof(EvidenceProof.WorthlessArtifact), false)]
    [InlineData(Severity.Low, nameof(EvidenceProof.None), false)]
    public void The_evidence_that_verifies_depends_on_the_severity(Severity severity, string proof, bool enough)
    {
        var decision = FindingRules.Decide(Finding(Fixed) with { Severity = severity }, new FindingCommand.Verify(new Evidence(null, null, null, "n"), Enum.Parse<EvidenceProof>(proof), null), FindingPolicies.None, Now);
        Assert.Equal(enough, decision is FindingDecision.Accepted);
    }

    [Fact]
    public void Only_a_critical_that_is_open_or_triaged_and_not_suppressed_stands_at_the_gate()
    {
        var suppression = new Suppression(SuppressionKind.RiskAccepted, "accepted", Before, Now.AddDays(1));
        foreach (var severity in Enum.GetValues<Severity>())
        {
            foreach (var status in Enum.GetValues<FindingStatus>())
            {
                var expected = (severity, status) is (Severity.Critical, Open) or (Severity.Critical, Triaged);
                Assert.Equal(expected, Settled(Finding(status, severity)).Gate);
                Assert.False(Settled(Finding(status, severity) with { Suppression = suppression }).Gate);
            }
        }
    }

    [Fact]
    public void Along_any_sequence_of_commands_the_version_counts_the_changes_and_the_gate_follows_the_state()
    {
        var command = Gen.Int[0, Commands.Count - 1].Select(Commands.Values.ElementAt);
        Gen.Select(Gen.Enum<Severity>(), command.List[0, 30]).Sample((severity, commands) =>
        {
            var finding = Settled(Finding(Open, severity));
            foreach (var next in commands)
            {
                switch (FindingRules.Decide(finding, next, FindingPolicies.None, Now))
                {
                    case FindingDecision.Accepted accepted:
                        Assert.Equal(finding.Version + 1, accepted.State.Version);
                        Assert.Equal(accepted.State.Status == finding.Status ? finding.StatusSince : Now, accepted.State.StatusSince);
                        Assert.Equal(accepted.State is { Severity: Severity.Critical, IsLive: true }, accepted.State.Gate);
                        finding = accepted.State;
                        break;
                }
            }
        });
    }

    private static FindingState Accept(FindingState finding, FindingCommand command) =>
        Assert.IsType<FindingDecision.Accepted>(FindingRules.Decide(finding, command, FindingPolicies.None, Now)).State;

    private static FindingState Settled(FindingState finding) => Settlement.Settle(finding, finding, FindingPolicies.None, Now);

    private static FindingState Finding(FindingStatus status, Severity severity = Severity.Critical) => new()
    {
        Tenant = "acme",
        Id = new Guid("0198a000-0000-7000-8000-00000000000f"),
        Version = 3,
        Service = "shop-api",
        Source = "trivy",
        Title = "title",
        ScanSeverity = severity,
        ScanSeverityFrom = "source",
        Severity = severity,
        SeverityFrom = "source",
        Status = status,
        StatusSince = Before,
        Gate = severity == Severity.Critical && status is Open or Triaged,
        Sla = SlaClock.StartedAt(Before),
        AuditHash = new byte[32],
    };
}

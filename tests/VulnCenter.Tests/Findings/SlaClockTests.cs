using CsCheck;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Policies;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class SlaClockTests
{
    private static readonly DateTimeOffset Start = new(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly FindingPolicies Default = With(BuiltInPolicies.All[0]);

    [Theory]
    [InlineData(Severity.Critical, 7)]
    [InlineData(Severity.High, 30)]
    [InlineData(Severity.Medium, 90)]
    public void The_deadline_is_the_policys_days_after_the_finding_was_first_seen(Severity severity, int days)
    {
        var finding = New(severity);
        Assert.Equal(("default", Start.AddDays(days), Start + (TimeSpan.FromDays(days) * 0.8)), (finding.Sla.Policy, finding.Sla.DueAt, finding.Sla.WarnAt));
    }

    [Theory]
    [InlineData(Severity.Low)]
    [InlineData(Severity.Unknown)]
    public void Where_no_rule_fits_there_is_no_SLA_and_never_a_breach(Severity severity)
    {
        var finding = New(severity);
        Assert.Equal((null, null, null), (finding.Sla.Policy, finding.Sla.DueAt, finding.NextMoment));
        Assert.IsType<FindingDecision.Unchanged>(FindingRules.Decide(finding, new FindingCommand.ComeDue(), Default, Start.AddYears(1)));
    }

    [Fact]
    public void The_warning_comes_first_and_then_the_breach_each_at_its_time_also_when_both_are_overdue()
    {
        var late = Start.AddDays(100);
        var warned = Do(New(Severity.Critical), new FindingCommand.ComeDue(), late);
        var breached = Do(warned, new FindingCommand.ComeDue(), late);
        Assert.Equal((Start.AddDays(5).AddHours(14).AddMinutes(24), null), (warned.Sla.WarnedAt, warned.Sla.BreachedAt));
        Assert.Equal((Start.AddDays(7), null), (breached.Sla.BreachedAt, breached.NextMoment));
        Assert.IsType<FindingDecision.Unchanged>(FindingRules.Decide(breached, new FindingCommand.ComeDue(), Default, late));
    }

    [Fact]
    public void The_clock_stands_while_the_finding_is_suppressed()
    {
        var suppressed = Do(New(Severity.Critical), Suppress(until: Start.AddDays(22)), Start.AddDays(2));
        Assert.Equal((null, Start.AddDays(2)), (suppressed.Sla.DueAt, suppressed.Sla.PausedAt));
        var lifted = Do(suppressed, new FindingCommand.LiftSuppression("no longer"), Start.AddDays(12));
        Assert.Equal((Start.AddDays(17), TimeSpan.FromDays(10)), (lifted.Sla.DueAt, lifted.Sla.Paused));
    }

    [Fact]
    public void A_suppression_that_ends_while_nobody_is_there_ends_when_it_ends()
    {
        var suppressed = Do(New(Severity.Critical), Suppress(until: Start.AddDays(22)), Start.AddDays(2));
        var after = Do(suppressed, new FindingCommand.ComeDue(), Start.AddDays(60));
        Assert.Equal((null, Start.AddDays(27)), (after.Suppression, after.Sla.DueAt));
        Assert.True(after.Gate);
        Assert.Equal(Start.AddDays(27), Do(Do(after, new FindingCommand.ComeDue(), Start.AddDays(60)), new FindingCommand.ComeDue(), Start.AddDays(60)).Sla.BreachedAt);
    }

    [Fact]
    public void Another_severity_moves_the_deadline_and_does_not_restart_the_clock()
    {
        var lowered = Do(New(Severity.Critical), new FindingCommand.OverrideSeverity(Severity.High, "internal only"), Start.AddDays(5));
        Assert.Equal((Start, Start.AddDays(30)), (lowered.Sla.From, lowered.Sla.DueAt));
        var restored = Do(lowered, new FindingCommand.RestoreSeverity("it is not"), Start.AddDays(10));
        Assert.Equal((Start.AddDays(7), Start.AddDays(5).AddHours(14).AddMinutes(24)), (restored.Sla.DueAt, restored.NextMoment));
    }

    [Fact]
    public void A_deadline_that_has_moved_away_is_no_longer_breached()
    {
        var breached = Do(Do(New(Severity.Critical), new FindingCommand.ComeDue(), Start.AddDays(8)), new FindingCommand.ComeDue(), Start.AddDays(8));
        Assert.NotNull(breached.Sla.BreachedAt);
        var lowered = Do(breached, new FindingCommand.OverrideSeverity(Severity.High, "internal only"), Start.AddDays(9));
        Assert.Equal((null, null), (lowered.Sla.BreachedAt, lowered.Sla.WarnedAt));
    }

    [Fact]
    public void What_ran_out_before_it_was_fixed_was_breached_even_if_nobody_had_been_told()
    {
        var fixedLate = Do(New(Severity.Critical), new FindingCommand.GoneFromScan(Guid.Empty), Start.AddDays(9));
        var fixedInTime = Do(New(Severity.Critical), new FindingCommand.GoneFromScan(Guid.Empty), Start.AddDays(6));
        Assert.Equal((Start.AddDays(7), null), (fixedLate.Sla.BreachedAt, fixedInTime.Sla.BreachedAt));
        Assert.Equal((null, null), (fixedLate.NextMoment, fixedInTime.NextMoment));
    }

    [Theory]
    [InlineData(OnRegression.Restart, 57)]
    [InlineData(OnRegression.Continue, 53)]
    public void A_regression_restarts_the_clock_or_continues_it_as_the_policy_says(OnRegression onRegression, int due)
    {
        var policies = With(BuiltInPolicies.All[0] with { OnRegression = onRegression });
        var gone = Do(New(Severity.Critical), new FindingCommand.GoneFromScan(Guid.Empty), Start.AddDays(4), policies);
        var again = Do(gone, new FindingCommand.SeenInScan(Guid.Empty), Start.AddDays(50), policies);
        Assert.Equal(Start.AddDays(due), again.Sla.DueAt);
    }

    [Fact]
    public void Rules_are_asked_in_order_and_may_look_at_KEV_and_SSVC()
    {
        var cisa = With(BuiltInPolicies.All[1]);
        var known = Settlement.Settle(null, New(Severity.Medium) with { Kev = true }, cisa, Start);
        var unknown = Settlement.Settle(null, New(Severity.Medium), cisa, Start);
        Assert.Equal((Start.AddDays(14), null), (known.Sla.DueAt, unknown.Sla.DueAt));
    }

    [Fact]
    public void Settling_again_at_the_same_moment_changes_nothing()
    {
        FindingCommand[] commands =
        [
            new FindingCommand.ComeDue(), new FindingCommand.Triage(null), new FindingCommand.GoneFromScan(Guid.Empty), new FindingCommand.SeenInScan(Guid.Empty),
            Suppress(Start.AddDays(40)), new FindingCommand.LiftSuppression("x"), new FindingCommand.OverrideSeverity(Severity.Medium, "x"), new FindingCommand.RestoreSeverity("x"),
        ];
        Gen.Select(Gen.Int[0, commands.Length - 1].Select(i => commands[i]), Gen.Int[1, 40]).List[0, 12].Sample(steps =>
        {
            var (finding, now) = (New(Severity.Critical), Start);
            foreach (var (next, hours) in steps)
            {
                now += TimeSpan.FromHours(hours);
                if (FindingRules.Decide(finding, next, Default, now) is FindingDecision.Accepted accepted)
                {
                    Assert.Equal(accepted.State, Settlement.Settle(accepted.State, accepted.State, Default, now));
                    finding = accepted.State;
                }
            }
        });
    }

    private static FindingCommand.Suppress Suppress(DateTimeOffset until) => new(SuppressionKind.RiskAccepted, "behind the proxy", until);

    private static FindingPolicies With(SlaPolicy policy) => FindingPolicies.None with { Sla = policy };

    private static FindingState Do(FindingState finding, FindingCommand command, DateTimeOffset now, FindingPolicies? policies = null) =>
        Assert.IsType<FindingDecision.Accepted>(FindingRules.Decide(finding, command, policies ?? Default, now)).State;

    private static FindingState New(Severity severity) => Settlement.Settle(null, new FindingState
    {
        Tenant = "acme",
        Id = new Guid("0198a000-0000-7000-8000-00000000000f"),
        Version = 1,
        Service = "shop-api",
        Source = "trivy",
        Title = "title",
        ScanSeverity = severity,
        ScanSeverityFrom = "source",
        Severity = severity,
        SeverityFrom = "source",
        Status = FindingStatus.Open,
        StatusSince = Start,
        Sla = SlaClock.StartedAt(Start),
        AuditHash = new byte[32],
    }, Default, Start);
}

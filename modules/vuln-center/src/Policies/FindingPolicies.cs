using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Policies;

/// <summary>What the tenant's policies and the service's profile say about the findings of one service.</summary>
/// <param name="Sla">Null: no SLA.</param>
/// <param name="Mission">The service's mission and well-being impact; null: nobody said.</param>
/// <param name="CvssEnvironment">The service's environmental metrics.</param>
/// <param name="Edition">Differs when any of it has been changed: <see cref="PolicyStore.Edition"/>.</param>
internal sealed record FindingPolicies(SlaPolicy? Sla, GatePolicy Gate, MissionImpact? Mission, CvssEnvironment? CvssEnvironment, string Edition)
{
    public static FindingPolicies None { get; } = new(null, GatePolicy.Default, null, null, "0/0/0");
}

/// <summary>Deciding by policy; the policies themselves are data.</summary>
internal static class PolicyRules
{
    /// <summary>How long the finding may stay; null when no rule speaks of it, which means no SLA. The first rule that fits counts.</summary>
    public static TimeSpan? AllowedFor(this SlaPolicy policy, FindingState finding) =>
        policy.Rules.FirstOrDefault(rule => rule.Fits(finding)) is { } fitting ? TimeSpan.FromDays(fitting.Days) : null;

    /// <summary>A critical finding that is live stands at the gate, always; the policy can add others.</summary>
    public static bool Surfaces(this GatePolicy policy, FindingState finding) => finding.IsLive && (
        finding.Severity == Severity.Critical
        || (finding.Severity >= policy.AtLeast && (
            (policy.Kev && finding.Kev)
            || finding.Epss >= policy.Epss
            || (finding.Ssvc is { } decision && policy.Ssvc.Contains(decision)))));

    private static bool Fits(this SlaRule rule, FindingState finding) =>
        (rule.Severity is null || rule.Severity.Contains(finding.Severity))
        && (rule.Kev is null || rule.Kev == finding.Kev)
        && (rule.Ssvc is null || (finding.Ssvc is { } decision && rule.Ssvc.Contains(decision)));
}

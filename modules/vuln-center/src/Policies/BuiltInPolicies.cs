using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Policies;

/// <summary>The SLA policies that exist without anybody defining them.</summary>
internal static class BuiltInPolicies
{
    /// <summary>What a tenant has until it says something else.</summary>
    public static SlaPolicies Initial { get; } = new(DefaultName);

    private const string DefaultName = "default";

    public static IReadOnlyList<SlaPolicy> All { get; } =
    [
        new(DefaultName, [new(7, [Severity.Critical]), new(30, [Severity.High]), new(90, [Severity.Medium])]),

        // CISA BOD 22-01: two weeks for what is known to be exploited; BOD 19-02: 15 days for critical, 30 for high.
        new("cisa-bod", [new(14, Kev: true), new(15, [Severity.Critical]), new(30, [Severity.High])]),

        // CISA's SSVC guide says how urgent, not how many days: Act is BOD 22-01's two weeks, Attend BOD 19-02's 30 days,
        // Track* and Track are the default's for medium, once and twice.
        new("cisa-ssvc", [new(14, Ssvc: [SsvcDecision.Act]), new(30, Ssvc: [SsvcDecision.Attend]), new(90, Ssvc: [SsvcDecision.TrackStar]), new(180, Ssvc: [SsvcDecision.Track])]),
    ];

    /// <summary>The policy of a service of this tier; null: no SLA.</summary>
    public static SlaPolicy? For(this SlaPolicies policies, string? tier)
    {
        var name = tier is not null && policies.Tiers?.GetValueOrDefault(tier) is { } own ? own : policies.Default;
        return name is null ? null : (policies.Policies ?? []).Concat(All).FirstOrDefault(policy => policy.Name == name);
    }
}

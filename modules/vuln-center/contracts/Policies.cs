using System.Text.Json.Serialization;

namespace Wave16.VulnCenter.Contracts;

/// <summary>How long findings may stay. The first rule that fits a finding counts; where none fits there is no SLA.</summary>
/// <param name="Name">Referred to by <see cref="SlaPolicies.Default"/> and <see cref="SlaPolicies.Tiers"/>.</param>
/// <param name="WarnAfter">Fraction of the time allowed after which a warning is given, 0 to 1.</param>
/// <param name="OnRegression">What happens to the clock of a finding that is seen again after its fix.</param>
public sealed record SlaPolicy(string Name, IReadOnlyList<SlaRule> Rules, double WarnAfter = 0.8, OnRegression OnRegression = OnRegression.Restart);

/// <param name="Days">Allowed, more than 0, fractions too.</param>
/// <param name="Severity">Any of these; null: whatever it is. So with the others.</param>
public sealed record SlaRule(double Days, IReadOnlyList<Severity>? Severity = null, bool? Kev = null, IReadOnlyList<SsvcDecision>? Ssvc = null);

/// <summary>Numbers are stored in the database, so only append.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<OnRegression>))]
public enum OnRegression
{
    /// <summary>The whole time again.</summary>
    Restart = 1,

    /// <summary>What was left of it when it was fixed.</summary>
    Continue = 2,
}

/// <summary>Body of <c>PUT /findings/policies/sla</c>.</summary>
/// <param name="Default">Name of the policy of services without a tier, or with one that is not in <paramref name="Tiers"/>; null: no SLA.</param>
/// <param name="Tiers">Service tier to policy name.</param>
/// <param name="Policies">The tenant's own; <c>default</c>, <c>cisa-bod</c> and <c>cisa-ssvc</c> exist without being defined.</param>
public sealed record SlaPolicies(string? Default, IReadOnlyDictionary<string, string>? Tiers = null, IReadOnlyList<SlaPolicy>? Policies = null);

/// <summary>
/// Body of <c>PUT /findings/policies/gate</c>: which live findings stand at safety-console's gate besides the critical ones,
/// which always do.
/// </summary>
/// <param name="AtLeast">Of this severity or worse, and one of the following.</param>
/// <param name="Kev">Known to be exploited.</param>
/// <param name="Epss">Of at least this probability, 0 to 1.</param>
/// <param name="Ssvc">With one of these decisions.</param>
public sealed record GatePolicy(Severity AtLeast, bool Kev, double? Epss, IReadOnlyList<SsvcDecision> Ssvc)
{
    /// <summary>Critical findings and no others.</summary>
    public static GatePolicy Default { get; } = new(Severity.High, Kev: false, Epss: null, []);
}

/// <summary>A policy as it is kept: every version is.</summary>
/// <param name="Version">0: never changed, the built-in one.</param>
public sealed record PolicyView<T>(long Version, T Policy, DateTimeOffset? At, string? Actor, Recomputation? Recomputation);

/// <summary>The findings being judged anew after a policy, a feed or a service changed. <c>GET /findings/recomputations/{id}</c>.</summary>
/// <param name="State"><c>queued</c>, <c>running</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</param>
/// <param name="Seen">Findings looked at so far.</param>
/// <param name="Changed">Of these, the ones whose severity, gate, decision or deadline changed.</param>
public sealed record Recomputation(Guid Id, string State, string? Why, long Seen, long Changed, string? Problem);

/// <summary>SSVC's "mission and well-being impact" of a service. Numbers are stored, so only append.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<MissionImpact>))]
public enum MissionImpact
{
    Low = 1,
    Medium = 2,
    High = 3,
}

/// <summary>Body of <c>PUT /findings/services/{service}</c>: what is known of a service.</summary>
/// <param name="Tier">Picks the SLA policy.</param>
/// <param name="Repository">Where its code is, an absolute address; the findings' code links begin with it.</param>
/// <param name="Mission">Without it there is no SSVC decision.</param>
/// <param name="CvssEnvironment">Environmental metrics by CVSS version: <c>{"3.1": "CR:H/MAV:A", "4.0": "CR:H"}</c>.</param>
public sealed record ServiceProfile(
    string? Tier = null, string? Owner = null, string? Repository = null, MissionImpact? Mission = null, IReadOnlyDictionary<string, string>? CvssEnvironment = null);

/// <summary>A service's profile as it is kept.</summary>
public sealed record ServiceView(string Service, long Version, ServiceProfile Profile, Recomputation? Recomputation);

using System.Text.Json.Serialization;

namespace Wave16.VulnCenter.Contracts;

/// <summary>Whether the vulnerability is being exploited.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<Exploitation>))]
public enum Exploitation
{
    None = 1,

    /// <summary>A proof of concept is public.</summary>
    Poc = 2,

    Active = 3,
}

/// <summary>What an attacker gains over the vulnerable component.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<TechnicalImpact>))]
public enum TechnicalImpact
{
    Partial = 1,
    Total = 2,
}

/// <summary>What depends on the service: its mission, and people's well-being.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<MissionImpact>))]
public enum MissionImpact
{
    Low = 1,
    Medium = 2,
    High = 3,
}

/// <summary>Ordered: a greater value is more urgent.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<SsvcDecision>))]
public enum SsvcDecision
{
    Track = 1,

    /// <summary>Track, and watch closely for changes.</summary>
    [JsonStringEnumMemberName("track*")]
    TrackClosely = 2,

    Attend = 3,
    Act = 4,
}

/// <summary>A row of the decision table.</summary>
public sealed record SsvcRow(Exploitation Exploitation, bool Automatable, TechnicalImpact TechnicalImpact, MissionImpact MissionImpact, SsvcDecision Decision);

/// <summary>The decision table in use: <c>GET /findings/ssvc</c>.</summary>
public sealed record SsvcTable(string Name, string Version, IReadOnlyList<SsvcRow> Rows);

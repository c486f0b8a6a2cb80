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

/// <summary>A row of the decision table.</summary>
public sealed record SsvcRow(Exploitation Exploitation, bool Automatable, TechnicalImpact TechnicalImpact, MissionImpact MissionImpact, SsvcDecision Decision);

/// <summary>The decision table in use: <c>GET /findings/ssvc</c>.</summary>
public sealed record SsvcTable(string Name, string Version, IReadOnlyList<SsvcRow> Rows);

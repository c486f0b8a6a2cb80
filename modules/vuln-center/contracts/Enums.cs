using System.Text.Json.Serialization;

namespace Wave16.VulnCenter.Contracts;

/// <summary>Stored and sent by name; numbers are stored in the database, so only append.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<FindingStatus>))]
public enum FindingStatus
{
    /// <summary>Seen, nobody has looked yet, or seen again after it was fixed.</summary>
    Open = 1,

    /// <summary>Somebody looked and it is real.</summary>
    Triaged = 2,

    /// <summary>Claimed to be gone, by a person or because a complete scan no longer shows it.</summary>
    Fixed = 3,

    /// <summary>Shown to be gone, by a later complete scan or an artifact.</summary>
    Verified = 4,
}

/// <summary>Ordered: a greater value is worse.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<Severity>))]
public enum Severity
{
    /// <summary>The scanner said nothing usable.</summary>
    Unknown = 0,

    /// <summary>The scanner said that there is no severity.</summary>
    None = 1,
    Info = 2,
    Low = 3,
    Medium = 4,
    High = 5,
    Critical = 6,
}

/// <summary>What kind of problem it is; it decides which fields identify it.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<FindingKind>))]
public enum FindingKind
{
    /// <summary>A known vulnerability of a component (software composition analysis).</summary>
    Sca = 1,

    /// <summary>A weakness in source code (static analysis).</summary>
    Sast = 2,

    /// <summary>A weakness seen from outside (dynamic analysis).</summary>
    Dast = 3,

    /// <summary>A credential where it should not be.</summary>
    Secret = 4,

    /// <summary>A misconfiguration.</summary>
    Config = 5,

    /// <summary>A licence that policy does not allow.</summary>
    License = 6,
}

/// <summary>What became of one raw result of a report, at its import or later.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<Outcome>))]
public enum Outcome
{
    New = 1,
    Matched = 2,
    Reopened = 3,
    Rejected = 4,

    /// <summary>Rules changed: its finding is no longer recognised by it.</summary>
    Released = 5,

    /// <summary>Somebody split it from its finding; it is the first of another one.</summary>
    Unmerged = 6,
}

/// <summary>What a scan says about what it does not show.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<ScanScope>))]
public enum ScanScope
{
    /// <summary>Nothing.</summary>
    Partial = 1,

    /// <summary>All of the service was scanned by this source; what is missing here is gone.</summary>
    Complete = 2,
}

/// <summary>Why a finding is set aside for a time; its status stays as it is.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<SuppressionKind>))]
public enum SuppressionKind
{
    /// <summary>The source is wrong.</summary>
    FalsePositive = 1,

    /// <summary>It is real, and somebody answers for living with it until a date.</summary>
    RiskAccepted = 2,
}

/// <summary>What CISA's SSVC table says to do. Ordered: a greater value is more urgent.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<SsvcDecision>))]
public enum SsvcDecision
{
    Track = 1,

    /// <summary>Track*, in the table's spelling.</summary>
    TrackStar = 2,
    Attend = 3,
    Act = 4,
}

/// <summary>Where a finding's deadline stands.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<SlaState>))]
public enum SlaState
{
    /// <summary>No policy gives it a deadline.</summary>
    None = 1,
    Running = 2,

    /// <summary>The warning has been given.</summary>
    Warned = 3,
    Breached = 4,

    /// <summary>Suppressed: the clock stands.</summary>
    Paused = 5,

    /// <summary>Fixed in time.</summary>
    Met = 6,

    /// <summary>Fixed after the deadline.</summary>
    Missed = 7,
}

/// <summary>Enums travel as <c>kebab-case</c> names; a number or an unknown name is refused.</summary>
public sealed class KebabCaseEnumConverter<T>() : JsonStringEnumConverter<T>(System.Text.Json.JsonNamingPolicy.KebabCaseLower, allowIntegerValues: false)
    where T : struct, Enum;

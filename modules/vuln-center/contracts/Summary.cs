namespace Wave16.VulnCenter.Contracts;

/// <summary>The backlog at a glance. "Open" is what is open or triaged and not suppressed; days are of UTC.</summary>
/// <param name="At">When it was counted.</param>
/// <param name="Service">Null for all services.</param>
/// <param name="KnownExploited">Open and in CISA's catalog.</param>
/// <param name="Suppressed">Open or triaged, but set aside.</param>
/// <param name="ServiceCount">Services with open findings.</param>
/// <param name="Services">Those with open findings, worst first: by their criticals, then highs and so on; at most 500.</param>
/// <param name="Aging">Open findings by days since they were first seen: 0-7, 8-30, 31-90, 90+.</param>
/// <param name="TimeToFix">Of what was closed in the last 90 days; severities without any are left out.</param>
/// <param name="Weeks">The last 13, oldest first; each from Monday, the last one is under way.</param>
/// <param name="Sla">Findings by where their deadline stands: the open or triaged ones, suppressed ones included, and under met and missed the closed ones.</param>
/// <param name="Movers">Services by how far closing fell behind opening in the last four weeks: the ten that grew most and the ten that shrank most, most grown first.</param>
public sealed record FindingSummary(
    DateTimeOffset At,
    string? Service,
    long Open,
    long KnownExploited,
    long Suppressed,
    IReadOnlyDictionary<string, long> BySeverity,
    int ServiceCount,
    IReadOnlyList<ServiceBacklog> Services,
    IReadOnlyList<AgeBucket> Aging,
    IReadOnlyList<TimeToFix> TimeToFix,
    IReadOnlyList<WeekFlow> Weeks,
    IReadOnlyDictionary<string, long> Sla,
    IReadOnlyList<ServiceMove> Movers);

/// <summary>A service's open findings.</summary>
public sealed record ServiceBacklog(string Service, long Open, IReadOnlyDictionary<string, long> BySeverity);

/// <param name="Days">As in <c>8-30</c>.</param>
public sealed record AgeBucket(string Days, long Open, IReadOnlyDictionary<string, long> BySeverity);

/// <summary>How long findings stood open until they were fixed, on average.</summary>
/// <param name="Days">Each time from when it opened, or opened again, to when it was fixed.</param>
public sealed record TimeToFix(Severity Severity, long Closed, double Days);

/// <summary>What came and went in a week.</summary>
/// <param name="Week">Its Monday.</param>
/// <param name="Opened">Seen for the first time.</param>
/// <param name="Reopened">Open again after it was fixed or verified.</param>
/// <param name="Closed">Fixed.</param>
public sealed record WeekFlow(DateOnly Week, long Opened, long Reopened, long Closed);

/// <param name="Opened">Reopened ones included.</param>
public sealed record ServiceMove(string Service, long Opened, long Closed);

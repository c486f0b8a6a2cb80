namespace Wave16.VulnCenter.Contracts;

/// <summary>CloudEvents types of this module. Data are the records beside them; ids only, no titles, no personal data.</summary>
public static class VulnCenterEvents
{
    public const string StatusChanged = "wave16.vuln-center.finding-status-changed.v1";
    public const string SeverityChanged = "wave16.vuln-center.finding-severity-changed.v1";
    public const string SuppressionChanged = "wave16.vuln-center.finding-suppression-changed.v1";
    public const string SlaWarned = "wave16.vuln-center.finding-sla-warned.v1";
    public const string SlaBreached = "wave16.vuln-center.finding-sla-breached.v1";
    public const string GateRaised = "wave16.vuln-center.gate-raised.v1";
    public const string GateWithdrawn = "wave16.vuln-center.gate-withdrawn.v1";
    public const string ScanImported = "wave16.vuln-center.scan-imported.v1";
    public const string TicketRequested = "wave16.vuln-center.ticket-requested.v1";
}

/// <summary>Full state after the change, so that a late event may be dropped when a later version is known.</summary>
public sealed record FindingStatusChanged(Guid Finding, string Service, string Source, FindingStatus? From, FindingStatus To, Severity Severity, bool Regression, Guid? Scan);

/// <param name="From">What decided: <c>override</c>, <c>cvss-4.0</c>, <c>source</c> …</param>
public sealed record FindingSeverityChanged(Guid Finding, string Service, string Source, Severity Before, Severity After, string From);

/// <param name="Kind">Null: it is not suppressed any more.</param>
public sealed record FindingSuppressionChanged(Guid Finding, string Service, string Source, SuppressionKind? Kind, DateTimeOffset? Until);

/// <summary>Most of the time a policy allows has gone by.</summary>
public sealed record FindingSlaWarned(Guid Finding, string Service, string Source, Severity Severity, string Policy, DateTimeOffset Due);

/// <param name="Due">The deadline that has passed.</param>
public sealed record FindingSlaBreached(Guid Finding, string Service, string Source, Severity Severity, string Policy, DateTimeOffset Due);

/// <summary>A critical finding that is open or triaged and not suppressed, or one the gate policy adds.</summary>
/// <param name="Key"><c>vuln:{service}:{finding}</c>.</param>
public sealed record GateRaised(string Key, Guid Finding, string Service, Severity Severity, DateTimeOffset Since);

/// <param name="Why"><c>fixed</c>, <c>verified</c>, <c>suppressed</c>, or <c>severity-lowered</c>: no longer what the policy names.</param>
public sealed record GateWithdrawn(string Key, Guid Finding, string Service, string Why);

public sealed record ScanImported(Guid Scan, string Service, string Source, ScanScope Scope, long Observations, long FindingsNew, long FindingsReopened, long FindingsChanged, long FindingsFixed);

/// <summary>Somebody wants a ticket for a finding; what it is to say is kept, and not in the event.</summary>
public sealed record TicketRequested(Guid Ticket, Guid Finding, string Connector);

using System.Text.Json;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>The events a change of a finding raises.</summary>
internal static class FindingEvents
{
    public static IReadOnlyList<NewEvent> Of(FindingState before, FindingState after, Guid? scan)
    {
        List<NewEvent> events = [];
        if (before.Status != after.Status)
        {
            events.Add(new NewEvent(VulnCenterEvents.StatusChanged, JsonSerializer.Serialize(
                new FindingStatusChanged(after.Id, after.Service, after.Source, before.Status, after.Status, after.Severity, after.Regression, scan),
                VulnCenterJson.Default.FindingStatusChanged)));
        }

        if (before.Severity != after.Severity)
        {
            events.Add(new NewEvent(VulnCenterEvents.SeverityChanged, JsonSerializer.Serialize(
                new FindingSeverityChanged(after.Id, after.Service, after.Source, before.Severity, after.Severity, after.SeverityFrom),
                VulnCenterJson.Default.FindingSeverityChanged)));
        }

        if (before.Suppression != after.Suppression)
        {
            events.Add(new NewEvent(VulnCenterEvents.SuppressionChanged, JsonSerializer.Serialize(
                new FindingSuppressionChanged(after.Id, after.Service, after.Source, after.Suppression?.Kind, after.Suppression?.Until),
                VulnCenterJson.Default.FindingSuppressionChanged)));
        }

        if (before.Sla.WarnedAt is null && after.Sla is { WarnedAt: not null, DueAt: { } due })
        {
            events.Add(new NewEvent(VulnCenterEvents.SlaWarned, JsonSerializer.Serialize(
                new FindingSlaWarned(after.Id, after.Service, after.Source, after.Severity, after.Sla.Policy ?? "", due), VulnCenterJson.Default.FindingSlaWarned)));
        }

        if (before.Sla.BreachedAt is null && after.Sla.BreachedAt is { } breached)
        {
            events.Add(new NewEvent(VulnCenterEvents.SlaBreached, JsonSerializer.Serialize(
                new FindingSlaBreached(after.Id, after.Service, after.Source, after.Severity, after.Sla.Policy ?? "", breached), VulnCenterJson.Default.FindingSlaBreached)));
        }

        if (GateChange(before, after) is { } gate)
        {
            events.Add(gate);
        }

        return events;
    }

    // What stands there says its severity and its title.
    private static NewEvent? GateChange(FindingState before, FindingState after) => (before.Gate, after.Gate) switch
    {
        (var stood, true) when !stood || before.Severity != after.Severity || before.Title != after.Title => new NewEvent(VulnCenterEvents.GateRaised, JsonSerializer.Serialize(
            new GateRaised(GateKey(after.Service, after.Id), after.Id, after.Service, after.Severity, after.StatusSince), VulnCenterJson.Default.GateRaised)),
        (true, false) => new NewEvent(VulnCenterEvents.GateWithdrawn, JsonSerializer.Serialize(
            new GateWithdrawn(GateKey(after.Service, after.Id), after.Id, after.Service, WhyWithdrawn(after)),
            VulnCenterJson.Default.GateWithdrawn)),
        _ => null,
    };

    private static string WhyWithdrawn(FindingState after) => after switch
    {
        { IsLive: true } => "severity-lowered",
        { Status: FindingStatus.Open or FindingStatus.Triaged } => "suppressed",
        _ => KebabCase(after.Status),
    };

    /// <summary>What safety-console and the reports call the gate of a finding.</summary>
    public static string GateKey(string service, Guid finding) => $"vuln:{service}:{finding:D}";

    private static string KebabCase(FindingStatus status) => JsonNamingPolicy.KebabCaseLower.ConvertName(status.ToString());
}

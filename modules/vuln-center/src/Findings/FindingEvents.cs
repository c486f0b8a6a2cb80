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

        if (GateChange(before.Gate, after) is { } gate)
        {
            events.Add(gate);
        }

        return events;
    }

    /// <summary>Raises or withdraws the gate when the finding's state no longer agrees with what was told before.</summary>
    public static NewEvent? GateChange(bool raisedBefore, FindingState after) => (raisedBefore, after.Gate) switch
    {
        (false, true) => new NewEvent(VulnCenterEvents.GateRaised, JsonSerializer.Serialize(
            new GateRaised(GateKey(after), after.Id, after.Service, after.Severity, after.StatusSince), VulnCenterJson.Default.GateRaised)),
        (true, false) => new NewEvent(VulnCenterEvents.GateWithdrawn, JsonSerializer.Serialize(
            new GateWithdrawn(GateKey(after), after.Id, after.Service, after.Severity == Severity.Critical ? KebabCase(after.Status) : "severity-lowered"),
            VulnCenterJson.Default.GateWithdrawn)),
        _ => null,
    };

    private static string GateKey(FindingState finding) => $"vuln:{finding.Service}:{finding.Id:D}";

    private static string KebabCase(FindingStatus status) => JsonNamingPolicy.KebabCaseLower.ConvertName(status.ToString());
}

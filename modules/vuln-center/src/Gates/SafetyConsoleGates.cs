using System.Text.Json;
using Microsoft.Extensions.Options;
using Wave16.Platform.Events;
using Wave16.Platform.Neighbours;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Reporting;

namespace Wave16.VulnCenter.Gates;

/// <summary>Takes gate events to safety-console. Events carry ids only; the title is read when the gate is raised.</summary>
internal sealed class SafetyConsoleGates(
    SafetyConsole console,
    [FromKeyedServices(SafetyConsole.Name)] NeighbourAddress address,
    FindingQueries findings,
    IOptions<ImportOptions> options,
    TimeProvider clock) : IDestination
{
    public string Name => SafetyConsole.Name;

    public async Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation)
    {
        var restated = envelope.Type == StateRestated.EventType ? Data(envelope, VulnCenterJson.Default.StateRestated) : null;
        if (restated is not null && restated.Neighbour != Name)
        {
            return DeliveryOutcome.Done;
        }

        if (!address.IsConfigured)
        {
            return new DeliveryOutcome.Unavailable("not configured");
        }

        var standing = restated?.Finding is { } finding ? await findings.GateAsync(envelope.TenantId, finding, cancellation) : null;
        if (restated is not null && standing is null)
        {
            // Withdrawn since then, and told by an event of its own.
            return DeliveryOutcome.Done;
        }

        using var response = envelope.Type switch
        {
            StateRestated.EventType when standing is not null => await RaiseAsync(envelope, standing, cancellation),
            VulnCenterEvents.GateRaised => await RaiseAsync(envelope, Data(envelope, VulnCenterJson.Default.GateRaised), cancellation),
            VulnCenterEvents.GateWithdrawn => await console.WithdrawAsync(envelope.TenantId, Data(envelope, VulnCenterJson.Default.GateWithdrawn).Key, cancellation),
            _ => throw new EventRejectedException($"{Name} does not take {envelope.Type}."),
        };
        return response.ToOutcome(clock);
    }

    private async Task<HttpResponseMessage> RaiseAsync(EventEnvelope envelope, GateRaised raised, CancellationToken cancellation)
    {
        var title = await findings.TitleAsync(envelope.TenantId, raised.Finding, cancellation)
            ?? throw new EventRejectedException($"Finding {raised.Finding} is not in this store.");
        var url = new Uri(options.Value.PublicUrl, $"findings/{raised.Finding:D}").ToString();
        return await console.RaiseAsync(
            envelope.TenantId, raised.Key, new Gate("blocking", raised.Severity, raised.Service, raised.Finding.ToString("D"), title, url, raised.Since), cancellation);
    }

    private static T Data<T>(EventEnvelope envelope, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) =>
        JsonSerializer.Deserialize(envelope.Data, type) ?? throw new EventRejectedException($"Event {envelope.Id} has no data.");
}

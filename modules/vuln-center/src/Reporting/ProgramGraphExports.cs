using Microsoft.Extensions.Options;
using Wave16.Platform.Events;
using Wave16.Platform.Neighbours;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Reporting;

/// <summary>Keeps program-graph up to date; a service is a source of its own.</summary>
internal sealed class ProgramGraphExports(
    FindingGraphReport report,
    ReportSnapshots snapshots,
    ProgramGraphs client,
    [FromKeyedServices(ProgramGraphs.Name)] NeighbourAddress address,
    DependencyHealth health,
    IOptions<ImportOptions> options,
    TimeProvider clock) : IDestination
{
    private readonly ServiceExport _export = new(report, snapshots, address, health, options.Value, clock, client.PutAsync);

    public string Name => ProgramGraphs.Name;

    public Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation) => _export.DeliverAsync(envelope, cancellation);
}

using Microsoft.Extensions.Options;
using Wave16.Platform.Events;
using Wave16.Platform.Neighbours;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Reporting;

/// <summary>Keeps control-plane up to date; a service is a source of its own.</summary>
internal sealed class ControlPlaneExports(
    PostureReport report,
    ReportSnapshots snapshots,
    ControlPlane client,
    [FromKeyedServices(ControlPlane.Name)] NeighbourAddress address,
    DependencyHealth health,
    IOptions<ImportOptions> options,
    TimeProvider clock) : IDestination
{
    private readonly ServiceExport _export = new(report, snapshots, address, health, options.Value, clock, client.PutAsync);

    public string Name => ControlPlane.Name;

    public Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation) => _export.DeliverAsync(envelope, cancellation);
}

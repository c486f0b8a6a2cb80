using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Wave16.Platform.Events;
using Wave16.Platform.Neighbours;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Reporting;

/// <summary>
/// Tells a neighbour how a service stands when that has changed: its part of a report, whole, in place of the last. An event only says that
/// there is something new; one whose change is in what the neighbour has already is done. So a thousand changes of one service
/// are a few exports, however slow the neighbour is.
/// </summary>
internal sealed class ServiceExport(
    IReport report, ReportSnapshots snapshots, NeighbourAddress address, DependencyHealth health, ImportOptions options, TimeProvider clock, ServiceExport.Put put)
{
    /// <summary>Hands the neighbour what it is to keep of the source from now on.</summary>
    public delegate Task<HttpResponseMessage> Put(string tenant, string source, HttpContent content, CancellationToken cancellation);

    // One export of a service at a time; services that share a place wait for each other.
    private const int Places = 64;

    // Forgetting is harmless: the service is exported once more.
    private const int MostRemembered = 10_000;

    private readonly SemaphoreSlim[] _places = [.. Enumerable.Range(0, Places).Select(_ => new SemaphoreSlim(1))];
    private readonly ConcurrentDictionary<(string Tenant, string Service), long> _exported = new();

    public async Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation)
    {
        var restated = envelope.Type == StateRestated.EventType;
        if (restated && Data(envelope, VulnCenterJson.Default.StateRestated).Neighbour != address.Name)
        {
            return DeliveryOutcome.Done;
        }

        if (!address.IsConfigured)
        {
            if (restated)
            {
                // Another replica knows the address: this one has not been started anew yet.
                return new DeliveryOutcome.Retry("not configured in this replica");
            }

            // Nobody waits for it, and nothing is owed: whoever is configured later is told then (Restatement).
            health.Report(address.Name, DependencyState.NotConfigured, reporter: $"{VulnCenterModule.ModuleName}-exports");
            return DeliveryOutcome.Done;
        }

        var about = (envelope.TenantId, Service: ServiceOf(envelope));
        var place = _places[(uint)about.GetHashCode() % Places];
        await place.WaitAsync(cancellation);
        try
        {
            return await ExportAsync(about.TenantId, about.Service, cancellation);
        }
        finally
        {
            place.Release();
        }
    }

    private async Task<DeliveryOutcome> ExportAsync(string tenant, string service, CancellationToken cancellation)
    {
        var state = await snapshots.StateAsync(tenant, service, cancellation);
        if (state.AsOf is null || (_exported.TryGetValue((tenant, service), out var exported) && exported == state.Changes))
        {
            // A report without findings, of a service that never had any; or what the event tells has been told.
            return DeliveryOutcome.Done;
        }

        var (spool, changes) = await SpoolAsync(tenant, service, cancellation);
        await using var _ = spool;
        using var content = new StreamContent(spool);
        content.Headers.ContentType = new MediaTypeHeaderValue(report.MediaType);
        using var response = await put(tenant, $"{VulnCenterModule.ModuleName}:{service}", content, cancellation);
        var outcome = response.ToOutcome(clock);
        if (outcome is DeliveryOutcome.Delivered)
        {
            if (_exported.Count >= MostRemembered)
            {
                _exported.Clear();
            }

            _exported[(tenant, service)] = changes;
        }

        return outcome;
    }

    /// <summary>Written before it is sent: however slow the neighbour is, it holds no snapshot of the store.</summary>
    private async Task<(FileStream Spool, long Changes)> SpoolAsync(string tenant, string service, CancellationToken cancellation)
    {
        var spool = SpoolFile.Create(options.SpoolDirectory, "export");
        try
        {
            await using var snapshot = await snapshots.OpenAsync(tenant, service, cancellation);
            await using var json = new ReportJson(spool);
            await report.WriteAsync(snapshot, json, cancellation);
            await json.EndAsync(cancellation);
            spool.Position = 0;
            return (spool, snapshot.State.Changes);
        }
        catch
        {
            await spool.DisposeAsync();
            throw;
        }
    }

    private static string ServiceOf(EventEnvelope envelope) => envelope.Type switch
    {
        VulnCenterEvents.ScanImported => Data(envelope, VulnCenterJson.Default.ScanImported).Service,
        VulnCenterEvents.StatusChanged => Data(envelope, VulnCenterJson.Default.FindingStatusChanged).Service,
        VulnCenterEvents.SeverityChanged => Data(envelope, VulnCenterJson.Default.FindingSeverityChanged).Service,
        VulnCenterEvents.SuppressionChanged => Data(envelope, VulnCenterJson.Default.FindingSuppressionChanged).Service,
        VulnCenterEvents.SlaBreached => Data(envelope, VulnCenterJson.Default.FindingSlaBreached).Service,
        StateRestated.EventType => Data(envelope, VulnCenterJson.Default.StateRestated).Service,
        _ => throw new EventRejectedException($"An export does not take {envelope.Type}."),
    };

    private static T Data<T>(EventEnvelope envelope, JsonTypeInfo<T> type) =>
        JsonSerializer.Deserialize(envelope.Data, type) ?? throw new EventRejectedException($"Event {envelope.Id} has no data.");
}

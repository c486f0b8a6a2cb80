using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Wave16.Platform.Events;
using Wave16.Platform.Neighbours;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Reporting;

/// <summary>
/// Tells a neighbour how a service stands when that has changed: its part of a report, whole, in place of the last. An event only says that
/// there is something new; one whose change is in what the neighbour has already is done. So a thousand changes of one service
/// are a few exports, however slow the neighbour is.
/// </summary>
internal sealed class ServiceExport(
    IReport report, ReportSnapshots snapshots, NeighbourAddress address, DependencyHealth health, TimeProvider clock, ServiceExport.Put put)
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
        if (!address.IsConfigured)
        {
            // Nobody waits for it, and nothing is owed: whoever is configured later gets the state of that time.
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

        using var content = new Export(report, snapshots, tenant, service);
        using var response = await put(tenant, $"{VulnCenterModule.ModuleName}:{service}", content, cancellation);
        var outcome = response.ToOutcome(clock);
        if (outcome is DeliveryOutcome.Delivered)
        {
            if (_exported.Count >= MostRemembered)
            {
                _exported.Clear();
            }

            _exported[(tenant, service)] = content.Changes;
        }

        return outcome;
    }

    private static string ServiceOf(EventEnvelope envelope) => envelope.Type switch
    {
        VulnCenterEvents.ScanImported => Data(envelope, VulnCenterJson.Default.ScanImported).Service,
        VulnCenterEvents.StatusChanged => Data(envelope, VulnCenterJson.Default.FindingStatusChanged).Service,
        VulnCenterEvents.SeverityChanged => Data(envelope, VulnCenterJson.Default.FindingSeverityChanged).Service,
        VulnCenterEvents.SuppressionChanged => Data(envelope, VulnCenterJson.Default.FindingSuppressionChanged).Service,
        VulnCenterEvents.SlaBreached => Data(envelope, VulnCenterJson.Default.FindingSlaBreached).Service,
        _ => throw new EventRejectedException($"An export does not take {envelope.Type}."),
    };

    private static T Data<T>(EventEnvelope envelope, JsonTypeInfo<T> type) =>
        JsonSerializer.Deserialize(envelope.Data, type) ?? throw new EventRejectedException($"Event {envelope.Id} has no data.");

    /// <summary>Written from the store while it is sent; sent again, it is the state of then.</summary>
    private sealed class Export : HttpContent
    {
        private readonly IReport _report;
        private readonly ReportSnapshots _snapshots;
        private readonly string _tenant;
        private readonly string _service;

        public Export(IReport report, ReportSnapshots snapshots, string tenant, string service)
        {
            (_report, _snapshots, _tenant, _service) = (report, snapshots, tenant, service);
            Headers.ContentType = new MediaTypeHeaderValue(report.MediaType);
        }

        /// <summary>Which state was sent last.</summary>
        public long Changes { get; private set; }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            await using var snapshot = await _snapshots.OpenAsync(_tenant, _service, cancellationToken);
            Changes = snapshot.State.Changes;
            await using var json = new ReportJson(stream);
            await _report.WriteAsync(snapshot, json, cancellationToken);
            await json.EndAsync(cancellationToken);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}

using System.Net.Http.Headers;
using Wave16.Platform.Events;

namespace Wave16.Platform.Audit;

/// <summary>
/// The neighbour that keeps every module's sealed leaves: CloudEvents over HTTP in batched mode. Failure policy: the outbox
/// keeps what it could not take.
/// </summary>
internal sealed class AuditTrail(IHttpClientFactory clients, TimeProvider clock) : IDestination
{
    public const string SystemName = "audit-trail";

    public string Name => SystemName;

    public async Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation)
    {
        using var client = clients.CreateClient(SystemName);
        using var batch = new ReadOnlyMemoryContent(EventFormat.EncodeBatch([envelope]));
        batch.Headers.ContentType = MediaTypeHeaderValue.Parse(EventFormat.BatchMediaType + "; charset=utf-8");
        using var answer = await client.PostAsync(new Uri("events", UriKind.Relative), batch, cancellation);
        return answer.ToOutcome(clock);
    }
}

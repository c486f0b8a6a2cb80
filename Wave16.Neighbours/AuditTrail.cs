using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using CloudNative.CloudEvents;
using CloudNative.CloudEvents.Core;
using CloudNative.CloudEvents.Http;
using CloudNative.CloudEvents.SystemTextJson;

namespace Wave16.Neighbours;

/// <summary>An event as it is shown: in CloudEvents' JSON format, in whichever mode it came.</summary>
internal sealed record AuditEvent(DateTimeOffset ReceivedAt, string Tenant, JsonElement Event);

internal sealed record AuditReceipt(int Accepted, int Duplicates);

/// <summary>
/// audit-trail: takes CloudEvents 1.0 over HTTP in structured, binary and batched mode, all of a batch or nothing.
/// An event is one by (source, id); one that comes again is acknowledged and not kept twice. The latest are kept (<see cref="EventLog"/>).
/// </summary>
internal sealed class AuditTrail(TimeProvider time) : IStandIn
{
    public const string SystemName = "audit-trail";

    const string Structured = "application/cloudevents+json";
    const string Batch = "application/cloudevents-batch+json";
    const string TenantAttribute = "tenantid";

    static readonly JsonEventFormatter Formatter = new();

    readonly EventLog _events = new();

    public string Name => SystemName;

    public int MaxBodyBytes => 16 << 20;

    public void Map(IEndpointRouteBuilder system)
    {
        system.MapPost("/events", Take);
        system.MapGet("/events", List);
    }

    IResult Take(HttpContext context)
    {
        var checks = new Checks();
        if (!TryDecode(context, checks, out var events, out var refusal))
            return refusal;
        if (checks.Refusal is { } refused)
            return refused;

        var now = time.GetUtcNow();
        var accepted = _events.Append(events.Select(@event => Kept(@event, now)));
        return TypedResults.Json(new AuditReceipt(accepted, events.Count - accepted), NeighboursJson.Default.AuditReceipt, statusCode: StatusCodes.Status202Accepted);
    }

    static bool TryDecode(HttpContext context, Checks checks, out List<CloudEvent> events, [NotNullWhen(false)] out IResult? refusal)
    {
        events = [];
        refusal = null;
        var request = context.Request;
        var isBatch = MimeUtilities.IsCloudEventsBatchContentType(request.ContentType);
        if (!isBatch && !MimeUtilities.IsCloudEventsContentType(request.ContentType) && request.Headers.ContainsKey(HttpUtilities.SpecVersionHttpHeader))
        {
            Decode("#", checks, events, () => Binary(request, RequestBody.Of(context).Bytes));
            return true;
        }

        if (!JsonBody.TryRead(context, NeighboursJson.Default.JsonElement, out var sent, out refusal, Structured, Batch))
            return false;
        if (!isBatch)
            Decode("#", checks, events, () => Formatter.ConvertFromJsonElement(sent, extensionAttributes: null));
        else if (sent.ValueKind != JsonValueKind.Array)
            checks.Add("#", "a batch is an array of events");
        else
        {
            foreach (var (index, element) in sent.EnumerateArray().Index())
                Decode(JsonPointer.Of(index), checks, events, () => Formatter.ConvertFromJsonElement(element, extensionAttributes: null));
        }
        return true;
    }

    static void Decode(string pointer, Checks checks, List<CloudEvent> events, Func<CloudEvent> decode)
    {
        try
        {
            var @event = decode();
            if (string.IsNullOrEmpty(@event[TenantAttribute] as string))
                checks.Add(pointer + "/" + TenantAttribute, "is required: the tenant the event belongs to");
            events.Add(@event);
        }
        catch (Exception invalid) when (invalid is ArgumentException or FormatException or InvalidOperationException or JsonException)
        {
            checks.Add(pointer, invalid.Message);
        }
    }

    // CloudEvents' HTTP binding, binary mode: attributes in ce- headers, the body is the data (§3.1 of the binding).
    static CloudEvent Binary(HttpRequest request, ReadOnlyMemory<byte> body)
    {
        var version = CloudEventsSpecVersion.FromVersionId(request.Headers[HttpUtilities.SpecVersionHttpHeader].ToString())
            ?? throw new FormatException("ce-specversion must be 1.0");
        var @event = new CloudEvent(version);
        foreach (var (name, value) in request.Headers)
        {
            if (HttpUtilities.GetAttributeNameFromHeaderName(name) is { } attribute && attribute != CloudEventsSpecVersion.SpecVersionAttribute.Name)
                @event.SetAttributeFromString(attribute, HttpUtilities.DecodeHeaderValue(value.ToString()));
        }
        @event.DataContentType = request.ContentType;
        Formatter.DecodeBinaryModeEventData(body, @event);
        return Validation.CheckCloudEventArgument(@event, nameof(request));
    }

    static KeptEvent Kept(CloudEvent @event, DateTimeOffset now) => new(
        (@event.Source?.OriginalString ?? "", @event.Id ?? ""),
        now, @event[TenantAttribute] as string ?? "", Formatter.EncodeStructuredModeMessage(@event, out _).ToArray());

    IResult List(HttpContext context)
    {
        var checks = new Checks();
        var tenant = checks.OptionalTenant(context.Request);
        var (after, limit) = (checks.After(context.Request), checks.Limit(context.Request));
        return checks.Refusal
            ?? TypedResults.Json(_events.Read(after, limit, tenant), NeighboursJson.Default.AuditPage);
    }
}

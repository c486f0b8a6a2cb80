using System.Net.Mime;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using CloudNative.CloudEvents;
using CloudNative.CloudEvents.SystemTextJson;

namespace Wave16.Platform.Events;

/// <summary>CloudEvents 1.0 JSON format: structured mode (<c>application/cloudevents+json</c>) and batches (<c>application/cloudevents-batch+json</c>).</summary>
public static class EventFormat
{
    public const string StructuredMediaType = "application/cloudevents+json";
    public const string BatchMediaType = "application/cloudevents-batch+json";

    private static readonly CloudEventAttribute TenantId = CloudEventAttribute.CreateExtension("tenantid", CloudEventAttributeType.String);
    private static readonly CloudEventAttribute EntityVersion = CloudEventAttribute.CreateExtension("entityversion", CloudEventAttributeType.Integer);
    private static readonly CloudEventAttribute TraceParent = CloudEventAttribute.CreateExtension("traceparent", CloudEventAttributeType.String);
    private static readonly CloudEventAttribute[] Extensions = [TenantId, EntityVersion, TraceParent];

    private static readonly Formatter Json = new();

    /// <summary>One event in structured mode, UTF-8.</summary>
    public static ReadOnlyMemory<byte> Encode(EventEnvelope envelope) =>
        Json.EncodeStructuredModeMessage(ToCloudEvent(envelope), out _);

    /// <summary>One event in structured mode.</summary>
    public static string EncodeText(EventEnvelope envelope) => Encoding.UTF8.GetString(Encode(envelope).Span);

    /// <summary>A JSON array of events, UTF-8.</summary>
    public static ReadOnlyMemory<byte> EncodeBatch(IEnumerable<EventEnvelope> envelopes) =>
        Json.EncodeBatchModeMessage(envelopes.Select(ToCloudEvent), out _);

    /// <summary>Reads one event in structured mode.</summary>
    /// <exception cref="FormatException">Not a CloudEvent of this shape; the message says what is wrong, without the data.</exception>
    public static EventEnvelope Decode(ReadOnlyMemory<byte> json) =>
        Read(() => FromCloudEvent(Json.DecodeStructuredModeMessage(json, new ContentType(StructuredMediaType), Extensions)));

    /// <summary>Reads a batch.</summary>
    /// <exception cref="FormatException">Not a batch, or one of its events is not a CloudEvent of this shape.</exception>
    public static IReadOnlyList<EventEnvelope> DecodeBatch(ReadOnlyMemory<byte> json) =>
        Read(() => (EventEnvelope[])[.. Json.DecodeBatchModeMessage(json, new ContentType(BatchMediaType), Extensions).Select(FromCloudEvent)]);

    private static CloudEvent ToCloudEvent(EventEnvelope envelope)
    {
        var cloudEvent = new CloudEvent(CloudEventsSpecVersion.V1_0, Extensions)
        {
            Id = envelope.Id,
            Source = new Uri(envelope.Source, UriKind.RelativeOrAbsolute),
            Type = envelope.Type,
            Subject = envelope.Subject,
            Time = envelope.Time,
            DataContentType = envelope.DataContentType,
            Data = envelope.Data,
        };
        cloudEvent[TenantId] = envelope.TenantId;
        cloudEvent[EntityVersion] = (int)Math.Min(envelope.EntityVersion, int.MaxValue); // CloudEvents integers have 32 bits; only a log of audit leaves gets that far
        if (envelope.TraceParent is { } traceParent)
        {
            cloudEvent[TraceParent] = traceParent;
        }

        return cloudEvent;
    }

    private static EventEnvelope FromCloudEvent(CloudEvent cloudEvent) => new()
    {
        Id = Required(cloudEvent.Id, "id"),
        Source = Required(cloudEvent.Source?.OriginalString, "source"),
        Type = Required(cloudEvent.Type, "type"),
        Subject = Required(cloudEvent.Subject, "subject"),
        Time = cloudEvent.Time ?? throw Missing("time"),
        TenantId = Required((string?)cloudEvent[TenantId], "tenantid"),
        EntityVersion = (int?)cloudEvent[EntityVersion] ?? throw Missing("entityversion"),
        TraceParent = (string?)cloudEvent[TraceParent],
        DataContentType = cloudEvent.DataContentType ?? "application/json",
        Data = cloudEvent.Data is JsonElement data ? data.GetRawText() : throw new FormatException("The event's data is not JSON."),
    };

    private static T Read<T>(Func<T> decode)
    {
        try
        {
            return decode();
        }
        catch (Exception malformed) when (malformed is JsonException or ArgumentException or InvalidOperationException)
        {
            throw new FormatException("Not a CloudEvents 1.0 JSON document: " + malformed.Message, malformed);
        }
    }

    private static string Required(string? value, string attribute) => string.IsNullOrEmpty(value) ? throw Missing(attribute) : value;

    private static FormatException Missing(string attribute) => new($"The event has no {attribute}.");

    /// <summary>Puts the data out as it was raised: escaped anew, an event that was small enough could grow over the limit.</summary>
    private sealed class Formatter() : JsonEventFormatter(
        new JsonSerializerOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping },
        new JsonDocumentOptions { MaxDepth = 64 })
    {
        protected override void EncodeStructuredModeData(CloudEvent cloudEvent, Utf8JsonWriter writer)
        {
            writer.WritePropertyName(DataPropertyName);
            writer.WriteRawValue((string?)cloudEvent.Data ?? "null", skipInputValidation: true);
        }
    }
}

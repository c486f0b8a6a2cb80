using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Wave16.Platform.Events;

/// <summary>
/// An event as it travels between modules and to neighbours: CloudEvents 1.0 context attributes, its JSON data, and the
/// extensions <c>tenantid</c>, <c>entityversion</c> and <c>traceparent</c> (CloudEvents distributed tracing extension).
/// </summary>
public sealed record EventEnvelope
{
    /// <summary>Largest event, as structured JSON in UTF-8, in bytes: what every intermediary must carry (CloudEvents 1.0, size limits).</summary>
    public const int MaxBytes = 64 * 1024;

    // Member names, quotes, the fixed values, and the longest time, version and traceparent.
    private const int FixedBytes = 400;

    // What a JSON string can make of one byte: \u001f.
    private const int LongestEscape = 6;

    /// <summary>See <see cref="EventId"/>; unique together with <see cref="Source"/>.</summary>
    public required string Id { get; init; }

    /// <summary>The module that raised it.</summary>
    public required string Source { get; init; }

    /// <summary><c>wave16.&lt;module&gt;.&lt;entity&gt;-&lt;past tense&gt;.v&lt;N&gt;</c>.</summary>
    public required string Type { get; init; }

    /// <summary>The entity's id. Events of one source, tenant and subject are delivered in the order they were committed.</summary>
    public required string Subject { get; init; }

    public required DateTimeOffset Time { get; init; }

    public required string TenantId { get; init; }

    /// <summary>The version of the entity that this event came with; tells a consumer that an event is late.</summary>
    public required long EntityVersion { get; init; }

    /// <summary>W3C trace context of the request that caused the event.</summary>
    public string? TraceParent { get; init; }

    public string DataContentType { get; init; } = "application/json";

    /// <summary>JSON text.</summary>
    public required string Data { get; init; }

    /// <summary>Refuses an event that must not be written: its data is not JSON, or it might not fit in <see cref="MaxBytes"/>.</summary>
    /// <exception cref="EventTooLargeException">A bug of whoever raised it: data that big belongs behind a link.</exception>
    /// <exception cref="JsonException">A bug, too.</exception>
    public static void Check(string id, string source, string type, string subject, string tenant, string data)
    {
        var dataBytes = Encoding.UTF8.GetByteCount(data);
        var bytes = FixedBytes + dataBytes + (LongestEscape * (Encoding.UTF8.GetByteCount(id) + Encoding.UTF8.GetByteCount(source)
            + Encoding.UTF8.GetByteCount(type) + Encoding.UTF8.GetByteCount(subject) + Encoding.UTF8.GetByteCount(tenant)));
        if (bytes > MaxBytes)
        {
            throw new EventTooLargeException(type, bytes);
        }

        var buffer = ArrayPool<byte>.Shared.Rent(dataBytes);
        try
        {
            var json = new Utf8JsonReader(buffer.AsSpan(0, Encoding.UTF8.GetBytes(data, buffer)));
            while (json.Read())
            {
                json.Skip();
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}

/// <summary>An event of more than <see cref="EventEnvelope.MaxBytes"/> was raised; nothing was saved.</summary>
public sealed class EventTooLargeException(string type, int bytes)
    : InvalidOperationException($"{type} could take {bytes} bytes; an event has at most {EventEnvelope.MaxBytes}.");

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Amqp;
using Amqp.Framing;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// The AMQP protocol binding of CloudEvents 1.0.2, binary mode: attributes are application properties
/// (<c>cloudEvents:&lt;name&gt;</c>), the content type is <c>datacontenttype</c>, one data section holds the data. Structured mode is
/// read, too. The subject of the message is the event's type: what brokers route by.
/// </summary>
internal static class EventMessage
{
    private const string Prefix = "cloudEvents:";

    // What the binding allows for brokers that take no colon.
    private const string OtherPrefix = "cloudEvents_";

    // Azure Service Bus; RabbitMQ takes 255 bytes.
    private const int LongestMessageId = 128;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static Message Encode(EventEnvelope envelope)
    {
        var attributes = new ApplicationProperties();
        attributes[Prefix + "specversion"] = "1.0";
        attributes[Prefix + "id"] = envelope.Id;
        attributes[Prefix + "source"] = envelope.Source;
        attributes[Prefix + "type"] = envelope.Type;
        attributes[Prefix + "subject"] = envelope.Subject;
        attributes[Prefix + "time"] = envelope.Time.ToString("O", CultureInfo.InvariantCulture); // AMQP's own timestamp ends at milliseconds
        attributes[Prefix + "tenantid"] = envelope.TenantId;
        attributes[Prefix + "entityversion"] = (int)Math.Min(envelope.EntityVersion, int.MaxValue); // as EventFormat does
        if (envelope.TraceParent is { } traceParent)
        {
            attributes[Prefix + "traceparent"] = traceParent;
        }

        return new Message
        {
            Header = new Header { Durable = true },
            Properties = new Properties
            {
                MessageId = MessageId(envelope.Id),
                Subject = envelope.Type,
                ContentType = envelope.DataContentType,
            },
            ApplicationProperties = attributes,
            BodySection = new Data { Binary = Encoding.UTF8.GetBytes(envelope.Data) },
        };
    }

    /// <exception cref="FormatException">Not a CloudEvent of this shape; the message says what is wrong, without the data.</exception>
    public static EventEnvelope Decode(Message message)
    {
        var contentType = message.Properties?.ContentType is { } symbol ? (string)symbol : "application/json";
        var data = Data(message);
        if (contentType.StartsWith(EventFormat.StructuredMediaType, StringComparison.OrdinalIgnoreCase))
        {
            return EventFormat.Decode(data);
        }

        var attributes = Attributes(message.ApplicationProperties);
        if (Required(attributes, "specversion") is var version and not "1.0")
        {
            throw new FormatException($"CloudEvents {Short(version)} is not 1.0.");
        }

        return new EventEnvelope
        {
            Id = Required(attributes, "id"),
            Source = Required(attributes, "source"),
            Type = Required(attributes, "type"),
            Subject = Required(attributes, "subject"),
            Time = Time(attributes),
            TenantId = Required(attributes, "tenantid"),
            EntityVersion = EntityVersion(attributes),
            TraceParent = attributes.GetValueOrDefault("traceparent") as string,
            DataContentType = contentType,
            Data = Json(contentType, data),
        };
    }

    private static string MessageId(string id) =>
        id.Length <= LongestMessageId && Ascii.IsValid(id) ? id : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(id)));

    private static Dictionary<string, object?> Attributes(ApplicationProperties? properties)
    {
        var attributes = new Dictionary<string, object?>(StringComparer.Ordinal);
        if (properties?.Map is not { } map)
        {
            return attributes;
        }

        foreach (var (key, value) in map)
        {
            if (key is string name && (name.StartsWith(Prefix, StringComparison.Ordinal) || name.StartsWith(OtherPrefix, StringComparison.Ordinal)))
            {
                attributes[name[Prefix.Length..]] = value;
            }
        }

        return attributes;
    }

    private static string Required(Dictionary<string, object?> attributes, string name) =>
        attributes.GetValueOrDefault(name) is string { Length: > 0 } text ? text : throw new FormatException($"The event has no {name}.");

    private static DateTimeOffset Time(Dictionary<string, object?> attributes) => attributes.GetValueOrDefault("time") switch
    {
        DateTime time => new DateTimeOffset(time.ToUniversalTime(), TimeSpan.Zero),
        string text when DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) => time,
        _ => throw new FormatException("The event has no time."),
    };

    private static long EntityVersion(Dictionary<string, object?> attributes) => attributes.GetValueOrDefault("entityversion") switch
    {
        int or long or short or sbyte or byte or ushort or uint => Convert.ToInt64(attributes["entityversion"], CultureInfo.InvariantCulture),
        string text when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var version) => version,
        _ => throw new FormatException("The event has no entityversion."),
    };

    private static byte[] Data(Message message)
    {
        var bytes = message.BodySection switch
        {
            DataList several => [.. Enumerable.Range(0, several.Count).SelectMany(i => Binary(several[i]))],
            Data one => Binary(one),
            _ => throw new FormatException("The message has no data section."),
        };
        return bytes.Length <= EventEnvelope.MaxBytes ? bytes : throw new FormatException($"The event's data has {bytes.Length} bytes; an event has at most {EventEnvelope.MaxBytes}.");

        static byte[] Binary(Data data) => data.Binary ?? [];
    }

    private static string Json(string contentType, byte[] data)
    {
        var media = contentType.Split(';')[0].Trim();
        if (!media.Equals("application/json", StringComparison.OrdinalIgnoreCase) && !media.EndsWith("+json", StringComparison.OrdinalIgnoreCase))
        {
            throw new FormatException($"The event's data is {Short(media)}, not JSON.");
        }

        try
        {
            var json = new Utf8JsonReader(data);
            while (json.Read())
            {
                // Depth and syntax.
            }

            return Utf8.GetString(data);
        }
        catch (Exception malformed) when (malformed is JsonException or DecoderFallbackException)
        {
            throw new FormatException("The event's data is not JSON.", malformed);
        }
    }

    private static string Short(string text) => text.Length <= 64 ? text : text[..64];
}

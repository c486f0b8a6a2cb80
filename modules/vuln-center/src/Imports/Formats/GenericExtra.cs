using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>The fields of a normalized finding that schema version 1 does not know, nested ones under their parent.</summary>
internal static class GenericExtra
{
    public const int MaxBytes = 64 << 10;

    static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        "id", "kind", "rule", "title", "description", "severity", "cvss", "identifiers", "cwes", "component", "manifest", "image", "location",
        "web", "resource", "fingerprints", "secret", "references", "environments", "schemaVersion", "service", "source",
    };

    static readonly Dictionary<string, HashSet<string>> KnownWithin = new(StringComparer.Ordinal)
    {
        ["component"] = new(StringComparer.Ordinal) { "purl", "name", "version", "ecosystem", "fixedVersions" },
        ["location"] = new(StringComparer.Ordinal) { "path", "startLine", "endLine", "startColumn", "snippet", "scope" },
        ["web"] = new(StringComparer.Ordinal) { "url", "method", "host", "pathTemplate", "parameter" },
        ["secret"] = new(StringComparer.Ordinal) { "match" },
    };

    /// <summary>A JSON object; empty when there is nothing unknown; null when it is larger than <see cref="MaxBytes"/>.</summary>
    /// <param name="isReport">The finding is sent alone and has the members of a report, too.</param>
    public static string? Of(JsonElement finding, Func<string, string> redact, bool isReport)
    {
        var unknown = Unknown(finding, Known);
        if (isReport)
            unknown.Remove("scannedAt");
        var nested = KnownWithin.Keys
            .Where(name => finding.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Object)
            .Select(name => (Name: name, Fields: Unknown(finding.GetProperty(name), KnownWithin[name])))
            .Where(part => part.Fields.Count > 0)
            .ToList();
        if (unknown.Count == 0 && nested.Count == 0)
            return "";

        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            WriteFields(writer, unknown, redact);
            foreach (var (name, fields) in nested)
            {
                writer.WriteStartObject(name);
                WriteFields(writer, fields, redact);
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
        return buffer.WrittenCount > MaxBytes ? null : Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    static Dictionary<string, JsonElement> Unknown(JsonElement parent, HashSet<string> known)
    {
        var unknown = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var property in parent.EnumerateObject())
        {
            if (!known.Contains(property.Name))
                unknown[property.Name] = property.Value;
        }
        return unknown;
    }

    static void WriteFields(Utf8JsonWriter writer, Dictionary<string, JsonElement> fields, Func<string, string> redact)
    {
        foreach (var (name, value) in fields)
        {
            writer.WritePropertyName(redact(name));
            WriteValue(writer, value, redact);
        }
    }

    // As given, but for numbers that are not finite as doubles: jsonb takes those as a numeric overflow.
    static void WriteValue(Utf8JsonWriter writer, JsonElement value, Func<string, string> redact)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                WriteFields(writer, Unknown(value, []), redact);
                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in value.EnumerateArray())
                    WriteValue(writer, item, redact);
                writer.WriteEndArray();
                break;
            case JsonValueKind.Number when !value.TryGetDouble(out var number) || !double.IsFinite(number):
                writer.WriteStringValue(value.GetRawText());
                break;
            case JsonValueKind.String when value.GetString() is { } text:
                writer.WriteStringValue(redact(text));
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }
}

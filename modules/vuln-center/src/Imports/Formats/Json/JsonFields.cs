using System.Text.Json;

namespace Wave16.VulnCenter.Imports.Formats.Json;

/// <summary>
/// Reading fields that may be missing or of any type. A field of another type than asked for counts as missing; the
/// formats reject a result only when what identifies it is missing. Of duplicate keys the last one counts.
/// </summary>
internal static class JsonFields
{
    public static JsonElement Field(this JsonElement element, ReadOnlySpan<byte> name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) ? value : default;

    /// <summary>The string, or null when absent, empty or not a string.</summary>
    public static string? Text(this JsonElement element, ReadOnlySpan<byte> name) => element.Field(name).Text();

    public static string? Text(this JsonElement value) =>
        value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text ? text : null;

    public static int? Int(this JsonElement element, ReadOnlySpan<byte> name)
    {
        var value = element.Field(name);
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) ? number : null;
    }

    /// <summary>A line or column: 1 or more.</summary>
    public static int? Position(this JsonElement element, ReadOnlySpan<byte> name) =>
        element.Int(name) is { } number and > 0 ? number : null;

    public static decimal? Decimal(this JsonElement element, ReadOnlySpan<byte> name)
    {
        var value = element.Field(name);
        return value.ValueKind == JsonValueKind.Number && value.TryGetDecimal(out var number) ? number : null;
    }

    public static bool IsTrue(this JsonElement element, ReadOnlySpan<byte> name) =>
        element.Field(name).ValueKind == JsonValueKind.True;

    public static IEnumerable<JsonElement> Items(this JsonElement element, ReadOnlySpan<byte> name)
    {
        var value = element.Field(name);
        return value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : [];
    }

    public static IEnumerable<JsonProperty> Properties(this JsonElement element, ReadOnlySpan<byte> name)
    {
        var value = element.Field(name);
        return value.ValueKind == JsonValueKind.Object ? value.EnumerateObject() : [];
    }

    /// <summary>The strings of an array, at most <see cref="Bounded.ListLength"/>, each once.</summary>
    public static IReadOnlyList<string> Texts(this JsonElement element, ReadOnlySpan<byte> name)
    {
        List<string>? texts = null;
        foreach (var item in element.Items(name))
        {
            if (item.Text() is { } text && texts?.Contains(text) is not true)
                (texts ??= []).Add(text);
            if (texts?.Count >= Bounded.ListLength)
                break;
        }
        return texts ?? (IReadOnlyList<string>)[];
    }
}

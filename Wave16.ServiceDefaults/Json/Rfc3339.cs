using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace Wave16.ServiceDefaults;

/// <summary>A time in a query string, <c>?since=2026-03-01T12:00:00Z</c>: RFC 3339 with an offset, else 400. Use it for query
/// parameters in place of <see cref="DateTimeOffset"/>, which accepts a time without offset.</summary>
public readonly partial record struct Rfc3339Time(DateTimeOffset Value)
{
    internal const string Expected = "must be an RFC 3339 time with an offset, for example 2026-03-01T12:00:00Z";

    public static implicit operator DateTimeOffset(Rfc3339Time time) => time.Value;

    public DateTimeOffset ToDateTimeOffset() => Value;

    /// <summary>RFC 3339 §5.6 date-time. A leap second (:60) is not a time .NET can hold and is refused.</summary>
    public static bool TryParse(string? text, out Rfc3339Time time)
    {
        time = default;
        if (text is null || !DateTimeShape().IsMatch(text)
            || !DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out var value))
        {
            return false;
        }

        time = new Rfc3339Time(value);
        return true;
    }

    [GeneratedRegex(@"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?([Zz]|[+-][0-9]{2}:[0-9]{2})\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 100)]
    private static partial Regex DateTimeShape();
}

internal sealed class Rfc3339Converter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && Rfc3339Time.TryParse(reader.GetString(), out var time)
            ? time.Value
            : throw new JsonException(Rfc3339Time.Expected);

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) => writer.WriteStringValue(value);
}

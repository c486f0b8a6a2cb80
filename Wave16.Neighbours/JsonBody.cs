using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using System.Text.Unicode;
using Microsoft.Net.Http.Headers;

namespace Wave16.Neighbours;

/// <summary>Reads a body as the JSON its contract asks for, or says what is wrong with it and where.</summary>
internal static class JsonBody
{
    public static bool TryRead<T>(
        HttpContext context,
        JsonTypeInfo<T> type,
        [NotNullWhen(true)] out T? value,
        [NotNullWhen(false)] out IResult? refusal,
        params string[] mediaTypes)
    {
        value = default;
        refusal = NotAccepted(context, mediaTypes.Length == 0 ? ["application/json"] : mediaTypes);
        if (refusal is not null)
            return false;

        var body = RequestBody.Of(context).Bytes.Span;
        if (body.IsEmpty)
        {
            refusal = Malformed("A body is required.", "#");
            return false;
        }
        refusal = NotUtf8(body);
        if (refusal is not null)
            return false;
        try
        {
            value = JsonSerializer.Deserialize(body, type);
        }
        catch (JsonException broken)
        {
            // A message of the serializer's own would name .NET types; the reader's and the contract's say what is wrong.
            var reason = broken is ContractViolationException ? broken.Message
                : broken.InnerException is JsonException syntax ? syntax.Message
                : "is not a value or a field this contract allows";
            refusal = Malformed(reason, JsonPointer.OfPath(broken.Path), broken.LineNumber, broken.BytePositionInLine);
            return false;
        }
        if (value is null)
        {
            refusal = Malformed("must be an object", "#");
            return false;
        }
        return true;
    }

    // Content type one of these, in UTF-8 (RFC 8259 §8.1), and not compressed.
    static IResult? NotAccepted(HttpContext context, string[] mediaTypes)
    {
        var request = context.Request;
        if (request.Headers.ContentEncoding is { Count: > 0 } coding && !string.Equals(coding.ToString(), "identity", StringComparison.OrdinalIgnoreCase))
        {
            context.Response.Headers.AcceptEncoding = "identity";
            return Problems.Of(StatusCodes.Status415UnsupportedMediaType, "content-encoding", $"A body in content coding {coding} is not taken.");
        }
        if (MediaTypeHeaderValue.TryParse(request.ContentType, out var type)
            && mediaTypes.Any(accepted => type.MediaType.Equals(accepted, StringComparison.OrdinalIgnoreCase))
            && (!type.Charset.HasValue || HeaderUtilities.RemoveQuotes(type.Charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase)))
            return null;

        context.Response.Headers.Accept = string.Join(", ", mediaTypes);
        return Problems.Of(
            StatusCodes.Status415UnsupportedMediaType,
            "content-type",
            $"Content type {request.ContentType ?? "(none)"} is not taken; {string.Join(" or ", mediaTypes)} in UTF-8 is.");
    }

    static IResult? NotUtf8(ReadOnlySpan<byte> body)
    {
        if (Utf8.IsValid(body))
            return null;
        var position = 0;
        while (Rune.DecodeFromUtf8(body[position..], out _, out var length) == OperationStatus.Done)
            position += length;
        return Malformed(string.Create(CultureInfo.InvariantCulture, $"is not UTF-8 at byte {position}"), "#");
    }

    static IResult Malformed(string reason, string pointer, long? line = null, long? position = null) =>
        Problems.Of(
            StatusCodes.Status400BadRequest,
            "body.malformed",
            line is null
                ? "The body cannot be read."
                : string.Create(CultureInfo.InvariantCulture, $"The body cannot be read at line {line + 1}, byte {position + 1} of it."),
            [new(reason, Pointer: pointer)]);
}

/// <summary>A value that a converter of ours refuses; the message is for the caller.</summary>
internal sealed class ContractViolationException(string reason) : JsonException(reason);

/// <summary>Times are RFC 3339 with an offset; one without would mean another moment on another machine.</summary>
internal sealed class Rfc3339 : JsonConverter<DateTimeOffset>
{
    static readonly string[] Formats = ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK"];

    public const string Reason = "must be an RFC 3339 date and time with an offset";

    public static bool TryParse(string? text, out DateTimeOffset time)
    {
        time = default;
        return text is { Length: > 6 }
            && (text.EndsWith('Z') || text[^6] is '+' or '-')
            && DateTimeOffset.TryParseExact(text, Formats, CultureInfo.InvariantCulture, DateTimeStyles.None, out time);
    }

    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && TryParse(reader.GetString(), out var time)
            ? time
            : throw new ContractViolationException(Reason);

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) => writer.WriteStringValue(value);
}

/// <summary>Enum members by their kebab-case names, exactly; numbers and other spellings are refused.</summary>
internal sealed class Kebab<TEnum> : JsonConverter<TEnum> where TEnum : struct, Enum
{
    static readonly Dictionary<string, TEnum> Values =
        Enum.GetValues<TEnum>().ToDictionary(value => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString()), StringComparer.Ordinal);

    static readonly Dictionary<TEnum, string> Words = Values.ToDictionary(pair => pair.Value, pair => pair.Key);

    public override TEnum Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && reader.GetString() is { } word && Values.TryGetValue(word, out var value)
            ? value
            : throw new ContractViolationException($"must be one of {string.Join(", ", Values.Keys)}");

    public override void Write(Utf8JsonWriter writer, TEnum value, JsonSerializerOptions options) => writer.WriteStringValue(Words[value]);
}

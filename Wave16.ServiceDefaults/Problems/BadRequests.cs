using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;

namespace Wave16.ServiceDefaults;

/// <summary>Says which field was wrong when the framework refused a request before our code saw it.</summary>
internal static partial class BadRequests
{
    /// <param name="exception">The framework's.</param>
    /// <param name="body">What the endpoint reads from the body, as far as it says so.</param>
    /// <param name="sent">How a parameter of the endpoint's code is called in a request.</param>
    public static (ProblemCode Code, string Detail, IReadOnlyList<FieldError>? Errors) Describe(BadHttpRequestException exception, JsonTypeInfo? body, Func<string, string> sent)
    {
        if (exception.InnerException is JsonException json)
            return DescribeJson(json, body);
        switch (exception.StatusCode)
        {
            case StatusCodes.Status413PayloadTooLarge:
                return (ProblemCodes.TooLarge, "Send less at once, or use the endpoint's streaming form if it has one.", null);
            case StatusCodes.Status415UnsupportedMediaType:
                return (ProblemCodes.UnsupportedMediaType, "Send application/json.", null);
            case StatusCodes.Status408RequestTimeout:
                return (ProblemCodes.RequestTimeout, "The body arrived too slowly.", null);
            case StatusCodes.Status431RequestHeaderFieldsTooLarge:
                return (ProblemCodes.HeadersTooLarge, "Send fewer or shorter header fields.", null);
        }

        // The framework names the parameter only in its message; Binding_messages_are_still_what_we_parse fails when that changes.
        if (Failed().Match(exception.Message) is { Success: true } failed)
        {
            var reason = failed.Groups["type"].Value.Replace("Nullable<", "", StringComparison.Ordinal).TrimEnd('>', '?') switch
            {
                nameof(Rfc3339Time) => Rfc3339Time.Expected,
                "int" or "long" or "short" or "uint" or "ulong" => "must be a whole number",
                "bool" => "must be true or false",
                "Guid" => "must be a UUID",
                "double" or "decimal" or "float" => "must be a number",
                _ => "is not one of the accepted values",
            };
            return (ProblemCodes.Invalid, "A parameter is not valid.", [FieldError.Query(sent(failed.Groups["name"].Value), reason)]);
        }

        if (Missing().Match(exception.Message) is { Success: true } missing)
        {
            return missing.Groups["source"].Value switch
            {
                "body" => (ProblemCodes.Malformed, "A body is required.", [new FieldError("", "is required")]),
                "header" => (ProblemCodes.Invalid, "A header is missing.", [FieldError.Header(missing.Groups["name"].Value, "is required")]),
                _ => (ProblemCodes.Invalid, "A parameter is missing.", [FieldError.Query(sent(missing.Groups["name"].Value), "is required")]),
            };
        }

        return exception.Message.StartsWith("Implicit body inferred", StringComparison.Ordinal)
            ? (ProblemCodes.Malformed, "A body is required.", [new FieldError("", "is required")])
            : (ProblemCodes.Invalid, "The request could not be read.", null);
    }

    private static (ProblemCode Code, string Detail, IReadOnlyList<FieldError>? Errors) DescribeJson(JsonException json, JsonTypeInfo? body)
    {
        var at = json is { LineNumber: { } line, BytePositionInLine: { } column }
            ? string.Create(CultureInfo.InvariantCulture, $" at line {line + 1}, byte {column + 1}")
            : "";
        var pointer = ToPointer(json.Path);
        // The reader derives its own exception; what the serializer or a converter throws is valid JSON of the wrong shape.
        if (json.GetType() != typeof(JsonException) || json.InnerException is JsonException)
            return (ProblemCodes.Malformed, $"The body stops being valid JSON{at}.", [new FieldError(pointer, $"is not valid JSON{at}")]);
        if (json.Message.Contains("could not be mapped to any .NET member", StringComparison.Ordinal))
            return (ProblemCodes.Invalid, $"The body has a member that is not known{at}.", [new FieldError(pointer, "is not a member of this body")]);
        if (MissingMembers().Match(json.Message) is { Success: true } missing)
        {
            var members = QuotedName().Matches(missing.Groups["names"].Value).Select(m => new FieldError(pointer + "/" + Escape(m.Groups["name"].Value), "is required"));
            return (ProblemCodes.Invalid, "The body lacks required members.", [.. members]);
        }

        var reason = json.Message == Rfc3339Time.Expected ? Rfc3339Time.Expected
            : json.Message.Contains("doesn't allow null values", StringComparison.Ordinal) ? "must not be null"
            : json.Message.StartsWith("Duplicate property", StringComparison.Ordinal) ? "is given twice"
            : Choices(json.Path, body) is { } choices ? $"must be one of {choices}"
            : "has a value that is not accepted here";
        return (ProblemCodes.Invalid, $"The body has a value that is not accepted{at}.", [new FieldError(pointer, reason)]);
    }

    /// <summary>The names of the enum that the serializer's path leads to, as they travel; null when it leads to anything else.</summary>
    private static string? Choices(string? path, JsonTypeInfo? body)
    {
        if (body?.Type is not { } type)
            return null;
        foreach (Match step in PathStep().Matches(path ?? ""))
        {
            if (!body.Options.TryGetTypeInfo(type, out var info) || Behind(step, info) is not { } next)
                return null;
            type = next;
        }

        type = Nullable.GetUnderlyingType(type) ?? type;
        return type.IsEnum
            ? string.Join(", ", Enum.GetValues(type).Cast<object>().Select(value => JsonSerializer.SerializeToElement(value, body.Options.GetTypeInfo(type)).GetString()))
            : null;
    }

    private static Type? Behind(Match step, JsonTypeInfo info) => info.Kind == JsonTypeInfoKind.Object
        ? info.Properties.FirstOrDefault(property => string.Equals(property.Name, StepName(step), StringComparison.OrdinalIgnoreCase))?.PropertyType
        : info.ElementType;

    /// <summary>From the serializer's path (<c>$.findings[3]['odd name']</c>) to RFC 6901 (<c>/findings/3/odd name</c>).</summary>
    internal static string ToPointer(string? path)
    {
        if (string.IsNullOrEmpty(path) || path[0] != '$')
            return "";
        var pointer = new StringBuilder(path.Length + 4);
        foreach (Match step in PathStep().Matches(path))
        {
            pointer.Append('/').Append(Escape(StepName(step)));
        }

        return pointer.ToString();
    }

    private static string StepName(Match step) =>
        step.Groups["dotted"] is { Success: true } dotted ? dotted.Value
        : step.Groups["index"] is { Success: true } index ? index.Value
        : step.Groups["quoted"].Value;

    private static string Escape(string name) =>
        name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    private const RegexOptions Plain = RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture;

    [GeneratedRegex(@"\AFailed to bind parameter ""(?<type>[^ ""]+) (?<name>[^ ""]+)"" from """, Plain, matchTimeoutMilliseconds: 100)]
    private static partial Regex Failed();

    [GeneratedRegex(@"\ARequired parameter ""[^ ""]+ (?<name>[^ ""]+)"" was not provided from (?<source>[a-z ]+)\.", Plain, matchTimeoutMilliseconds: 100)]
    private static partial Regex Missing();

    [GeneratedRegex(@"missing required properties including: (?<names>.+)\z", Plain, matchTimeoutMilliseconds: 100)]
    private static partial Regex MissingMembers();

    [GeneratedRegex("'(?<name>[^']+)'", Plain, matchTimeoutMilliseconds: 100)]
    private static partial Regex QuotedName();

    [GeneratedRegex(@"\.(?<dotted>[^.\[]+)|\[(?<index>[0-9]+)\]|\['(?<quoted>.*?)'\](?=[.\[]|\z)", Plain, matchTimeoutMilliseconds: 100)]
    private static partial Regex PathStep();
}

using System.Text.Json;
using System.Text.Json.Serialization;

namespace Wave16.ServiceDefaults;

/// <summary>How JSON looks on our wire: camelCase, enums as kebab-case strings, RFC 3339 times with offset, at most 64 levels.</summary>
/// <remarks>Unknown members are allowed in what is read from others, who can be newer than we are; a request's body that has one is refused.
/// A constructor parameter without a default must be present, one that is not nullable must not be null, and a member may appear once; anything else is a 400 that points at it.</remarks>
public static class Wave16Json
{
    public const int MaxDepth = 64;

    /// <summary>Read-only; shared.</summary>
    public static JsonSerializerOptions Options { get; } = Create();

    public static void Configure(JsonSerializerOptions options)
    {
        options.PropertyNamingPolicy = JsonNamingPolicy.CamelCase;
        options.DictionaryKeyPolicy = null;
        options.MaxDepth = MaxDepth;
        options.AllowDuplicateProperties = false;
        options.RespectNullableAnnotations = true;
        options.RespectRequiredConstructorParameters = true;
        options.NumberHandling = JsonNumberHandling.Strict;
        options.Converters.Add(new Rfc3339Converter());
        options.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower, allowIntegerValues: false));
    }

    private static JsonSerializerOptions Create()
    {
        var options = new JsonSerializerOptions(JsonSerializerDefaults.Web);
        Configure(options);
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }
}

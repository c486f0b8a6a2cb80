using System.Text.Json;

namespace Wave16.Conformance.Tests;

/// <summary>One operation of an OpenAPI document.</summary>
internal sealed record Operation(string Method, string Path, JsonElement Definition)
{
    public string Name => $"{Method} {Path}";

    /// <summary>Whether it reads its body as JSON of one shape, and not as a stream.</summary>
    public bool TakesJson => Definition.TryGetProperty("requestBody", out var body) && body.GetProperty("content").TryGetProperty("application/json", out var json)
        && json.GetProperty("schema").TryGetProperty("$ref", out var schema) && schema.GetString() != "#/components/schemas/Stream";

    /// <summary>A request that reaches the endpoint: path parameters are filled, everything else is left out.</summary>
    public HttpRequestMessage ToRequest()
    {
        var path = Path;
        if (Definition.TryGetProperty("parameters", out var parameters))
        {
            foreach (var parameter in parameters.EnumerateArray().Where(parameter => parameter.GetProperty("in").GetString() == "path"))
            {
                var isGuid = parameter.GetProperty("schema").TryGetProperty("format", out var format) && format.GetString() == "uuid";
                path = path.Replace($"{{{parameter.GetProperty("name").GetString()}}}", isGuid ? Guid.Empty.ToString() : "1", StringComparison.Ordinal);
            }
        }

        return new HttpRequestMessage(HttpMethod.Parse(Method), path);
    }
}

internal static class OpenApiDocument
{
    private static readonly string[] Methods = ["get", "put", "post", "delete", "patch", "head", "options"];

    public static IReadOnlyList<Operation> Operations(JsonElement document) =>
    [
        .. from path in document.GetProperty("paths").EnumerateObject()
           from member in path.Value.EnumerateObject()
           where Methods.Contains(member.Name)
           select new Operation(member.Name.ToUpperInvariant(), path.Name, member.Value),
    ];

    /// <summary>Component schemas that no operation refers to, directly or through other components.</summary>
    public static IEnumerable<string> UnreachedSchemas(JsonElement document)
    {
        HashSet<string> reached = [];
        Reach(document.GetProperty("paths"));
        return document.GetProperty("components").GetProperty("schemas").EnumerateObject().Select(schema => $"#/components/schemas/{schema.Name}").Where(schema => !reached.Contains(schema));

        void Reach(JsonElement value)
        {
            foreach (var part in Parts(value))
            {
                Reach(part);
            }

            if (value.ValueKind == JsonValueKind.Object && value.TryGetProperty("$ref", out var reference) && reference.GetString() is { } target && reached.Add(target))
            {
                Reach(Target(document, reference));
            }
        }
    }

    /// <summary>What a reference within the document refers to.</summary>
    public static JsonElement Target(JsonElement document, JsonElement reference) =>
        (reference.GetString() ?? "").Split('/').Skip(1).Aggregate(document, (at, name) => at.GetProperty(name));

    /// <summary>A schema of the document as a JSON Schema by itself.</summary>
    public static string Schema(JsonElement document, JsonElement schema) => JsonSerializer.Serialize(new Dictionary<string, JsonElement>(StringComparer.Ordinal)
    {
        ["definitions"] = document.GetProperty("components").GetProperty("schemas"),
        ["allOf"] = JsonSerializer.SerializeToElement(new[] { schema }),
    }).Replace("#/components/schemas/", "#/definitions/", StringComparison.Ordinal);

    private static IEnumerable<JsonElement> Parts(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => value.EnumerateObject().Select(member => member.Value),
        JsonValueKind.Array => value.EnumerateArray(),
        _ => [],
    };

    /// <summary>Where two JSON values differ, as JSON pointers; order of members does not count.</summary>
    public static IEnumerable<string> Differences(JsonElement expected, JsonElement actual, string pointer = "")
    {
        if (expected.ValueKind != actual.ValueKind)
        {
            return [$"{pointer}: {expected.ValueKind} became {actual.ValueKind}"];
        }

        return expected.ValueKind switch
        {
            JsonValueKind.Object => expected.EnumerateObject().Select(member => member.Name).Union(actual.EnumerateObject().Select(member => member.Name)).SelectMany(name =>
                !expected.TryGetProperty(name, out var before) ? [$"{pointer}/{name} is new"]
                : !actual.TryGetProperty(name, out var after) ? [$"{pointer}/{name} is gone"]
                : Differences(before, after, $"{pointer}/{name}")),
            JsonValueKind.Array when expected.GetArrayLength() != actual.GetArrayLength() => [$"{pointer}: {expected.GetArrayLength()} items became {actual.GetArrayLength()}"],
            JsonValueKind.Array => expected.EnumerateArray().Zip(actual.EnumerateArray()).SelectMany((pair, index) => Differences(pair.First, pair.Second, $"{pointer}/{index}")),
            _ => expected.GetRawText() == actual.GetRawText() ? [] : [$"{pointer}: {expected.GetRawText()} became {actual.GetRawText()}"],
        };
    }
}

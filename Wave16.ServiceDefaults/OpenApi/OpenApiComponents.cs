using Microsoft.OpenApi;

namespace Wave16.ServiceDefaults;

/// <summary>What every operation refers to.</summary>
internal static class OpenApiComponents
{
    public const string Bearer = "bearer";
    public const string Problem = "Problem";

    public static void AddTo(OpenApiDocument document)
    {
        var components = document.Components ??= new Microsoft.OpenApi.OpenApiComponents();
        components.SecuritySchemes ??= new Dictionary<string, IOpenApiSecurityScheme>(StringComparer.Ordinal);
        components.SecuritySchemes[Bearer] = new OpenApiSecurityScheme
        {
            Type = SecuritySchemeType.Http,
            Scheme = "bearer",
            BearerFormat = "JWT",
            Description = "A token of the configured OIDC authority, with the claims `tenant`, `sub`, and `roles` or `scope`.",
        };
        components.Schemas ??= new Dictionary<string, IOpenApiSchema>(StringComparer.Ordinal);
        components.Schemas[Problem] = ProblemSchema();
        components.Responses ??= new Dictionary<string, IOpenApiResponse>(StringComparer.Ordinal);
        components.Responses[Problem] = new OpenApiResponse
        {
            Description = "A problem document (RFC 9457).",
            Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal)
            {
                ["application/problem+json"] = new() { Schema = new OpenApiSchemaReference(Problem, document) },
            },
        };
    }

    /// <summary>The framework makes a schema of each type that an endpoint names; operations are completed without some of them.</summary>
    public static void RemoveUnreached(OpenApiDocument document)
    {
        var operations = document.Paths.Values.SelectMany(path => path.Operations ?? []).Select(operation => operation.Value).ToList();
        var reached = OpenApiReach.From(document,
        [
            .. operations.SelectMany(operation => operation.Parameters ?? []).Select(parameter => parameter.Schema),
            .. OpenApiReach.Bodies(operations.Select(operation => operation.RequestBody?.Content)),
            .. OpenApiReach.Bodies(operations.SelectMany(operation => operation.Responses ?? []).Select(response => response.Value.Content)),
            .. OpenApiReach.Bodies((document.Components?.Responses?.Values ?? []).Select(response => response.Content)),
        ]);
        if (document.Components?.Schemas is not { } schemas)
            return;
        foreach (var name in schemas.Where(schema => schema.Value is not OpenApiSchema own || !reached.Contains(own)).Select(schema => schema.Key).ToList())
            schemas.Remove(name);
    }

    private static OpenApiSchema ProblemSchema() => new()
    {
        Type = JsonSchemaType.Object,
        Required = new HashSet<string>(StringComparer.Ordinal) { "type", "title", "status", "code", "traceId" },
        Properties = new Dictionary<string, IOpenApiSchema>(StringComparer.Ordinal)
        {
            ["type"] = Text("urn:wave16:problem: and the code.", "uri"),
            ["title"] = Text("The same for every occurrence of the code."),
            ["status"] = new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int32" },
            ["detail"] = Text("About this occurrence."),
            ["code"] = Text("Stable; what a program decides on."),
            ["traceId"] = Text("Finds the request in traces and logs."),
            ["errors"] = new OpenApiSchema
            {
                Type = JsonSchemaType.Array,
                Items = new OpenApiSchema
                {
                    Type = JsonSchemaType.Object,
                    Required = new HashSet<string>(StringComparer.Ordinal) { "pointer", "reason" },
                    Properties = new Dictionary<string, IOpenApiSchema>(StringComparer.Ordinal)
                    {
                        ["pointer"] = Text("JSON pointer into the body (RFC 6901), ?name for a query parameter, or the name of a header."),
                        ["reason"] = Text("What is wrong with it."),
                    },
                },
            },
        },
    };

    private static OpenApiSchema Text(string description, string? format = null) =>
        new() { Type = JsonSchemaType.String, Description = description, Format = format };
}

using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Mvc.ApiExplorer;
using Microsoft.OpenApi;

namespace Wave16.ServiceDefaults;

/// <summary>Writes into an operation what its endpoint's metadata says and the framework does not know how to tell.</summary>
internal static class OpenApiOperations
{
    public static void Complete(OpenApiOperation operation, ApiDescription description, OpenApiDocument document)
    {
        var metadata = description.ActionDescriptor.EndpointMetadata;
        var parameters = metadata.OfType<IParameterBindingMetadata>().Select(p => p.ParameterInfo.ParameterType).ToHashSet();
        var anonymous = metadata.OfType<IAllowAnonymous>().Any();
        AddParameters(operation, parameters);
        DescribeTimes(operation, description.ParameterDescriptions);
        if (!anonymous)
            Secure(operation, metadata, document);

        var statuses = new List<int> { 400, 429, 500, 503 };
        if (!anonymous)
            statuses.AddRange([401, 403]);
        if (operation.Parameters?.Any(p => p.In == ParameterLocation.Path) == true)
            statuses.Add(404);
        if (parameters.Contains(typeof(IfMatch)))
            statuses.AddRange([412, 428]);
        if (operation.RequestBody is not null)
            statuses.AddRange([413, 415]);
        operation.Responses ??= [];
        foreach (var status in statuses)
            operation.Responses[status.ToString(CultureInfo.InvariantCulture)] = Problem(document);
        // What the endpoint itself declared as an error is a problem document too.
        foreach (var declared in operation.Responses.Keys.Where(status => status[0] is '4' or '5').ToList())
            operation.Responses[declared] = Problem(document);

        foreach (var also in metadata.OfType<AlsoProduced>())
            AddForm(operation, also, document);

        if (metadata.OfType<ETagMetadata>().Any())
        {
            foreach (var response in operation.Responses.Where(r => r.Key[0] == '2').Select(r => r.Value).OfType<OpenApiResponse>())
                AddHeader(response, "ETag", "The version, for If-Match and If-None-Match.");
        }

        if (metadata.OfType<Deprecation>().Any())
            operation.Deprecated = true;
    }

    private static OpenApiResponseReference Problem(OpenApiDocument document) => new(OpenApiComponents.Problem, document);

    private static void Secure(OpenApiOperation operation, IList<object> metadata, OpenApiDocument document)
    {
        var scopes = metadata.OfType<ScopeRequirement>().Select(r => r.Scope).Distinct(StringComparer.Ordinal).ToList();
        operation.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(OpenApiComponents.Bearer, document)] = scopes }];
    }

    private static void AddParameters(OpenApiOperation operation, HashSet<Type> bound)
    {
        operation.Parameters ??= [];
        if (bound.Contains(typeof(PageRequest)))
        {
            operation.Parameters.Add(new OpenApiParameter
            {
                Name = "limit",
                In = ParameterLocation.Query,
                Description = "Most items on the page.",
                Schema = new OpenApiSchema
                {
                    Type = JsonSchemaType.Integer,
                    Format = "int32",
                    Minimum = "1",
                    Maximum = PageRequest.MaxLimit.ToString(CultureInfo.InvariantCulture),
                    Default = JsonValue.Create(PageRequest.DefaultLimit),
                },
            });
            operation.Parameters.Add(new OpenApiParameter
            {
                Name = "cursor",
                In = ParameterLocation.Query,
                Description = "`next` of the page before, with the same filters.",
                Schema = new OpenApiSchema { Type = JsonSchemaType.String },
            });
        }

        if (bound.Contains(typeof(IfMatch)))
        {
            operation.Parameters.Add(new OpenApiParameter
            {
                Name = "If-Match",
                In = ParameterLocation.Header,
                Required = true,
                Description = "The ETag of the version this change was made against, or `*` for whichever is current.",
                Schema = new OpenApiSchema { Type = JsonSchemaType.String },
            });
        }
    }

    // The framework takes what is parsed for a text or an object, as it is bound. A parameter is there or is not; it is never null.
    private static void DescribeTimes(OpenApiOperation operation, IList<ApiParameterDescription> bound)
    {
        foreach (var time in bound.Where(parameter => IsTime(parameter.Type) || IsTime(parameter.ParameterDescriptor?.ParameterType)))
        {
            foreach (var parameter in (operation.Parameters ?? []).OfType<OpenApiParameter>().Where(parameter => parameter.Name == time.Name))
                parameter.Schema = new OpenApiSchema { Type = JsonSchemaType.String, Format = "date-time" };
        }

        static bool IsTime(Type? type) => type == typeof(Rfc3339Time) || type == typeof(Rfc3339Time?);
    }

    private static void AddForm(OpenApiOperation operation, AlsoProduced also, OpenApiDocument document)
    {
        if (operation.Responses?["200"] is not OpenApiResponse { Content: { } content })
            throw new InvalidOperationException($"{operation.OperationId} declares a second form of an answer of 200, and no first one.");
        IOpenApiSchema schema = also.Type == typeof(string) ? new OpenApiSchema { Type = JsonSchemaType.String } : new OpenApiSchemaReference(also.Type.Name, document);
        content[also.MediaType] = new OpenApiMediaType
        {
            Schema = content.TryGetValue(also.MediaType, out var first) && first.Schema is { } other ? new OpenApiSchema { AnyOf = [other, schema] } : schema,
        };
    }

    private static void AddHeader(OpenApiResponse response, string name, string description)
    {
        response.Headers ??= new Dictionary<string, IOpenApiHeader>(StringComparer.Ordinal);
        response.Headers[name] = new OpenApiHeader { Description = description, Schema = new OpenApiSchema { Type = JsonSchemaType.String } };
    }
}

using Microsoft.OpenApi;

namespace Wave16.ServiceDefaults;

/// <summary>What may be null is one of null and a component. The framework's component of an enum that is nullable anywhere has null too, and that of
/// any JSON has everything: null is then two of them, and no answer with null is valid.</summary>
internal static class OpenApiNulls
{
    public static void SayOnce(OpenApiDocument document)
    {
        if (document.Components?.Schemas is not { } components)
            return;
        foreach (var schema in components.Values.OfType<OpenApiSchema>())
        {
            if (schema.Enum is { } names)
                schema.Enum = [.. names.Where(name => name is not null && !name.IsJsonNullSentinel())];
            if (schema.Properties is not { } properties)
                continue;
            foreach (var (name, property) in properties.ToList())
            {
                if (property.OneOf is [_, OpenApiSchemaReference { Reference.Id: { } id } anything] && components.TryGetValue(id, out var target) && target is OpenApiSchema { Type: null, Enum: null or { Count: 0 }, OneOf: null or { Count: 0 }, AnyOf: null or { Count: 0 }, AllOf: null or { Count: 0 } })
                    properties[name] = anything;
            }
        }
    }
}

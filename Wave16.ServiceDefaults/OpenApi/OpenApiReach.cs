using Microsoft.OpenApi;

namespace Wave16.ServiceDefaults;

/// <summary>Which schemas others refer to, directly or through more of them.</summary>
internal static class OpenApiReach
{
    public static IEnumerable<IOpenApiSchema?> Bodies(IEnumerable<IDictionary<string, OpenApiMediaType>?> contents) =>
        contents.SelectMany(content => content?.Values ?? []).Select(media => media.Schema);

    public static HashSet<OpenApiSchema> From(OpenApiDocument document, IEnumerable<IOpenApiSchema?> schemas)
    {
        var reached = new HashSet<OpenApiSchema>(ReferenceEqualityComparer.Instance);
        foreach (var schema in schemas)
            Reach(schema);
        return reached;

        void Reach(IOpenApiSchema? schema)
        {
            // By name: a reference does not find what was added to the components since.
            if (schema is OpenApiSchemaReference { Reference.Id: { } name })
                schema = document.Components?.Schemas is { } schemas && schemas.TryGetValue(name, out var target) ? target : null;
            if (schema is not OpenApiSchema own || !reached.Add(own))
                return;
            foreach (var part in (IEnumerable<IOpenApiSchema?>)[own.Items, own.AdditionalProperties, .. own.Properties?.Values ?? [], .. own.OneOf ?? [], .. own.AnyOf ?? [], .. own.AllOf ?? []])
                Reach(part);
        }
    }
}

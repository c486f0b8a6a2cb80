using Microsoft.OpenApi;

namespace Wave16.ServiceDefaults;

/// <summary>A request that has an unknown member is refused, and its schema says so. An answer may get new members within a version.</summary>
internal static class OpenApiAnswers
{
    public static void LeaveOpen(OpenApiDocument document)
    {
        var operations = document.Paths.Values.SelectMany(path => path.Operations ?? []).Select(operation => operation.Value).ToList();
        var requests = Reached(operations.Select(operation => operation.RequestBody?.Content));
        var answers = Reached(operations.SelectMany(operation => operation.Responses ?? []).Select(response => response.Value.Content));
        foreach (var schema in (document.Components?.Schemas?.Values ?? []).OfType<OpenApiSchema>().Where(schema => !requests.Contains(schema) || answers.Contains(schema)))
            schema.AdditionalPropertiesAllowed = true;
    }

    private static HashSet<OpenApiSchema> Reached(IEnumerable<IDictionary<string, OpenApiMediaType>?> contents)
    {
        var reached = new HashSet<OpenApiSchema>(ReferenceEqualityComparer.Instance);
        foreach (var content in contents)
        {
            foreach (var media in content?.Values ?? [])
                Reach(media.Schema);
        }

        return reached;

        void Reach(IOpenApiSchema? schema)
        {
            if ((schema is OpenApiSchemaReference reference ? reference.RecursiveTarget : schema) is not OpenApiSchema own || !reached.Add(own))
                return;
            foreach (var part in (IEnumerable<IOpenApiSchema?>)[own.Items, own.AdditionalProperties, .. own.Properties?.Values ?? [], .. own.OneOf ?? [], .. own.AnyOf ?? [], .. own.AllOf ?? []])
                Reach(part);
        }
    }
}

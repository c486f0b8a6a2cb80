using Microsoft.OpenApi;

namespace Wave16.ServiceDefaults;

/// <summary>A request that has an unknown member is refused, and its schema says so. An answer may get new members within a version.</summary>
internal static class OpenApiAnswers
{
    public static void LeaveOpen(OpenApiDocument document)
    {
        var operations = document.Paths.Values.SelectMany(path => path.Operations ?? []).Select(operation => operation.Value).ToList();
        var requests = OpenApiReach.From(document, OpenApiReach.Bodies(operations.Select(operation => operation.RequestBody?.Content)));
        var answers = OpenApiReach.From(document, OpenApiReach.Bodies(operations.SelectMany(operation => operation.Responses ?? []).Select(response => response.Value.Content)));
        foreach (var schema in (document.Components?.Schemas?.Values ?? []).OfType<OpenApiSchema>().Where(schema => !requests.Contains(schema) || answers.Contains(schema)))
            schema.AdditionalPropertiesAllowed = true;
    }
}

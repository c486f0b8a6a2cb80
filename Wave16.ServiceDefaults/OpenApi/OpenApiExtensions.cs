using Microsoft.Extensions.DependencyInjection;
using Microsoft.OpenApi;

namespace Wave16.ServiceDefaults;

public static class OpenApiExtensions
{
    /// <summary>Adds an OpenAPI 3.1 document of the endpoints whose group name (<c>WithGroupName</c>) is the document's name.</summary>
    /// <remarks>Served at <c>/openapi/{documentName}.json</c> in Development. Bearer security with each operation's scope, the problem
    /// responses, and the parameters behind <see cref="PageRequest"/> and <see cref="IfMatch"/> are added by themselves.</remarks>
    /// <param name="services">Of the host.</param>
    /// <param name="documentName">The module's kebab-case name.</param>
    /// <param name="title">Shown to people.</param>
    public static IServiceCollection AddWave16OpenApi(this IServiceCollection services, string documentName, string title)
    {
        services.AddSingleton(new OpenApiDocumentName(documentName, title));
        services.AddOpenApi(documentName, options =>
        {
            options.OpenApiVersion = OpenApiSpecVersion.OpenApi3_1;
            options.ShouldInclude = description => description.GroupName == documentName;
            options.AddDocumentTransformer((document, _, _) =>
            {
                document.Info = new OpenApiInfo { Title = title, Version = "1" };
                OpenApiNulls.SayOnce(document);
                OpenApiAnswers.LeaveOpen(document);
                OpenApiComponents.AddTo(document);
                OpenApiComponents.RemoveUnreached(document);
                return Task.CompletedTask;
            });
            options.AddSchemaTransformer((schema, context, _) =>
            {
                OpenApiTimes.Describe(schema, context.JsonTypeInfo.Type);
                return Task.CompletedTask;
            });
            options.AddOperationTransformer((operation, context, _) =>
            {
                if (context.Document is { } document)
                    OpenApiOperations.Complete(operation, context.Description, document);
                return Task.CompletedTask;
            });
        });
        return services;
    }
}

internal sealed record OpenApiDocumentName(string Name, string Title);

using Microsoft.Extensions.DependencyInjection;

namespace Wave16.ServiceDefaults;

public static class OpenApiExtensions
{
    /// <summary>Adds an OpenAPI 3.1 document of the endpoints whose group name (<c>WithGroupName</c>) is the document's name.</summary>
    /// <param name="services">Of the host.</param>
    /// <param name="documentName">The module's kebab-case name.</param>
    /// <param name="title">Shown to people.</param>
    public static IServiceCollection AddWave16OpenApi(this IServiceCollection services, string documentName, string title)
    {
        services.AddSingleton(new OpenApiDocumentName(documentName, title));
        services.AddOpenApi(documentName);
        return services;
    }
}

internal sealed record OpenApiDocumentName(string Name, string Title);

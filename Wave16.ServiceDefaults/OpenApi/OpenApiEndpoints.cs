using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Scalar.AspNetCore;

namespace Wave16.ServiceDefaults;

internal static class OpenApiEndpoints
{
    public static void Map(IEndpointRouteBuilder app)
    {
        var documents = app.ServiceProvider.GetServices<OpenApiDocumentName>().ToList();
        if (documents.Count == 0)
            return;
        app.MapOpenApi("/openapi/{documentName}.json").AllowAnonymous();
        // Everything comes from the package itself: the page must work on a machine without a network.
        app.MapScalarApiReference("/scalar", options =>
        {
            options.Title = "Wave 16";
            options.DefaultFonts = false;
            options.Telemetry = false;
            options.Agent = new ScalarAgentOptions { Disabled = true };
            options.Mcp = new ScalarMcpOptions { Disabled = true };
            options.ShowDeveloperTools = DeveloperToolsVisibility.Never;
            options.PersistentAuthentication = true;
            foreach (var document in documents)
                options.AddDocument(document.Name, document.Title);
        }).AllowAnonymous();
    }
}

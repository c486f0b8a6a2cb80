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
        // Everything comes from the package itself: the page must work on a machine without a network. It opens with a token that
        // anyone could ask /dev/token for, so that a request can be sent from it at once.
        app.MapScalarApiReference("/scalar", (options, http) =>
        {
            options.Title = "Wave 16";
            options.DefaultFonts = false;
            options.Telemetry = false;
            options.Agent = new ScalarAgentOptions { Disabled = true };
            options.Mcp = new ScalarMcpOptions { Disabled = true };
            options.ShowDeveloperTools = DeveloperToolsVisibility.Never;
            var token = http.RequestServices.GetRequiredService<DevelopmentTokens>().Issue(new(Roles: [Access.Operator, Access.Auditor]));
            options.AddPreferredSecuritySchemes(OpenApiComponents.Bearer).AddHttpAuthentication(OpenApiComponents.Bearer, scheme => scheme.Token = token.AccessToken);
            foreach (var document in documents)
                options.AddDocument(document.Name, document.Title);
        }).AllowAnonymous();
    }
}

using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>Endpoint metadata: which of the process's modules an endpoint belongs to.</summary>
public sealed record ModuleEndpoint(string Module)
{
    /// <exception cref="InvalidOperationException">The request is not for a module's endpoint.</exception>
    public static string Of(HttpContext context) =>
        context.GetEndpoint()?.Metadata.GetMetadata<ModuleEndpoint>()?.Module
        ?? throw new InvalidOperationException($"{context.Request.Path} is not mapped by a module.");

    /// <summary>Until the module's schema is up its endpoints answer 503 with Retry-After, before anything of the request is read.</summary>
    internal static void Apply(IEndpointConventionBuilder endpoints, string module)
    {
        endpoints.WithMetadata(new ModuleEndpoint(module));
        endpoints.Finally(endpoint =>
        {
            if (endpoint.RequestDelegate is { } answer)
            {
                endpoint.RequestDelegate = context =>
                    context.RequestServices.GetRequiredKeyedService<ModuleReadiness>(module).NotReadyBecause is { } because
                        ? new Refusal(ProblemCodes.Unavailable.Code, $"The service is not ready: {because}. Nothing was done.").ToResult().ExecuteAsync(context)
                        : answer(context);
            }
        });
    }
}

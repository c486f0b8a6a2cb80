using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Authorization.Policy;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Modules;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Audit;

/// <summary>A 403 from a module's endpoint goes into that module's audit log before it is answered.</summary>
internal sealed class ForbiddenIsRecorded(IAuthorizationMiddlewareResultHandler answer) : IAuthorizationMiddlewareResultHandler
{
    public async Task HandleAsync(RequestDelegate next, HttpContext context, AuthorizationPolicy policy, PolicyAuthorizationResult authorizeResult)
    {
        if (authorizeResult.Forbidden && Caller.Of(context.User) is { } caller
            && context.GetEndpoint() is RouteEndpoint endpoint && endpoint.Metadata.GetMetadata<ModuleEndpoint>() is { Module: var module })
        {
            var attempt = Route(context, endpoint);
            await context.RequestServices.GetRequiredKeyedService<RefusedAttempts>(module)
                .RecordAsync(caller.Tenant, caller.Subject, attempt, attempt, ProblemCodes.Forbidden.Code, CancellationToken.None);
        }

        await answer.HandleAsync(next, context, policy, authorizeResult);
    }

    /// <summary>The pattern and not the path: what a caller makes up has no place in a log that is kept for ever.</summary>
    public static string Route(HttpContext context, RouteEndpoint endpoint) => $"{context.Request.Method} /{endpoint.RoutePattern.RawText?.Trim('/')}";
}

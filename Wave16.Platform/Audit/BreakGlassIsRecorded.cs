using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Authorization.Policy;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Audit;

/// <summary>
/// What a cross-tenant administrator does by break-glass, reading included, goes with the reason into the audit log of the
/// tenant that was entered, before it is served; and is not served when it cannot be recorded.
/// </summary>
internal sealed class BreakGlassIsRecorded(IAuthorizationMiddlewareResultHandler answer, ILogger<BreakGlassIsRecorded> log) : IAuthorizationMiddlewareResultHandler
{
    public async Task HandleAsync(RequestDelegate next, HttpContext context, AuthorizationPolicy policy, PolicyAuthorizationResult authorizeResult)
    {
        if (authorizeResult.Succeeded && Caller.Of(context.User) is { BreakGlass: { } reason } caller
            && context.GetEndpoint() is RouteEndpoint endpoint && endpoint.Metadata.GetMetadata<ModuleEndpoint>() is { Module: var module })
        {
            await RecordAsync(context, module, caller, ForbiddenIsRecorded.Route(context, endpoint), reason);
        }

        await answer.HandleAsync(next, context, policy, authorizeResult);
    }

    private async Task RecordAsync(HttpContext context, string module, Caller caller, string route, string reason)
    {
        var services = context.RequestServices;
        // The endpoint itself answers 503 while this is so.
        if (!services.GetRequiredKeyedService<ModuleDatabase>(module).IsReady)
        {
            return;
        }

        try
        {
            await services.GetRequiredKeyedService<LoneLeaves>(module)
                .WriteAsync(caller.Tenant, caller.Subject, "break-glass", route, new { reason = LoneLeaves.Clean(reason) }, CancellationToken.None);
        }
        catch (NpgsqlException failure)
        {
            log.LogWarning(failure, "{Module}: an entry by break-glass could not be recorded and was not served", module);
            throw new RefusedException(new Refusal(ProblemCodes.Unavailable.Code, "An entry by break-glass is served only when it can be recorded, and it cannot be right now."));
        }
    }
}

using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Authorization.Policy;
using Microsoft.AspNetCore.Http;

namespace Wave16.ServiceDefaults;

/// <summary>Says which scope was missing (RFC 6750 §3.1); everything else as the framework does it.</summary>
internal sealed class InsufficientScope(ProblemWriter problems) : IAuthorizationMiddlewareResultHandler
{
    private readonly AuthorizationMiddlewareResultHandler _framework = new();

    public Task HandleAsync(RequestDelegate next, HttpContext context, AuthorizationPolicy policy, PolicyAuthorizationResult authorizeResult)
    {
        if (authorizeResult.Succeeded)
            return next(context);
        if (!authorizeResult.Forbidden || authorizeResult.AuthorizationFailure?.FailedRequirements.OfType<ScopeRequirement>().FirstOrDefault() is not { } missing)
            return _framework.HandleAsync(next, context, policy, authorizeResult);
        context.Response.Headers.WWWAuthenticate = $"Bearer error=\"insufficient_scope\", scope=\"{missing.Scope}\"";
        return problems.WriteAsync(context, ProblemCodes.Forbidden, $"This needs the scope {missing.Scope}.");
    }
}

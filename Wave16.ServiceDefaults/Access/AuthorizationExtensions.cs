using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;

namespace Wave16.ServiceDefaults;

public static class AuthorizationExtensions
{
    /// <summary>Requires an authenticated caller who holds the scope; 401 or 403 otherwise.</summary>
    public static TBuilder RequireScope<TBuilder>(this TBuilder builder, string scope)
        where TBuilder : IEndpointConventionBuilder
    {
        var requirement = new ScopeRequirement(scope);
        builder.RequireAuthorization(new AuthorizationPolicyBuilder().RequireAuthenticatedUser().AddRequirements(requirement).Build());
        return builder.WithMetadata(requirement);
    }
}

/// <summary>Also endpoint metadata: what OpenAPI and the check at start read.</summary>
internal sealed class ScopeRequirement(string scope) : AuthorizationHandler<ScopeRequirement>, IAuthorizationRequirement
{
    public string Scope { get; } = scope;

    protected override Task HandleRequirementAsync(AuthorizationHandlerContext context, ScopeRequirement requirement)
    {
        if (Caller.Of(context.User) is { } caller && caller.Has(requirement.Scope))
            context.Succeed(requirement);
        return Task.CompletedTask;
    }

    public override string ToString() => $"scope {Scope}";
}

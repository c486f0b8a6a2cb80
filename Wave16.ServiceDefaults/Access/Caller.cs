using System.Security.Claims;
using Microsoft.AspNetCore.Http;

namespace Wave16.ServiceDefaults;

/// <summary>Who is calling, from the validated token and nothing else. A minimal API handler takes it as a parameter.</summary>
/// <param name="Tenant">Claim <c>tenant</c>. The tenant of every row the request may see.</param>
/// <param name="Subject">Claim <c>sub</c>.</param>
/// <param name="Scopes">What the caller may do: what the token's scopes and its roles both allow (see <see cref="Access"/>).</param>
/// <param name="Roles">Claim <c>roles</c>.</param>
/// <param name="Partner">Claim <c>partner</c>: the partner organisation acting, or null.</param>
public sealed record Caller(
    string Tenant, string Subject, IReadOnlySet<string> Scopes, IReadOnlySet<string> Roles, string? Partner)
{
    /// <summary>Claim <c>break_glass</c>: why a cross-tenant administrator entered this tenant. Belongs in every audit row.</summary>
    public string? BreakGlass { get; init; }

    public bool Has(string scope) => Scopes.Contains(scope);

    /// <summary>The caller behind the current request, or null when nobody has been authenticated.</summary>
    public static Caller? Of(ClaimsPrincipal principal) => (principal.Identity as CallerIdentity)?.Caller;

    /// <summary>Binds a handler's parameter; 401 when the endpoint lets anonymous callers in and this one is.</summary>
    public static ValueTask<Caller> BindAsync(HttpContext context) =>
        Of(context.User) is { } caller
            ? ValueTask.FromResult(caller)
            : throw new RefusedException(new Refusal(ProblemCodes.Unauthenticated.Code, "This needs a bearer token that names a tenant."));
}

/// <summary>Shared by every request with the same token, so nothing may change it.</summary>
internal sealed class CallerIdentity(ClaimsIdentity validated, Caller caller)
    : ClaimsIdentity(validated.Claims, validated.AuthenticationType, "sub", "roles")
{
    public Caller Caller { get; } = caller;

    public override void AddClaim(Claim claim) => throw Shared();

    public override void AddClaims(IEnumerable<Claim?> claims) => throw Shared();

    public override bool TryRemoveClaim(Claim? claim) => throw Shared();

    public override void RemoveClaim(Claim? claim) => throw Shared();

    public override ClaimsIdentity Clone() => new(this);

    private static InvalidOperationException Shared() => new("This identity is shared between requests; clone it to add claims.");
}

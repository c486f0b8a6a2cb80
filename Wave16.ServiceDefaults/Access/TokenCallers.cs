using System.Security.Claims;
using Microsoft.IdentityModel.Tokens;

namespace Wave16.ServiceDefaults;

/// <summary>A token that is genuine but says too little to act on.</summary>
internal sealed class UnusableTokenException(string message) : SecurityTokenException(message);

/// <summary>Reads the caller from a validated token's claims.</summary>
internal sealed class TokenCallers(AccessCatalogue access, AuthenticationSettings settings)
{
    // A tenant is the first part of every key: what could be taken for a separator must not be in it.
    private const int MaxTenantLength = 64;
    private const int MaxSubjectLength = 255;

    /// <exception cref="UnusableTokenException">No usable tenant or subject.</exception>
    public Caller Read(ClaimsIdentity identity)
    {
        var tenant = Single(identity, settings.TenantClaim) ?? throw new UnusableTokenException("The token names no tenant.");
        if (!IsTenant(tenant))
            throw new UnusableTokenException("The token's tenant is not a tenant id.");
        var subject = Single(identity, "sub") ?? throw new UnusableTokenException("The token names no subject.");
        if (subject.Length > MaxSubjectLength || subject.AsSpan().ContainsAnyInRange('\0', '\x1f'))
            throw new UnusableTokenException("The token's subject is not usable.");

        var roles = List(identity, "roles");
        var breakGlass = Single(identity, "break_glass");
        // Entra ID calls it scp, RFC 9068 scope.
        string[] scopes = [.. List(identity, "scope"), .. List(identity, "scp")];
        return new Caller(
            tenant, subject, access.Allowed(scopes, roles, breakGlass is not null), roles.ToHashSet(StringComparer.Ordinal),
            Single(identity, settings.PartnerClaim))
        {
            BreakGlass = roles.Contains(Access.CrossTenantAdministrator, StringComparer.Ordinal) ? breakGlass : null,
        };
    }

    /// <summary>1 to 64 of letters, digits, <c>.</c>, <c>_</c>, <c>-</c>, beginning with a letter or digit.</summary>
    internal static bool IsTenant(string tenant) =>
        tenant.Length is > 0 and <= MaxTenantLength && char.IsAsciiLetterOrDigit(tenant[0])
        && tenant.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    // A claim given twice is ambiguous, and an ambiguous tenant is none.
    private static string? Single(ClaimsIdentity identity, string type)
    {
        string? found = null;
        foreach (var claim in identity.Claims)
        {
            if (claim.Type != type)
                continue;
            if (found is not null)
                return null;
            found = claim.Value;
        }

        return string.IsNullOrWhiteSpace(found) || found is "[]" || found[0] is '{' ? null : found;
    }

    // A JSON array arrives as one claim per element, a string as one claim with spaces in it.
    private static string[] List(ClaimsIdentity identity, string type) =>
        [.. identity.Claims.Where(c => c.Type == type)
            .SelectMany(c => c.Value.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Distinct(StringComparer.Ordinal)];
}

using Azure.Core;
using Azure.Identity;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.IdentityModel.JsonWebTokens;

namespace Wave16.ServiceDefaults;

/// <summary>Who this process is at Azure's data services, where no password is configured.</summary>
public static class EntraIdentity
{
    private static readonly Lazy<TokenCredential> Own = new(static () => new DefaultAzureCredential());

    /// <summary>One for the process, because it keeps the tokens it was given.</summary>
    internal static TokenCredential Credential => Own.Value;

    /// <summary>
    /// Registers the process's <see cref="TokenCredential"/>: Azure.Identity's default chain, narrowed by <c>AZURE_CLIENT_ID</c> and
    /// <c>AZURE_TOKEN_CREDENTIALS</c>, which a deployment by Aspire sets. Nothing is asked before something needs a token.
    /// </summary>
    public static IServiceCollection AddEntraIdentity(this IServiceCollection services)
    {
        services.TryAddSingleton(_ => Credential);
        return services;
    }

    /// <summary>
    /// The name of a token's holder as a database role: a user's principal name, or the last segment of a managed identity's
    /// resource id. Claims: Microsoft identity platform, access token claims reference.
    /// </summary>
    /// <exception cref="InvalidOperationException">The token names neither.</exception>
    internal static string RoleOf(string token)
    {
        var claims = new JsonWebToken(token);
        return Claim("xms_mirid")?.Split('/')[^1] ?? Claim("upn") ?? Claim("preferred_username") ?? Claim("unique_name")
            ?? throw new InvalidOperationException("The Entra ID token names no managed identity and no user: put Username into the connection string.");

        string? Claim(string type) => claims.TryGetPayloadValue<string>(type, out var value) && value.Length > 0 ? value : null;
    }

    /// <summary>The object id of a token's holder, the user name at Azure's Redis.</summary>
    /// <exception cref="InvalidOperationException">The token has none.</exception>
    internal static string ObjectIdOf(string token) =>
        new JsonWebToken(token).TryGetPayloadValue<string>("oid", out var id) && id.Length > 0
            ? id
            : throw new InvalidOperationException("The Entra ID token has no oid: put user and password into the connection string.");

    /// <summary>Whether a host belongs to one of the domains, each with its leading dot.</summary>
    internal static bool IsIn(string? host, params ReadOnlySpan<string> domains)
    {
        foreach (var domain in domains)
        {
            if (host?.EndsWith(domain, StringComparison.OrdinalIgnoreCase) == true)
                return true;
        }

        return false;
    }
}

using System.Security.Cryptography;

namespace Wave16.ServiceDefaults;

/// <summary>Configuration section <c>Authentication</c>.</summary>
internal sealed class AuthenticationSettings
{
    public const string Section = "Authentication";
    public const string DefaultAudience = "wave16";

    /// <summary>OIDC issuer. Required everywhere but in Development. HTTPS, or HTTP on loopback.</summary>
    public string? Authority { get; set; }

    public string Audience { get; set; } = DefaultAudience;

    /// <summary>Where the authority puts our tenant: Entra ID prefixes the names of custom claims.</summary>
    public string TenantClaim { get; set; } = "tenant";

    public string PartnerClaim { get; set; } = "partner";

    /// <summary>Development only: the signing key as base64 PKCS #8, so that several local processes trust one another's development
    /// tokens. Without it each process makes its own. Ignored in every other environment.</summary>
    public string? DevelopmentKey { get; set; }

    public ECDsa CreateDevelopmentKey()
    {
        if (DevelopmentKey is null)
            return ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var key = ECDsa.Create();
        key.ImportPkcs8PrivateKey(Convert.FromBase64String(DevelopmentKey), out _);
        return key;
    }
}

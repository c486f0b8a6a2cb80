using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Wave16.Images.Tests;

/// <summary>The OIDC authority that a module needs outside Development, on loopback.</summary>
internal sealed class Authority : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ECDsaSecurityKey _key = new(ECDsa.Create(ECCurve.NamedCurves.nistP256)) { KeyId = "one" };

    private Authority(WebApplication app) => _app = app;

    public string Issuer => _app.Urls.Single();

    public static async Task<Authority> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var app = builder.Build();
        var authority = new Authority(app);
        var key = JsonWebKeyConverter.ConvertFromECDsaSecurityKey(authority._key);
        app.MapGet("/.well-known/openid-configuration", () => Results.Json(new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["issuer"] = authority.Issuer,
            ["jwks_uri"] = authority.Issuer + "/keys",
        }));
        app.MapGet("/keys", () => Results.Json(new { keys = new[] { new { kty = key.Kty, kid = authority._key.KeyId, use = "sig", crv = key.Crv, x = key.X, y = key.Y } } }));
        await app.StartAsync(TestContext.Current.CancellationToken);
        return authority;
    }

    /// <summary>For an operator of the tenant.</summary>
    public string Token(string tenant) => new JsonWebTokenHandler().CreateToken(new SecurityTokenDescriptor
    {
        Issuer = Issuer,
        Audience = "wave16",
        Claims = new Dictionary<string, object>(StringComparer.Ordinal) { ["tenant"] = tenant, ["sub"] = "ada", ["roles"] = (string[])["operator"] },
        SigningCredentials = new SigningCredentials(_key, SecurityAlgorithms.EcdsaSha256),
    });

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(CancellationToken.None);
        await _app.DisposeAsync();
    }
}

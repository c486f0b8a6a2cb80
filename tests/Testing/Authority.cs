using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Wave16.Testing;

/// <summary>An OIDC authority: publishes its metadata and keys over HTTP, signs tokens, rotates its keys.</summary>
public sealed class Authority : IAsyncDisposable
{
    private readonly WebApplication _app;
    private volatile SecurityKey[] _published = [];
    private int _keyFetches;

    private Authority(WebApplication app) => _app = app;

    public string Issuer => _app.Urls.Single();

    public int KeyFetches => _keyFetches;

    public RsaSecurityKey Rsa { get; private set; } = NewRsa();

    public ECDsaSecurityKey Elliptic { get; } = WithId(new ECDsaSecurityKey(ECDsa.Create(ECCurve.NamedCurves.nistP256)));

    public static async Task<Authority> StartAsync(CancellationToken cancellation)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var app = builder.Build();
        var authority = new Authority(app);
        authority._published = [authority.Rsa, authority.Elliptic];
        app.MapGet("/.well-known/openid-configuration", () => Results.Json(new Dictionary<string, object>
        {
            ["issuer"] = authority.Issuer,
            ["jwks_uri"] = authority.Issuer + "/keys",
        }));
        app.MapGet("/keys", () =>
        {
            Interlocked.Increment(ref authority._keyFetches);
            return Results.Json(new Dictionary<string, object> { ["keys"] = authority._published.Select(Public).ToArray() });
        });
        await app.StartAsync(cancellation);
        return authority;
    }

    /// <summary>From now on only a new RSA key is published.</summary>
    public void Rotate()
    {
        Rsa = NewRsa();
        _published = [Rsa];
    }

    public Task StopAsync(CancellationToken cancellation) => _app.StopAsync(cancellation);

    public IReadOnlyList<(string Key, string Value)> Settings => [("Authentication:Authority", Issuer)];

    public string Sign(
        SecurityKey? key = null, string algorithm = SecurityAlgorithms.RsaSha256, string? issuer = null, string audience = "wave16",
        DateTimeOffset? expires = null, DateTimeOffset? notBefore = null, bool withExpiry = true, params (string Name, object Value)[] claims)
    {
        var handler = new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false };
        return handler.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = issuer ?? Issuer,
            Audience = audience,
            Expires = withExpiry ? (expires ?? TimeProvider.System.GetUtcNow().AddHours(1)).UtcDateTime : null,
            NotBefore = notBefore?.UtcDateTime,
            Claims = claims.ToDictionary(c => c.Name, c => c.Value, StringComparer.Ordinal),
            SigningCredentials = new SigningCredentials(key ?? Rsa, algorithm),
        });
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private static RsaSecurityKey NewRsa() => WithId(new RsaSecurityKey(RSA.Create(2048)));

    private static T WithId<T>(T key)
        where T : AsymmetricSecurityKey
    {
        key.KeyId = Base64UrlEncoder.Encode(key.ComputeJwkThumbprint());
        return key;
    }

    private static Dictionary<string, string?> Public(SecurityKey key)
    {
        var jwk = JsonWebKeyConverter.ConvertFromSecurityKey(key);
        return new Dictionary<string, string?> { ["kty"] = jwk.Kty, ["kid"] = key.KeyId, ["use"] = "sig", ["n"] = jwk.N, ["e"] = jwk.E, ["crv"] = jwk.Crv, ["x"] = jwk.X, ["y"] = jwk.Y }
            .Where(p => p.Value is not null).ToDictionary();
    }
}

using System.Security.Cryptography;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Wave16.ServiceDefaults;

/// <summary>Issues tokens in Development. Not registered, and so neither served nor trusted, in any other environment.</summary>
internal sealed class DevelopmentTokens : IDisposable
{
    public const string Issuer = "urn:wave16:development";
    private static readonly TimeSpan DefaultLifetime = TimeSpan.FromHours(1);
    private static readonly TimeSpan MaxLifetime = TimeSpan.FromDays(1);

    private readonly ECDsa _key;
    private readonly AuthenticationSettings _settings;
    private readonly TimeProvider _time;
    private readonly JsonWebTokenHandler _handler = new() { SetDefaultTimesOnTokenCreation = false };

    public DevelopmentTokens(AuthenticationSettings settings, TimeProvider time)
    {
        (_settings, _time) = (settings, time);
        _key = settings.CreateDevelopmentKey();
        Key = new ECDsaSecurityKey(_key);
        Key.KeyId = Base64UrlEncoder.Encode(Key.ComputeJwkThumbprint());
    }

    public ECDsaSecurityKey Key { get; }

    public DevelopmentToken Issue(DevelopmentTokenRequest request)
    {
        var lifetime = request.Lifetime is { } seconds ? TimeSpan.FromSeconds(seconds) : DefaultLifetime;
        if (lifetime <= TimeSpan.Zero || lifetime > MaxLifetime)
            throw Invalid("/lifetime", $"must be from 1 to {(int)MaxLifetime.TotalSeconds} seconds");
        var tenant = request.Tenant ?? "demo";
        if (!TokenCallers.IsTenant(tenant))
            throw Invalid("/tenant", "must be 1 to 64 letters, digits, '.', '_' or '-'");
        string[] roles = [.. request.Roles ?? (request.Scopes is null ? [Access.Operator] : [])];
        if (roles.FirstOrDefault(role => Access.Roles.All(r => r.Name != role)) is not null)
            throw Invalid("/roles", "must be of " + string.Join(", ", Access.Roles.Select(r => r.Name)));

        var claims = new Dictionary<string, object>(StringComparer.Ordinal)
        {
            ["sub"] = request.Subject ?? "developer",
            [_settings.TenantClaim] = tenant,
            ["roles"] = roles,
        };
        if (request.Scopes is { Count: > 0 } scopes)
            claims["scope"] = string.Join(' ', scopes);
        if (request.Partner is { } partner)
            claims[_settings.PartnerClaim] = partner;
        if (request.BreakGlass is { } reason)
            claims["break_glass"] = reason;

        var now = _time.GetUtcNow().UtcDateTime;
        var token = _handler.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = Issuer,
            Audience = _settings.Audience,
            IssuedAt = now,
            NotBefore = now,
            Expires = now + lifetime,
            Claims = claims,
            SigningCredentials = new SigningCredentials(Key, SecurityAlgorithms.EcdsaSha256),
        });
        return new DevelopmentToken(token, "Bearer", (int)lifetime.TotalSeconds, tenant);
    }

    public void Dispose() => _key.Dispose();

    private static RefusedException Invalid(string pointer, string reason) =>
        new(new Refusal(ProblemCodes.Invalid.Code, "The token request is not valid.", [new FieldError(pointer, reason)]));

    public static void Map(IEndpointRouteBuilder app) =>
        app.MapPost("/dev/token", async (HttpContext http, CancellationToken cancel) =>
                TypedResults.Json(http.RequestServices.GetRequiredService<DevelopmentTokens>().Issue(await Read(http.Request, cancel)), Wave16Json.Options))
            .AllowAnonymous()
            .ExcludeFromDescription();

    // JSON, a form as curl -d sends it, or nothing at all: whatever is quickest to type.
    private static async Task<DevelopmentTokenRequest> Read(HttpRequest request, CancellationToken cancel)
    {
        if (request.HasFormContentType)
        {
            var form = await request.ReadFormAsync(cancel);
            return new DevelopmentTokenRequest(
                Text("tenant"), Text("subject"), List("scopes") ?? List("scope"), List("roles") ?? List("role"),
                int.TryParse(Text("lifetime"), System.Globalization.CultureInfo.InvariantCulture, out var seconds) ? seconds : null,
                Text("partner"), Text("breakGlass"));

            string? Text(string name) => form[name] is [{ Length: > 0 } value, ..] ? value : null;
            IReadOnlyList<string>? List(string name) => form[name].Count == 0
                ? null
                : [.. form[name].SelectMany(v => (v ?? "").Split([' ', ','], StringSplitOptions.RemoveEmptyEntries))];
        }

        if (!request.HasJsonContentType())
            return new DevelopmentTokenRequest();
        try
        {
            return await request.ReadFromJsonAsync<DevelopmentTokenRequest>(Wave16Json.Options, cancel) ?? new DevelopmentTokenRequest();
        }
        catch (System.Text.Json.JsonException json)
        {
            throw new BadHttpRequestException("The token request is not valid JSON.", json);
        }
    }
}

/// <param name="Tenant"><c>demo</c> unless given.</param>
/// <param name="Subject"><c>developer</c> unless given.</param>
/// <param name="Scopes">Alone: exactly these. With roles: narrows them.</param>
/// <param name="Roles"><c>operator</c> unless scopes or roles are given.</param>
/// <param name="Lifetime">Seconds, an hour unless given, a day at most.</param>
/// <param name="Partner">The partner organisation to act for.</param>
/// <param name="BreakGlass">The reason a cross-tenant administrator gives.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
internal sealed record DevelopmentTokenRequest(
    string? Tenant = null, string? Subject = null, IReadOnlyList<string>? Scopes = null, IReadOnlyList<string>? Roles = null,
    int? Lifetime = null, string? Partner = null, string? BreakGlass = null);

/// <summary>RFC 6749 §5.1.</summary>
internal sealed record DevelopmentToken(
    [property: JsonPropertyName("access_token")] string AccessToken,
    [property: JsonPropertyName("token_type")] string TokenType,
    [property: JsonPropertyName("expires_in")] int ExpiresIn,
    string Tenant);

using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Microsoft.IdentityModel.Tokens;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class AuthenticationTests
{
    private static void Things(WebApplication app)
    {
        app.MapGet("/things", (Caller caller) => new
        {
            caller.Tenant,
            caller.Subject,
            Scopes = caller.Scopes.Order(StringComparer.Ordinal),
            Roles = caller.Roles.Order(StringComparer.Ordinal),
            caller.Partner,
            caller.BreakGlass,
        }).RequireScope("things.read");
        app.MapPost("/things", () => TypedResults.Ok()).RequireScope("things.write");
        app.MapGet("/open", (Caller caller) => caller.Tenant).AllowAnonymous();
    }

    private static void Declare(WebApplicationBuilder builder) => builder.Services.AddScopes(
        new Scope("things.read", "sample", "read things", Access.Reader, Access.Operator, Access.CrossTenantAdministrator),
        new Scope("things.write", "sample", "write things", Access.Operator));

    // What a usable token says besides who issued it.
    private static readonly (string, object)[] Ada = [("tenant", "acme"), ("sub", "ada"), ("scope", "things.read")];

    private static Task<Service> Production(Authority authority, Action<WebApplicationBuilder>? add = null, string environment = "Production") =>
        Service.Start(Things, environment, [.. authority.Settings], builder =>
        {
            Declare(builder);
            add?.Invoke(builder);
        });

    [Theory]
    [InlineData(SecurityAlgorithms.RsaSha256)]
    [InlineData(SecurityAlgorithms.RsaSsaPssSha256)]
    [InlineData(SecurityAlgorithms.EcdsaSha256)]
    public async Task A_token_of_the_authority_names_the_caller(string algorithm)
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var service = await Production(authority);
        SecurityKey key = algorithm == SecurityAlgorithms.EcdsaSha256 ? authority.Elliptic : authority.Rsa;

        var answer = await service.Get("/things", authority.Sign(key, algorithm, claims: [("tenant", "acme"), ("sub", "ada"), ("scope", "things.read x"), ("partner", "p1")]));

        Assert.Equal(200, answer.Status);
        Assert.Equal("""{"tenant":"acme","subject":"ada","scopes":["things.read","x"],"roles":[],"partner":"p1","breakGlass":null}""", answer.Body);
    }

    [Fact]
    public async Task Scopes_may_be_an_array_and_roles_too()
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var service = await Production(authority);

        var answer = await service.Get("/things", authority.Sign(claims:
            [("tenant", "acme"), ("sub", "ada"), ("scope", new[] { "things.read", "openid" }), ("roles", new[] { "reader", "operator" })]));

        Assert.Equal("""{"tenant":"acme","subject":"ada","scopes":["things.read"],"roles":["operator","reader"],"partner":null,"breakGlass":null}""", answer.Body);
    }

    public static TheoryData<string, string> Unusable => new()
    {
        { "expired", "The token has expired." },
        { "not yet valid", "The token is not valid yet." },
        { "no expiry", "The token is not valid here." },
        { "wrong audience", "The token is not valid here." },
        { "wrong issuer", "The token is not valid here." },
        { "unsigned", "The token is not valid here." },
        { "HS256 with the public key", "The token is not valid here." },
        { "an algorithm we do not accept", "The token is not valid here." },
        { "a key that is not published", "The token is not valid here." },
        { "a changed payload", "The token is not valid here." },
        { "no tenant", "The token names no tenant." },
        { "two tenants", "The token names no tenant." },
        { "a tenant with a separator", "The token's tenant is not a tenant id." },
        { "no subject", "The token names no subject." },
        { "not a token", "The token is not valid here." },
    };

    [Theory]
    [MemberData(nameof(Unusable))]
    public async Task A_token_is_refused_when_it_is(string flaw, string detail)
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var service = await Production(authority);
        var now = TimeProvider.System.GetUtcNow();
        var ada = Ada;
        var token = flaw switch
        {
            "expired" => authority.Sign(expires: now.AddMinutes(-1), claims: ada),
            "not yet valid" => authority.Sign(notBefore: now.AddMinutes(1), claims: ada),
            "no expiry" => authority.Sign(withExpiry: false, claims: ada),
            "wrong audience" => authority.Sign(audience: "others", claims: ada),
            "wrong issuer" => authority.Sign(issuer: "https://elsewhere.example", claims: ada),
            "unsigned" => Unsigned(authority.Sign(claims: ada)),
            "HS256 with the public key" => authority.Sign(
                new SymmetricSecurityKey(Encoding.UTF8.GetBytes(authority.Rsa.Rsa.ExportSubjectPublicKeyInfoPem())) { KeyId = authority.Rsa.KeyId }, SecurityAlgorithms.HmacSha256, claims: ada),
            "an algorithm we do not accept" => authority.Sign(algorithm: SecurityAlgorithms.RsaSha512, claims: ada),
            "a key that is not published" => authority.Sign(new RsaSecurityKey(System.Security.Cryptography.RSA.Create(2048)) { KeyId = authority.Rsa.KeyId }, claims: ada),
            "a changed payload" => WithPayloadOf(authority.Sign(claims: ada), authority.Sign(claims: [("tenant", "other"), ("sub", "ada")])),
            "no tenant" => authority.Sign(claims: [("sub", "ada"), ("scope", "things.read")]),
            "two tenants" => authority.Sign(claims: [("sub", "ada"), ("tenant", new[] { "acme", "other" })]),
            "a tenant with a separator" => authority.Sign(claims: [("sub", "ada"), ("tenant", "acme/other")]),
            "no subject" => authority.Sign(claims: [("tenant", "acme")]),
            _ => "abc",
        };

        var answer = await service.Get("/things", token);

        Assert.Equal(401, answer.Status);
        Assert.Equal("unauthenticated", answer.Problem());
        Assert.Equal(detail, answer.Json.GetProperty("detail").GetString());
        Assert.StartsWith("Bearer error=\"invalid_token\"", answer.Headers["WWW-Authenticate"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_request_without_a_token_is_told_to_send_one()
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var service = await Production(authority);

        var answer = await service.Get("/things");

        Assert.Equal((401, "unauthenticated", "Bearer"), (answer.Status, answer.Problem(), answer.Headers["WWW-Authenticate"]));
    }

    [Fact]
    public async Task An_anonymous_endpoint_that_asks_for_the_caller_answers_401()
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var service = await Production(authority);

        var answer = await service.Get("/open");

        Assert.Equal((401, "unauthenticated"), (answer.Status, answer.Problem()));
    }

    [Fact]
    public async Task A_token_without_the_scope_is_told_which_one_it_lacks()
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var service = await Production(authority);

        var answer = await service.Send(HttpMethod.Post, "/things", authority.Sign(claims: Ada));

        Assert.Equal((403, "forbidden"), (answer.Status, answer.Problem()));
        Assert.Equal("This needs the scope things.write.", answer.Json.GetProperty("detail").GetString());
        Assert.Equal("Bearer error=\"insufficient_scope\", scope=\"things.write\"", answer.Headers["WWW-Authenticate"]);
    }

    [Fact]
    public async Task A_remembered_token_is_refused_once_it_has_expired()
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var service = await Production(authority, builder => builder.Services.AddSingleton<TimeProvider>(time));
        var token = authority.Sign(expires: time.GetUtcNow().AddMinutes(2), claims: Ada);
        Assert.Equal(200, (await service.Get("/things", token)).Status);
        Assert.Equal(1, service.App.Services.GetRequiredService<CachingTokenHandler>().CachedCount);

        time.Advance(TimeSpan.FromSeconds(151));

        Assert.Equal(401, (await service.Get("/things", token)).Status);
    }

    [Fact]
    public async Task A_remembered_token_is_refused_once_its_key_has_been_withdrawn()
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var service = await Production(authority);
        var old = authority.Sign(claims: Ada);
        Assert.Equal(200, (await service.Get("/things", old)).Status);

        authority.Rotate();
        // An unknown key makes the host fetch the keys in the background; meanwhile the client is refused and tries again.
        var withNewKey = authority.Sign(claims: Ada);
        var attempts = 0;
        while ((await service.Get("/things", withNewKey)).Status != 200)
            Assert.InRange(++attempts, 1, 2000);

        Assert.Equal(2, authority.KeyFetches);
        Assert.Equal(401, (await service.Get("/things", old)).Status);
    }

    [Fact]
    public async Task While_the_authority_cannot_be_reached_unknown_tokens_are_a_503_and_known_ones_go_on()
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        var token = authority.Sign(claims: Ada);
        await using var knows = await Production(authority);
        await using var fresh = await Production(authority);
        Assert.Equal(200, (await knows.Get("/things", token)).Status);

        await authority.StopAsync(TestContext.Current.CancellationToken);

        var answer = await fresh.Get("/things", token);
        Assert.Equal((503, "unavailable", "2"), (answer.Status, answer.Problem(), answer.Headers["Retry-After"]));
        Assert.Equal(200, (await knows.Get("/things", token)).Status);
        Assert.Equal(401, (await fresh.Get("/things")).Status);
    }

    [Fact]
    public async Task Refused_tokens_are_not_remembered()
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var service = await Production(authority);

        for (var i = 0; i < 3; i++)
            Assert.Equal(401, (await service.Get("/things", authority.Sign(audience: "others", claims: Ada))).Status);

        Assert.Equal(0, service.App.Services.GetRequiredService<CachingTokenHandler>().CachedCount);
    }

    [Fact]
    public async Task The_memory_of_tokens_is_bounded_and_keeps_the_latest()
    {
        var settings = new AuthenticationSettings();
        using var issuer = new DevelopmentTokens(settings, TimeProvider.System);
        var handler = new CachingTokenHandler(new TokenCallers(new AccessCatalogue([]), settings), TimeProvider.System, generationSize: 4);
        var parameters = new TokenValidationParameters { ValidIssuer = DevelopmentTokens.Issuer, ValidAudience = "wave16", IssuerSigningKey = issuer.Key };

        TokenValidationResult? last = null;
        var token = "";
        for (var i = 0; i < 50; i++)
        {
            token = issuer.Issue(new DevelopmentTokenRequest(Subject: $"s{i}")).AccessToken;
            last = await handler.ValidateTokenAsync(token, parameters);
        }

        Assert.InRange(handler.CachedCount, 1, 8);
        Assert.Same(last, await handler.ValidateTokenAsync(token, parameters));
    }

    [Fact]
    public async Task The_identity_that_requests_share_cannot_be_changed()
    {
        await using var service = await Service.Start(app => app.MapGet("/change", (HttpContext http) =>
        {
            Assert.Throws<InvalidOperationException>(() => (http.User.Identity as CallerIdentity)?.AddClaim(new("tenant", "other")));
            Assert.Throws<InvalidOperationException>(() => (http.User.Identity as CallerIdentity)?.RemoveClaim(http.User.FindFirst("tenant")));
            return "unchanged";
        }).RequireAuthorization());

        Assert.Equal("unchanged", (await service.Get("/change", await service.Token("acme"))).Body);
    }

    [Theory]
    [InlineData("Production")]
    [InlineData("Staging")]
    [InlineData("Test")]
    public async Task Outside_Development_there_are_no_development_tokens(string environment)
    {
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var development = await Service.Start();
        await using var service = await Production(authority, environment: environment);

        var answer = await service.PostJson("/dev/token", "{}");

        Assert.Equal((404, "not-found"), (answer.Status, answer.Problem()));
        Assert.Null(service.App.Services.GetService<DevelopmentTokens>());
        Assert.Equal(401, (await service.Get("/things", await development.Token("acme", "things.read"))).Status);
    }

    [Fact]
    public async Task A_configured_development_key_is_trusted_among_developers_and_ignored_in_Production()
    {
        using var key = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP256);
        var setting = ("Authentication:DevelopmentKey", Convert.ToBase64String(key.ExportPkcs8PrivateKey()));
        await using var authority = await Authority.StartAsync(TestContext.Current.CancellationToken);
        await using var issuer = await Service.Start(settings: [setting]);
        await using var neighbour = await Service.Start(Things, settings: [setting], add: Declare);
        await using var production = await Service.Start(Things, "Production", [setting, .. authority.Settings], Declare);
        var token = await issuer.Token("acme", "things.read");

        Assert.Equal(200, (await neighbour.Get("/things", token)).Status);
        Assert.Equal(401, (await production.Get("/things", token)).Status);
    }

    [Theory]
    [InlineData("Production")]
    [InlineData("Staging")]
    public async Task Outside_Development_a_host_without_an_authority_does_not_start(string environment)
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => Service.Start(environment: environment));

        Assert.Contains("Authentication:Authority", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_development_token_is_an_operators_of_the_demo_tenant_unless_told_otherwise()
    {
        await using var service = await Service.Start(Things, add: Declare);

        var bare = await service.Send(HttpMethod.Post, "/dev/token");
        var answer = await service.Get("/things", bare.Json.GetProperty("access_token").GetString());

        Assert.Equal(("Bearer", 3600), (bare.Json.GetProperty("token_type").GetString(), bare.Json.GetProperty("expires_in").GetInt32()));
        Assert.Equal(("demo", "developer"), (answer.Json.GetProperty("tenant").GetString(), answer.Json.GetProperty("subject").GetString()));
        Assert.Equal("operator", answer.Json.GetProperty("roles")[0].GetString());
    }

    [Fact]
    public async Task A_development_token_can_be_asked_for_with_a_form()
    {
        await using var service = await Service.Start(Things, add: Declare);
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["tenant"] = "acme", ["scope"] = "things.read other" });

        var token = (await service.Send(HttpMethod.Post, "/dev/token", token: null, form)).Json.GetProperty("access_token").GetString();
        var answer = await service.Get("/things", token);

        Assert.Equal("""{"tenant":"acme","subject":"developer","scopes":["other","things.read"],"roles":[],"partner":null,"breakGlass":null}""", answer.Body);
    }

    [Theory]
    [InlineData("""{"lifetime":0}""", "/lifetime")]
    [InlineData("""{"lifetime":86401}""", "/lifetime")]
    [InlineData("""{"tenant":"a/b"}""", "/tenant")]
    [InlineData("""{"roles":["root"]}""", "/roles")]
    [InlineData("""{"lifetime":"long"}""", "/lifetime")]
    public async Task A_development_token_that_could_not_be_used_is_not_issued(string request, string pointer)
    {
        await using var service = await Service.Start();

        var answer = await service.PostJson("/dev/token", request);

        Assert.Equal((400, "request.invalid"), (answer.Status, answer.Problem()));
        Assert.StartsWith(pointer + " ", Assert.Single(answer.Errors()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, 403)]
    [InlineData("INC-7: gate stuck", 200)]
    public async Task A_cross_tenant_administrator_enters_only_with_a_reason(string? reason, int status)
    {
        await using var service = await Service.Start(Things, add: Declare);

        var token = await service.Token(new { tenant = "acme", roles = new[] { Access.CrossTenantAdministrator }, breakGlass = reason });
        var answer = await service.Get("/things", token);

        Assert.Equal(status, answer.Status);
        if (status == 200)
            Assert.Equal(reason, answer.Json.GetProperty("breakGlass").GetString());
    }

    private static string Unsigned(string token) =>
        Base64UrlEncoder.Encode("""{"alg":"none","typ":"JWT"}""") + "." + token.Split('.')[1] + ".";

    private static string WithPayloadOf(string token, string other) =>
        string.Join('.', token.Split('.')[0], other.Split('.')[1], token.Split('.')[2]);
}

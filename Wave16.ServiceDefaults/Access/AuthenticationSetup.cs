using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.IdentityModel.Tokens;

namespace Wave16.ServiceDefaults;

internal static class AuthenticationSetup
{
    private static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(30);

    public static void AddCallers(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        var settings = builder.Configuration.GetSection(AuthenticationSettings.Section).Get<AuthenticationSettings>() ?? new AuthenticationSettings();
        if (settings.Authority is null && !builder.Environment.IsDevelopment() && !OpenApiBuild.IsRunning)
            throw new InvalidOperationException("Authentication:Authority is not configured. Only Development can do without an OIDC authority.");

        services.AddSingleton(settings);
        services.AddSingleton<AccessCatalogue>();
        services.AddSingleton<TokenCallers>();
        services.AddSingleton<CachingTokenHandler>();
        services.AddMetrics();
        services.AddSingleton<UnauthenticatedRequests>();
        if (builder.Environment.IsDevelopment())
            services.AddSingleton<DevelopmentTokens>();

        services.AddAuthentication(JwtBearerDefaults.AuthenticationScheme).AddJwtBearer();
        // Comes with AddAuthentication for the sake of cookies, and would write keys to the disk at every start.
        foreach (var keyRing in services.Where(s => s.ServiceType == typeof(IHostedService) && s.ImplementationType?.Name == "DataProtectionHostedService").ToList())
            services.Remove(keyRing);
        services.AddOptions<JwtBearerOptions>(JwtBearerDefaults.AuthenticationScheme)
            .Configure<IServiceProvider>((options, provider) => Configure(options, settings, provider))
            .PostConfigure(options =>
            {
                // Otherwise a key that the authority has withdrawn stays good for another hour.
                if (options.ConfigurationManager is BaseConfigurationManager manager)
                    manager.UseLastKnownGoodConfiguration = false;
            });

        services.AddSingleton<IAuthorizationMiddlewareResultHandler, InsufficientScope>();
        services.AddAuthorizationBuilder()
            .SetDefaultPolicy(new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build())
            // Deny by default. Where no route matched (404), or only with another method (405) or media type (415), there is nothing
            // to protect, and the answer says so to anyone.
            .SetFallbackPolicy(new AuthorizationPolicyBuilder()
                .RequireAssertion(context => context.Resource is HttpContext http && http.GetEndpoint() is not RouteEndpoint || Caller.Of(context.User) is not null)
                .Build());
        services.AddHostedService<EndpointGuard>();
    }

    private static void Configure(JwtBearerOptions options, AuthenticationSettings settings, IServiceProvider provider)
    {
        var time = provider.GetRequiredService<TimeProvider>();
        options.Authority = settings.Authority;
        options.RequireHttpsMetadata = !(Uri.TryCreate(settings.Authority, UriKind.Absolute, out var authority) && authority.IsLoopback);
        options.AutomaticRefreshInterval = TimeSpan.FromHours(1);
        options.RefreshInterval = TimeSpan.FromSeconds(30);
        options.MapInboundClaims = false;
        options.SaveToken = false;
        options.TokenHandlers.Clear();
        options.TokenHandlers.Add(provider.GetRequiredService<CachingTokenHandler>());
        options.TokenValidationParameters = new TokenValidationParameters
        {
            ValidAlgorithms = [SecurityAlgorithms.RsaSha256, SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.RsaSsaPssSha256],
            ValidAudience = settings.Audience,
            RequireExpirationTime = true,
            RequireSignedTokens = true,
            LifetimeValidator = (notBefore, expires, _, _) => IsCurrent(notBefore, expires, time.GetUtcNow().UtcDateTime),
            NameClaimType = "sub",
            RoleClaimType = "roles",
        };
        // Null outside Development: the key and its issuer are trusted nowhere else.
        if (provider.GetService<DevelopmentTokens>() is { } development)
        {
            options.TokenValidationParameters.ValidIssuers = [DevelopmentTokens.Issuer];
            options.TokenValidationParameters.IssuerSigningKeys = [development.Key];
        }

        options.Events = new JwtBearerEvents
        {
            OnChallenge = context =>
            {
                if (context.AuthenticateFailure is AuthorityUnavailableException)
                {
                    context.HandleResponse();
                    return context.HttpContext.RequestServices.GetRequiredService<ProblemWriter>().WriteAsync(
                        context.HttpContext, ProblemCodes.Unavailable, "The authority that issues tokens cannot be reached right now.");
                }

                provider.GetRequiredService<UnauthenticatedRequests>().Count(context.AuthenticateFailure);
                if (context.AuthenticateFailure is { } failure)
                    context.HttpContext.Features.Set(new RefusedToken(failure));
                if (context.AuthenticateFailure is UnusableTokenException unusable)
                    context.ErrorDescription = unusable.Message;
                return Task.CompletedTask;
            },
        };
    }

    private static bool IsCurrent(DateTime? notBefore, DateTime? expires, DateTime now)
    {
        if (expires is null)
            throw new SecurityTokenNoExpirationException("The token has no expiry.");
        // The skew is added to our own clock: a token may carry the first or last representable time.
        if (now - ClockSkew > expires)
            throw new SecurityTokenExpiredException("The token has expired.") { Expires = expires.Value };
        if (notBefore is { } start && now + ClockSkew < start)
            throw new SecurityTokenNotYetValidException("The token is not valid yet.") { NotBefore = start };
        return true;
    }
}

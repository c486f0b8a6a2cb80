using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.Tokens;

namespace Wave16.ServiceDefaults;

internal static class ProblemSetup
{
    public static void AddProblems(this IServiceCollection services)
    {
        services.AddSingleton<ProblemCatalogue>();
        services.AddSingleton<ProblemWriter>();
        services.AddSingleton<IProblemDetailsWriter>(provider => provider.GetRequiredService<ProblemWriter>());
        services.AddProblemDetails();
        services.AddExceptionHandler<ExceptionToProblem>();
        // Otherwise the framework answers 400 without saying which parameter, except in Development.
        services.Configure<RouteHandlerOptions>(options => options.ThrowOnBadRequest = true);
        services.ConfigureHttpJsonOptions(options =>
        {
            Wave16Json.Configure(options.SerializerOptions);
            // A misspelt member of a request would otherwise change what it means without anybody noticing.
            options.SerializerOptions.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        });
    }

    public static void UseProblems(this WebApplication app)
    {
        app.UseExceptionHandler();
        app.UseStatusCodePages(static context => Write(context.HttpContext));
    }

    /// <summary>A status without a body: from routing, authentication, Kestrel or a handler's empty result.</summary>
    private static Task Write(HttpContext http)
    {
        // 499: there is nobody left to write to.
        if (http.Response.StatusCode == StatusCodes.Status499ClientClosedRequest)
            return Task.CompletedTask;
        var writer = http.RequestServices.GetRequiredService<ProblemWriter>();
        return http.Response.StatusCode == StatusCodes.Status401Unauthorized
            ? writer.WriteAsync(http, ProblemCodes.Unauthenticated, WhyUnauthenticated(http))
            : writer.WriteStatusAsync(http, http.Response.StatusCode);
    }

    private static string WhyUnauthenticated(HttpContext http) =>
        http.Features.Get<RefusedToken>()?.Reason switch
        {
            null => "Send Authorization: Bearer with a token of the configured authority.",
            SecurityTokenExpiredException => "The token has expired.",
            SecurityTokenNotYetValidException => "The token is not valid yet.",
            UnusableTokenException unusable => unusable.Message,
            _ => "The token is not valid here.",
        };
}

/// <summary>Why the token of this request was not accepted.</summary>
internal sealed record RefusedToken(Exception Reason);

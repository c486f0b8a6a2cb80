using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Wave16.ServiceDefaults;

/// <summary>Declares problem codes and turns refusals into answers.</summary>
public static class Problems
{
    /// <summary>Declares a module's own codes. A code that is answered but not declared is a bug and becomes a 500.</summary>
    public static IServiceCollection AddProblemCodes(this IServiceCollection services, params ProblemCode[] codes)
    {
        foreach (var code in codes)
            services.AddSingleton(code);
        return services;
    }

    /// <summary>The answer for a refusal: <c>application/problem+json</c> (RFC 9457) with the status of its code.</summary>
    public static RefusalResult ToResult(this Refusal refusal) => new(refusal);
}

/// <summary>A problem document on its way out. A named type, so that it can stand in a <c>Results&lt;…&gt;</c> union.</summary>
public sealed class RefusalResult : IResult
{
    internal RefusalResult(Refusal refusal) => Refusal = refusal;

    public Refusal Refusal { get; }

    public Task ExecuteAsync(HttpContext httpContext) =>
        httpContext.RequestServices.GetRequiredService<ProblemWriter>().WriteAsync(httpContext, Refusal);
}

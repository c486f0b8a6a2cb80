using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Wave16.ServiceDefaults;

/// <summary>The one place where an exception becomes an answer.</summary>
internal sealed class ExceptionToProblem(
    IEnumerable<IExceptionMapper> contributed, ProblemWriter writer, IOptions<JsonOptions> json, ILogger<ExceptionToProblem> logger)
    : IExceptionHandler
{
    private readonly IExceptionMapper[] _mappers = [.. contributed, new InfrastructureFailures()];

    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        switch (exception)
        {
            case RefusedException refused:
                await writer.WriteAsync(httpContext, refused.Refusal);
                return true;
            case BadHttpRequestException bad:
                var (code, detail, errors) = BadRequests.Describe(bad, BodyOf(httpContext), parameter => Sent(httpContext, parameter));
                await writer.WriteAsync(httpContext, code, detail, errors);
                return true;
        }

        if (httpContext.RequestAborted.IsCancellationRequested && Causes(exception).Any(e => e is OperationCanceledException or IOException))
        {
            // Nobody is there to read an answer, and nothing of ours is wrong.
            httpContext.Response.StatusCode = StatusCodes.Status499ClientClosedRequest;
            return true;
        }

        foreach (var cause in Causes(exception))
        {
            foreach (var mapper in _mappers)
            {
                if (mapper.Map(cause) is not { } answer)
                    continue;
                // No stack: it is always the same, and an outage would write it thousands of times.
                logger.LogWarning(
                    "{Method} {Route} answers {Code}: {Dependency} {Cause}",
                    httpContext.Request.Method, Route(httpContext), answer.Code.Code, answer.Dependency, cause.GetType().FullName);
                await writer.WriteAsync(httpContext, answer.Code, answer.Detail, errors: null, answer.RetryAfter);
                return true;
            }
        }

        logger.LogError(exception, "{Method} {Route} failed", httpContext.Request.Method, Route(httpContext));
        await writer.WriteAsync(httpContext, ProblemCodes.Internal, "Tell us the traceId; the log has the rest.");
        return true;
    }

    private JsonTypeInfo? BodyOf(HttpContext http) =>
        http.Features.Get<IExceptionHandlerFeature>()?.Endpoint?.Metadata.GetMetadata<IAcceptsMetadata>()?.RequestType is { } body
            && json.Value.SerializerOptions.TryGetTypeInfo(body, out var type) ? type : null;

    /// <summary>A parameter as it is sent: the framework says how it is called in our code.</summary>
    private static string Sent(HttpContext http, string parameter) =>
        (http.Features.Get<IExceptionHandlerFeature>()?.Endpoint?.Metadata.OfType<IParameterBindingMetadata>() ?? [])
            .Where(bound => bound.Name == parameter)
            .Select(bound => bound.ParameterInfo.GetCustomAttributes(inherit: true).OfType<IFromQueryMetadata>().FirstOrDefault()?.Name)
            .FirstOrDefault(name => name is not null) ?? parameter;

    // The route's pattern, not the path: ids and query strings stay out of the log.
    private static string Route(HttpContext http) =>
        (http.Features.Get<IExceptionHandlerFeature>()?.Endpoint as Microsoft.AspNetCore.Routing.RouteEndpoint)?.RoutePattern.RawText ?? "(no route)";

    private static IEnumerable<Exception> Causes(Exception exception)
    {
        for (var cause = exception; cause is not null; cause = cause.InnerException)
            yield return cause;
    }
}

using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Wave16.ServiceDefaults;

public static class DeprecationExtensions
{
    /// <summary>Announces the end of an endpoint: <c>Deprecation</c> (RFC 9745) and <c>Sunset</c> (RFC 8594) on every answer, and
    /// <c>deprecated</c> in its OpenAPI document.</summary>
    /// <param name="builder">The endpoint or group.</param>
    /// <param name="since">When it was, or will be, deprecated.</param>
    /// <param name="sunset">When it may stop answering; not before <paramref name="since"/>.</param>
    public static TBuilder Deprecated<TBuilder>(this TBuilder builder, DateTimeOffset since, DateTimeOffset sunset)
        where TBuilder : IEndpointConventionBuilder
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sunset, since);
        var deprecation = new Deprecation(
            string.Create(CultureInfo.InvariantCulture, $"@{since.ToUnixTimeSeconds()}"), sunset.ToString("R", CultureInfo.InvariantCulture));
        builder.WithMetadata(deprecation);
        builder.AddEndpointFilter<TBuilder, DeprecationFilter>();
        return builder;
    }
}

internal sealed record Deprecation(string Since, string Sunset);

internal sealed class DeprecationFilter : IEndpointFilter
{
    public ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        if (context.HttpContext.GetEndpoint()?.Metadata.GetMetadata<Deprecation>() is { } deprecation)
        {
            context.HttpContext.Response.Headers["Deprecation"] = deprecation.Since;
            context.HttpContext.Response.Headers["Sunset"] = deprecation.Sunset;
        }

        return next(context);
    }
}

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
        return builder.WithMetadata(new Deprecation(
            string.Create(CultureInfo.InvariantCulture, $"@{since.ToUnixTimeSeconds()}"), sunset.ToString("R", CultureInfo.InvariantCulture)));
    }

    internal static void UseDeprecations(this WebApplication app) => app.Use(static (http, next) =>
    {
        if (http.GetEndpoint()?.Metadata.GetMetadata<Deprecation>() is { } deprecation)
            http.Response.OnStarting(static state => ((DeprecatedAnswer)state).Announce(), new DeprecatedAnswer(http.Response, deprecation));
        return next(http);
    });

    // At the start of the answer, because an error clears the headers that were set before it.
    private sealed record DeprecatedAnswer(HttpResponse Response, Deprecation Deprecation)
    {
        public Task Announce()
        {
            Response.Headers["Deprecation"] = Deprecation.Since;
            Response.Headers["Sunset"] = Deprecation.Sunset;
            return Task.CompletedTask;
        }
    }
}

internal sealed record Deprecation(string Since, string Sunset);

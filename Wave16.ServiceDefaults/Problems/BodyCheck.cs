using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Wave16.ServiceDefaults;

internal static class BodyCheck
{
    /// <summary>
    /// Refuses what is not JSON where JSON of one shape is taken. The framework answers a charset that it does not know with an exception
    /// that is not the caller's, and looks at no type where an endpoint reads the body itself. Reports and feeds say themselves what they are.
    /// </summary>
    public static void UseBodyCheck(this WebApplication app) => app.Use(static (http, next) =>
        http.GetEndpoint()?.Metadata.GetMetadata<IAcceptsMetadata>() is { RequestType: { } type } accepted && type != typeof(Stream) && Wrong(http, accepted) is { } wrong
            ? http.RequestServices.GetRequiredService<ProblemWriter>().WriteAsync(http, ProblemCodes.UnsupportedMediaType, wrong, [FieldError.Header(HeaderNames.ContentType, "must be application/json, in a charset that is known")])
            : next(http));

    private static string? Wrong(HttpContext http, IAcceptsMetadata accepted) => http.Request.HasJsonContentType()
        ? IsKnown(http.Request) ? null : "Send application/json in UTF-8; the charset it names is not known."
        : accepted.ContentTypes.All(type => type == "application/json") && http.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == true ? "Send application/json." : null;

    // As the framework looks it up, which takes the quotes for a part of the name (RFC 9110 section 5.6.6 does not).
    private static bool IsKnown(HttpRequest request)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || StringSegment.IsNullOrEmpty(type.Charset))
            return true;
        try
        {
            type.Charset = Encoding.GetEncoding(HeaderUtilities.RemoveQuotes(type.Charset).ToString()).WebName;
            request.ContentType = type.ToString();
            return true;
        }
        catch (Exception unknown) when (unknown is ArgumentException or NotSupportedException)
        {
            return false;
        }
    }
}

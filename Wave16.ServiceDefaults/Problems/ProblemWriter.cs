using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Wave16.ServiceDefaults;

/// <summary>The one place that writes a problem document.</summary>
internal sealed class ProblemWriter(ProblemCatalogue catalogue, ILogger<ProblemWriter> logger) : IProblemDetailsWriter
{
    public Task WriteAsync(HttpContext http, Refusal refusal)
    {
        if (catalogue.Find(refusal.Code) is { } code)
            return WriteAsync(http, code, refusal.Detail, refusal.Errors);
        logger.LogError("Refusal with the undeclared code {Code}; declare it with AddProblemCodes", refusal.Code);
        return WriteAsync(http, ProblemCodes.Internal);
    }

    public Task WriteStatusAsync(HttpContext http, int status) => WriteAsync(http, catalogue.ForStatus(status));

    /// <param name="http">Its response must not have started.</param>
    /// <param name="code">Gives the status, the type and the title.</param>
    /// <param name="detail">About this occurrence.</param>
    /// <param name="errors">One per bad field.</param>
    /// <param name="retryAfter">Whole seconds, rounded up; 503 always says something.</param>
    public Task WriteAsync(
        HttpContext http, ProblemCode code, string? detail = null, IReadOnlyList<FieldError>? errors = null, TimeSpan? retryAfter = null)
    {
        var response = http.Response;
        response.StatusCode = code.Status;
        if (retryAfter is null && code.Status == StatusCodes.Status503ServiceUnavailable)
            retryAfter = DefaultRetryAfter;
        if (retryAfter is { } wait)
            response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        response.Headers.CacheControl = "no-store";

        var document = new ProblemDocument(
            "urn:wave16:problem:" + code.Code, code.Title, code.Status, detail, code.Code,
            Activity.Current is { IdFormat: ActivityIdFormat.W3C } activity ? activity.TraceId.ToHexString() : http.TraceIdentifier,
            errors);
        var body = JsonSerializer.SerializeToUtf8Bytes(document, ProblemJson.Default.ProblemDocument);
        response.ContentType = "application/problem+json";
        response.ContentLength = body.Length;
        // Not RequestAborted: when the request has timed out that token is cancelled, and this is what the caller is told then.
        return response.Body.WriteAsync(body, CancellationToken.None).AsTask();
    }

    // What the framework itself wants to say as a problem (it asks before it writes) goes out in the same shape.
    bool IProblemDetailsWriter.CanWrite(ProblemDetailsContext context) => true;

    async ValueTask IProblemDetailsWriter.WriteAsync(ProblemDetailsContext context) =>
        await WriteStatusAsync(context.HttpContext, context.ProblemDetails.Status ?? context.HttpContext.Response.StatusCode);

    private static readonly TimeSpan DefaultRetryAfter = TimeSpan.FromSeconds(2);
}

/// <summary>RFC 9457 §3.1 members, then our extensions.</summary>
internal sealed record ProblemDocument(
    string Type, string Title, int Status, string? Detail, string Code, string TraceId, IReadOnlyList<FieldError>? Errors);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ProblemDocument))]
internal sealed partial class ProblemJson : JsonSerializerContext;

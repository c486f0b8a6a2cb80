using System.ComponentModel;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Net.Http.Headers;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Summary;

internal static class SummaryEndpoints
{
    private static readonly HashSet<string> Known = QueryParameters.Of("service", "format");

    public static void MapSummary(this IEndpointRouteBuilder app) =>
        app.MapGet("/findings/summary", GetAsync).RequireScope(VulnCenterScopes.Read).WithTags("Findings")
            .WithName("GetFindingSummary").WithSummary("The backlog at a glance, as JSON or as a page")
            .WithDescription("Open findings by service and severity, their age, time to fix, what opened and closed per week, deadlines. "
                + "As HTML it is one page that needs nothing else: no script, nothing from elsewhere.")
            .AlsoProduces<string>("text/html");

    private static async Task<Results<Ok<FindingSummary>, ContentHttpResult, StatusCodeHttpResult, RefusalResult>> GetAsync(
        [FromQuery, Description("Exact name of the service; all of them unless given.")] string? service,
        [FromQuery, Description("json or html. Unless given, what Accept prefers.")] string? format,
        Caller caller, SummaryQueries summaries, HttpContext http, CancellationToken cancellation)
    {
        List<FieldError> errors = [];
        if (format is not (null or "json" or "html"))
        {
            errors.Add(FieldError.Query("format", "must be json or html"));
        }

        errors.AddRange(QueryParameters.Check(http.Request.Query, Known, "the summary"));

        if (errors.Count > 0)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The request is not valid.", errors).ToResult();
        }

        var html = format is null ? PrefersHtml(http.Request) : format == "html";
        var summary = await summaries.ReadAsync(caller.Tenant, service, cancellation);
        var headers = http.Response.Headers;
        (headers.CacheControl, headers.Vary) = ("private, no-cache", "Accept, Authorization");

        // The time of counting is no part of what was counted.
        var counted = JsonSerializer.SerializeToUtf8Bytes(summary with { At = default }, VulnCenterJson.Default.FindingSummary);
        var tag = $"W/\"{(html ? "html" : "json")}-{Convert.ToHexStringLower(SHA256.HashData(counted).AsSpan(0, 16))}\"";
        headers.ETag = tag;
        if (http.Request.GetTypedHeaders().IfNoneMatch.Any(known => known.Equals(EntityTagHeaderValue.Any) || known.Compare(EntityTagHeaderValue.Parse(tag), useStrongComparison: false)))
        {
            return TypedResults.StatusCode(StatusCodes.Status304NotModified);
        }

        if (!html)
        {
            return TypedResults.Ok(summary);
        }

        headers.ContentSecurityPolicy = SummaryPage.ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        return TypedResults.Content(SummaryPage.Render(summary), "text/html", Encoding.UTF8);
    }

    private static bool PrefersHtml(HttpRequest request)
    {
        var accepted = request.GetTypedHeaders().Accept;
        return Quality("text/html") > Quality("application/json");

        // Exact ones only: a client that takes anything gets JSON.
        double Quality(string type) => accepted.Where(range => range.MediaType.Equals(type, StringComparison.OrdinalIgnoreCase)).Max(range => (double?)(range.Quality ?? 1)) ?? 0;
    }
}

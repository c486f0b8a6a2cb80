using System.Diagnostics;
using Microsoft.AspNetCore.WebUtilities;

namespace Wave16.Neighbours;

/// <summary>Problem details (RFC 9457) with a stable <c>code</c>, and what is wrong with each field.</summary>
internal sealed record Problem(string Type, string Title, int Status, string? Detail, string Code, string? TraceId, IReadOnlyList<FieldError>? Errors);

/// <summary>One field and the reason it is refused: a JSON pointer into the body (RFC 6901, as a fragment), a header or a query parameter.</summary>
internal sealed record FieldError(string Detail, string? Pointer = null, string? Header = null, string? Parameter = null);

internal static class Problems
{
    public static IResult Of(int status, string code, string detail, IReadOnlyList<FieldError>? errors = null) =>
        TypedResults.Json(
            new Problem("about:blank", Title(status), status, detail, code, Activity.Current?.Id, errors),
            NeighboursJson.Default.Problem,
            "application/problem+json",
            status);

    public static IResult NotFound(string detail) => Of(StatusCodes.Status404NotFound, "not-found", detail);

    public static IResult Full(string what) =>
        Of(StatusCodes.Status507InsufficientStorage, "stand-in.full", $"This stand-in holds no more {what}.");

    /// <summary>For an answer that routing gave without a body: 404, 405.</summary>
    public static IResult Plain(HttpContext context) =>
        Of(context.Response.StatusCode, context.Response.StatusCode switch
        {
            StatusCodes.Status404NotFound => "not-found",
            StatusCodes.Status405MethodNotAllowed => "method-not-allowed",
            var status => $"http.{status}",
        }, $"{context.Request.Method} {context.Request.Path} is not part of this system's contract.");

    static string Title(int status) => ReasonPhrases.GetReasonPhrase(status) is { Length: > 0 } phrase ? phrase : "Error";
}

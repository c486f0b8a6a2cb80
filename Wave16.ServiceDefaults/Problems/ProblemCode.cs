namespace Wave16.ServiceDefaults;

/// <summary>A kind of problem: its stable code, the HTTP status it answers with and its title (RFC 9457 §3.1).</summary>
/// <param name="Code">Lower-case, dotted, kebab-case parts: <c>finding.invalid-transition</c>. Never renamed.</param>
/// <param name="Status">An HTTP status from 400 to 599.</param>
/// <param name="Title">The same for every occurrence.</param>
public sealed record ProblemCode(string Code, int Status, string Title);

/// <summary>The codes every module answers with.</summary>
public static class ProblemCodes
{
    public static readonly ProblemCode Invalid = new("request.invalid", 400, "The request is not valid");
    public static readonly ProblemCode Malformed = new("request.malformed", 400, "The body is not valid JSON");
    public static readonly ProblemCode CursorInvalid = new("cursor.invalid", 400, "The cursor is not one this API gave out");
    public static readonly ProblemCode CursorFiltersChanged = new("cursor.filters-changed", 400, "The cursor belongs to other filters");
    public static readonly ProblemCode Unauthenticated = new("unauthenticated", 401, "A valid bearer token is required");
    public static readonly ProblemCode Forbidden = new("forbidden", 403, "The token does not permit this");
    public static readonly ProblemCode NotFound = new("not-found", 404, "There is nothing here");
    public static readonly ProblemCode MethodNotAllowed = new("method-not-allowed", 405, "The method is not allowed here");
    public static readonly ProblemCode NotAcceptable = new("not-acceptable", 406, "None of the accepted types can be produced");
    public static readonly ProblemCode RequestTimeout = new("request.too-slow", 408, "The request arrived too slowly");
    public static readonly ProblemCode Conflict = new("conflict", 409, "The request conflicts with the current state");
    public static readonly ProblemCode IdempotencyInProgress = new("idempotency.in-progress", 409, "The first request with this key is still running");
    public static readonly ProblemCode Gone = new("gone", 410, "It is no longer here");
    public static readonly ProblemCode PreconditionFailed = new("precondition.failed", 412, "The entity has changed since it was read");
    public static readonly ProblemCode TooLarge = new("request.too-large", 413, "The body is too large");
    public static readonly ProblemCode UnsupportedMediaType = new("unsupported-media-type", 415, "The body's media type is not supported");
    public static readonly ProblemCode Unprocessable = new("request.unprocessable", 422, "The request is well-formed but cannot be processed");
    public static readonly ProblemCode IdempotencyKeyReused = new("idempotency.key-reused", 422, "The idempotency key was used for another request");
    public static readonly ProblemCode IdempotencyKeyInvalid = new("idempotency.key-invalid", 400, "The idempotency key is missing or malformed");
    public static readonly ProblemCode PreconditionRequired = new("precondition.required", 428, "If-Match is required");
    public static readonly ProblemCode RateLimited = new("rate-limited", 429, "Too many requests");
    public static readonly ProblemCode HeadersTooLarge = new("headers-too-large", 431, "The header fields are too large");
    public static readonly ProblemCode Internal = new("internal", 500, "Something went wrong on our side");
    public static readonly ProblemCode Unavailable = new("unavailable", 503, "A dependency is unavailable; nothing was lost");
    public static readonly ProblemCode Overloaded = new("overloaded", 503, "The service is at its limit");
    public static readonly ProblemCode TimedOut = new("timed-out", 503, "The request took too long and was stopped");

    internal static readonly ProblemCode[] All =
    [
        Invalid, Malformed, CursorInvalid, CursorFiltersChanged, Unauthenticated, Forbidden, NotFound, MethodNotAllowed,
        NotAcceptable, RequestTimeout, Conflict, IdempotencyInProgress, Gone, PreconditionFailed, TooLarge, UnsupportedMediaType,
        Unprocessable, IdempotencyKeyReused, IdempotencyKeyInvalid, PreconditionRequired, RateLimited, HeadersTooLarge, Internal,
        Unavailable, Overloaded, TimedOut,
    ];
}

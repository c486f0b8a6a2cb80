using System.Net;
using System.Net.Sockets;
using Npgsql;
using Polly.CircuitBreaker;
using Polly.RateLimiting;
using Polly.Timeout;

namespace Wave16.Platform.Events;

/// <summary>One reading of failures for all destinations: is it the event, or is the destination down?</summary>
public static class DeliveryFailures
{
    private const HttpStatusCode TooEarly = (HttpStatusCode)425; // RFC 8470

    /// <summary>
    /// 2xx delivered; 408, 429, 502, 503, 504 unavailable, with <c>Retry-After</c> (RFC 9110 section 10.2.3, seconds or date)
    /// honoured; so are 401, 403, 407, 421, 425 and redirects, which are about our token or its address and not about this
    /// event; other 5xx, and 404 and 405, which a wrong base path gives too, retry; the rest rejected.
    /// </summary>
    public static DeliveryOutcome ToOutcome(this HttpResponseMessage response, TimeProvider time)
    {
        var reason = $"HTTP {(int)response.StatusCode}";
        return response.StatusCode switch
        {
            >= HttpStatusCode.OK and < HttpStatusCode.MultipleChoices => DeliveryOutcome.Done,
            HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or HttpStatusCode.BadGateway
                or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout => new DeliveryOutcome.Unavailable(reason, RetryAfter(response, time))
                {
                    TimedOut = response.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.GatewayTimeout,
                },
            >= HttpStatusCode.MultipleChoices and < HttpStatusCode.BadRequest
                or HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden or HttpStatusCode.ProxyAuthenticationRequired
                or HttpStatusCode.MisdirectedRequest or TooEarly => new DeliveryOutcome.Unavailable(reason),
            >= HttpStatusCode.InternalServerError or HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed => new DeliveryOutcome.Retry(reason),
            _ => new DeliveryOutcome.Rejected(reason),
        };
    }

    /// <summary>
    /// Connections refused or cut, an open circuit, timeouts, a datastore or a silo that is away: unavailable. Everything else
    /// is taken to be about this event, and retried.
    /// </summary>
    public static DeliveryOutcome ToOutcome(this Exception failure) => failure switch
    {
        EventRejectedException rejected => new DeliveryOutcome.Rejected(rejected.Message),
        DestinationUnavailableException away => new DeliveryOutcome.Unavailable(away.Message, away.RetryAfter),
        BrokenCircuitException broken => new DeliveryOutcome.Unavailable("the circuit is open", broken.RetryAfter),
        RateLimiterRejectedException limited => new DeliveryOutcome.Unavailable("too many requests in flight", limited.RetryAfter),
        HttpRequestException { StatusCode: { } status } => new HttpResponseMessage(status).ToOutcome(TimeProvider.System),
        HttpRequestException http => new DeliveryOutcome.Unavailable($"HTTP request failed: {http.HttpRequestError}"),
        TimeoutRejectedException or TimeoutException or TaskCanceledException { InnerException: TimeoutException } => new DeliveryOutcome.Unavailable("timed out") { TimedOut = true },
        SocketException or IOException => new DeliveryOutcome.Unavailable(failure.GetType().Name),
        PostgresException { SqlState: var state } when IsOutage(state) => new DeliveryOutcome.Unavailable($"datastore: {state}"),
        NpgsqlException and not PostgresException => new DeliveryOutcome.Unavailable("datastore: no connection"),
        Orleans.Runtime.SiloUnavailableException or Orleans.Runtime.OrleansMessageRejectionException or Orleans.Runtime.Messaging.ConnectionFailedException => new DeliveryOutcome.Unavailable($"cluster: {failure.GetType().Name}"),
        _ => new DeliveryOutcome.Retry(failure.GetType().Name), // its message is in the log; a tenant's operators read this
    };

    // Connection exceptions, insufficient resources, operator intervention (PostgreSQL, appendix A).
    private static bool IsOutage(string sqlState) => sqlState[..2] is "08" or "53" or "57";

    private static TimeSpan? RetryAfter(HttpResponseMessage response, TimeProvider time) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - time.GetUtcNow() is var wait && wait > TimeSpan.Zero ? wait : TimeSpan.Zero,
        _ => null,
    };
}

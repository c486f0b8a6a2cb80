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
    /// <summary>
    /// 2xx delivered; 408, 429, 502, 503, 504 unavailable, with <c>Retry-After</c> (RFC 9110 section 10.2.3, seconds or date)
    /// honoured; other 5xx retry; the rest, redirects included, rejected.
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
            >= HttpStatusCode.InternalServerError => new DeliveryOutcome.Retry(reason),
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
        _ => new DeliveryOutcome.Retry($"{failure.GetType().Name}: {failure.Message}"),
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

using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Microsoft.Extensions.Time.Testing;
using Polly.CircuitBreaker;
using Polly.Timeout;
using Wave16.Platform.Events;

namespace Wave16.Platform.Tests.Events;

public sealed class DeliveryFailuresTests
{
    private static readonly FakeTimeProvider Time = new(new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero));

    [Theory]
    [InlineData(200, typeof(DeliveryOutcome.Delivered))]
    [InlineData(202, typeof(DeliveryOutcome.Delivered))]
    [InlineData(204, typeof(DeliveryOutcome.Delivered))]
    [InlineData(302, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(400, typeof(DeliveryOutcome.Rejected))]
    [InlineData(401, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(403, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(404, typeof(DeliveryOutcome.Retry))]
    [InlineData(405, typeof(DeliveryOutcome.Retry))]
    [InlineData(407, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(410, typeof(DeliveryOutcome.Rejected))]
    [InlineData(421, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(425, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(408, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(422, typeof(DeliveryOutcome.Rejected))]
    [InlineData(429, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(500, typeof(DeliveryOutcome.Retry))]
    [InlineData(501, typeof(DeliveryOutcome.Retry))]
    [InlineData(502, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(503, typeof(DeliveryOutcome.Unavailable))]
    [InlineData(504, typeof(DeliveryOutcome.Unavailable))]
    public void A_response_says_whether_it_was_the_event_or_the_destination(int status, Type outcome)
    {
        using var response = new HttpResponseMessage((HttpStatusCode)status);

        Assert.IsType(outcome, response.ToOutcome(Time));
    }

    [Fact]
    public void Retry_After_in_seconds_is_honoured()
    {
        using var response = new HttpResponseMessage(HttpStatusCode.ServiceUnavailable);
        response.Headers.RetryAfter = new RetryConditionHeaderValue(TimeSpan.FromSeconds(90));

        Assert.Equal(new DeliveryOutcome.Unavailable("HTTP 503", TimeSpan.FromSeconds(90)), response.ToOutcome(Time));
    }

    [Theory]
    [InlineData(120, 120)]
    [InlineData(-120, 0)]
    public void Retry_After_as_a_date_is_counted_from_now(int secondsFromNow, int expected)
    {
        using var response = new HttpResponseMessage(HttpStatusCode.TooManyRequests);
        response.Headers.RetryAfter = new RetryConditionHeaderValue(Time.GetUtcNow().AddSeconds(secondsFromNow));

        Assert.Equal(new DeliveryOutcome.Unavailable("HTTP 429", TimeSpan.FromSeconds(expected)), response.ToOutcome(Time));
    }

    [Fact]
    public async Task A_port_where_nobody_listens_is_a_destination_that_is_down()
    {
        using var unused = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        unused.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var client = new HttpClient();
        var refused = await Assert.ThrowsAsync<HttpRequestException>(() =>
            client.GetAsync(new Uri($"http://{unused.LocalEndPoint}/"), TestContext.Current.CancellationToken));

        Assert.Equal(new DeliveryOutcome.Unavailable("HTTP request failed: ConnectionError"), refused.ToOutcome());
    }

    [Fact]
    public async Task A_server_that_accepts_and_never_answers_is_a_destination_that_is_down()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        using var client = new HttpClient { Timeout = TimeSpan.FromMilliseconds(50) };
        var late = await Assert.ThrowsAsync<TaskCanceledException>(() =>
            client.GetAsync(new Uri($"http://{silent.LocalEndpoint}/"), TestContext.Current.CancellationToken));

        Assert.Equal(new DeliveryOutcome.Unavailable("timed out") { TimedOut = true }, late.ToOutcome());
    }

    [Fact]
    public void Exceptions_that_speak_of_the_destination_pause_it_and_others_are_the_events_own()
    {
        Assert.Equal(new DeliveryOutcome.Unavailable("the circuit is open", TimeSpan.FromSeconds(7)), new BrokenCircuitException("open", TimeSpan.FromSeconds(7)).ToOutcome());
        Assert.IsType<DeliveryOutcome.Unavailable>(new TimeoutRejectedException().ToOutcome());
        Assert.IsType<DeliveryOutcome.Unavailable>(new Npgsql.NpgsqlException("no connection").ToOutcome());
        Assert.IsType<DeliveryOutcome.Unavailable>(new Npgsql.PostgresException("shutting down", "FATAL", "FATAL", "57P01").ToOutcome());
        Assert.IsType<DeliveryOutcome.Retry>(new Npgsql.PostgresException("duplicate", "ERROR", "ERROR", "23505").ToOutcome());
        Assert.Equal(new DeliveryOutcome.Unavailable("full", TimeSpan.FromSeconds(3)), new DestinationUnavailableException("full", TimeSpan.FromSeconds(3)).ToOutcome());
        Assert.Equal(new DeliveryOutcome.Rejected("never"), new EventRejectedException("never").ToOutcome());
        Assert.IsType<DeliveryOutcome.Retry>(new InvalidOperationException("a bug").ToOutcome());
    }
}

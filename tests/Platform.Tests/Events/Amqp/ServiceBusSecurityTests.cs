using Azure.Core;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.Events.Amqp;

public sealed class ServiceBusSecurityTests
{
    private static readonly DateTimeOffset Noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private readonly FakeTimeProvider _time = new(Noon);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_token_signed_with_the_shared_key_opens_the_topic_that_is_published_to()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString));

        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());

        var put = await bus.NextTokenAsync();
        Assert.Equal(("put-token", "servicebus.windows.net:sastoken", "sb://127.0.0.1/tests"), (put.Operation, put.Type, put.Audience));
        Assert.Equal(EventMessageTests.Sample, EventMessage.Decode(await bus.NextMessageAsync()));
    }

    [Fact]
    public async Task A_receiver_asks_for_its_own_subscription()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString));
        await using var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [EventMessageTests.Sample.Type], (_, _) => Task.CompletedTask), Cancellation);

        Assert.Equal("sb://127.0.0.1/tests/Subscriptions/tests.a", (await bus.NextTokenAsync()).Audience);
    }

    [Fact]
    public async Task A_token_is_renewed_before_it_expires()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString));
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        var first = await bus.NextTokenAsync();

        var second = await AdvanceUntilAsync(bus.NextTokenAsync());

        Assert.NotEqual(first.Token, second.Token);
        Assert.InRange(_time.GetUtcNow() - Noon, TimeSpan.FromMinutes(45), TimeSpan.FromMinutes(60));
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task A_key_that_is_refused_makes_events_wait_and_says_why()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString.Replace(FakeServiceBus.Key, "hunter2", StringComparison.Ordinal)));

        var refused = await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();

        Assert.Equal(new DeliveryOutcome.Unavailable("the broker is away: the broker refused the token: 401"), refused);
    }

    [Fact]
    public async Task A_key_that_is_withdrawn_ends_the_connection_when_the_last_token_expires()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString));
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        bus.Refuses = true;

        // The broker ends the link at the same time, and may be the first to say so.
        await AdvanceUntilAsync(UntilAsync(transport, outcome => outcome is DeliveryOutcome.Unavailable { Reason: "the broker is away: the broker refused the token: 401" }));

        Assert.InRange(_time.GetUtcNow() - Noon, TimeSpan.FromMinutes(59), TimeSpan.FromHours(2));
    }

    [Fact]
    public async Task A_token_of_Entra_ID_opens_the_topic_and_is_asked_for_in_the_scope_of_Service_Bus()
    {
        using var bus = new FakeServiceBus(_time) { Jwt = "a.b.c" };
        var identity = new Identity(() => new AccessToken("a.b.c", Noon.AddHours(1)));
        await using var transport = Connect(new BrokerAddress("127.0.0.1", bus.Port, Tls: false, new BrokerCredentials.Entra()), identity);

        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());

        Assert.Equal(new PutToken("put-token", "jwt", "sb://127.0.0.1/tests", "a.b.c"), await bus.NextTokenAsync());
        Assert.Equal(["https://servicebus.azure.net/.default"], identity.Asked);
    }

    [Fact]
    public async Task An_identity_that_cannot_be_had_makes_events_wait()
    {
        using var bus = new FakeServiceBus(_time);
        var identity = new Identity(() => throw new InvalidOperationException("tenant 4711 is unknown"));
        await using var transport = Connect(new BrokerAddress("127.0.0.1", bus.Port, Tls: false, new BrokerCredentials.Entra()), identity);

        Assert.Equal(
            new DeliveryOutcome.Unavailable("the broker is away: no token can be had (InvalidOperationException)"),
            await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task An_identity_that_times_out_makes_events_wait_and_is_asked_again()
    {
        using var bus = new FakeServiceBus(_time) { Jwt = "a.b.c" };
        var asked = 0;
        var identity = new Identity(() => ++asked == 1 ? throw new TaskCanceledException("100 s") : new AccessToken("a.b.c", _time.GetUtcNow().AddHours(1)));
        await using var transport = Connect(new BrokerAddress("127.0.0.1", bus.Port, Tls: false, new BrokerCredentials.Entra()), identity);

        Assert.Equal(
            new DeliveryOutcome.Unavailable("the broker is away: no token can be had (TaskCanceledException)"),
            await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task An_identity_that_times_out_when_a_token_is_renewed_is_asked_again_before_it_expires()
    {
        using var bus = new FakeServiceBus(_time) { Jwt = "a.b.c" };
        var asked = 0;
        var identity = new Identity(() => ++asked == 2 ? throw new TaskCanceledException("100 s") : new AccessToken("a.b.c", _time.GetUtcNow().AddHours(1)));
        await using var transport = Connect(new BrokerAddress("127.0.0.1", bus.Port, Tls: false, new BrokerCredentials.Entra()), identity);
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        await bus.NextTokenAsync();

        await AdvanceUntilAsync(bus.NextTokenAsync());

        Assert.InRange(_time.GetUtcNow() - Noon, TimeSpan.FromMinutes(46), TimeSpan.FromMinutes(60));
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task A_link_that_the_broker_ends_for_its_token_gets_a_new_one()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString));
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        await bus.NextTokenAsync();

        bus.Withdraw("sb://127.0.0.1/tests");

        await UntilAsync(transport, outcome => outcome is DeliveryOutcome.Delivered);
        Assert.Equal("sb://127.0.0.1/tests", (await bus.NextTokenAsync()).Audience);
    }

    [Fact]
    public async Task Links_that_are_refused_over_and_over_use_nothing_up()
    {
        using var bus = new FakeServiceBus(_time) { RefusesLinks = true };
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString));

        // A connection has 256 sessions.
        for (var refused = 0; refused < 300; refused++)
        {
            Assert.Equal(
                new DeliveryOutcome.Unavailable("the broker is away: com.microsoft:server-busy: later"),
                await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
        }

        bus.RefusesLinks = false;
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task Links_that_the_broker_detaches_over_and_over_use_nothing_up()
    {
        using var bus = new FakeServiceBus(_time);
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString));
        for (var detached = 0; detached < 300; detached++)
        {
            await UntilAsync(transport, outcome => outcome is DeliveryOutcome.Delivered);
            bus.Withdraw("sb://127.0.0.1/tests");
        }

        Assert.Equal(DeliveryOutcome.Done, await UntilAsync(transport, outcome => outcome is DeliveryOutcome.Delivered));
    }

    private static async Task<DeliveryOutcome> UntilAsync(AmqpTransport transport, Func<DeliveryOutcome, bool> enough)
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(1));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromMinutes(1));
        while (true)
        {
            if (await transport.PublishAsync(EventMessageTests.Sample, limit.Token) is var outcome && enough(outcome))
            {
                return outcome;
            }

            await again.WaitForNextTickAsync(limit.Token);
        }
    }

    private AmqpTransport Connect(BrokerAddress address, TokenCredential? identity = null) => new(
        address, Broker.Settings, new TransportMetrics(OutboxTest.Meters), new DependencyHealth(_time), _time, NullLogger.Instance,
        identity is null ? null : () => identity);

    // A minute at a time, and time enough in between for the network.
    private async Task<T> AdvanceUntilAsync<T>(Task<T> awaited)
    {
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (!awaited.IsCompleted)
        {
            _time.Advance(TimeSpan.FromMinutes(1));
            await tick.WaitForNextTickAsync(Cancellation);
        }

        return await awaited;
    }

    private sealed class Identity(Func<AccessToken> token) : TokenCredential
    {
        public List<string> Asked { get; } = [];

        public override AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken)
        {
            Asked.AddRange(requestContext.Scopes);
            return token();
        }

        public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken) =>
            ValueTask.FromResult(GetToken(requestContext, cancellationToken));
    }
}

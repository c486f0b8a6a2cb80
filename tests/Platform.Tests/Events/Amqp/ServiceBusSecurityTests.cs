using Azure.Core;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>The tokens that Azure Service Bus wants.</summary>
public sealed class ServiceBusSecurityTests : ServiceBusTest
{
    [Fact]
    public async Task A_token_signed_with_the_shared_key_opens_the_topic_that_is_published_to()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);

        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());

        var put = await bus.NextTokenAsync();
        Assert.Equal(("put-token", "servicebus.windows.net:sastoken", "sb://127.0.0.1/tests"), (put.Operation, put.Type, put.Audience));
        Assert.Equal(EventMessageTests.Sample, EventMessage.Decode(await bus.NextMessageAsync()));
    }

    [Fact]
    public async Task A_receiver_asks_for_its_own_subscription()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        await using var subscription = await transport.SubscribeAsync(new EventSubscription("tests/a", [EventMessageTests.Sample.Type], (_, _) => Task.CompletedTask), Cancellation);

        Assert.Equal("sb://127.0.0.1/tests/Subscriptions/tests.a", (await bus.NextTokenAsync()).Audience);
    }

    [Fact]
    public async Task A_token_is_renewed_before_it_expires()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        var first = await bus.NextTokenAsync();

        var second = await AdvanceUntilAsync(bus.NextTokenAsync(), TimeSpan.FromMinutes(1));

        Assert.NotEqual(first.Token, second.Token);
        Assert.InRange(Time.GetUtcNow() - Noon, TimeSpan.FromMinutes(45), TimeSpan.FromMinutes(60));
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task A_key_that_is_refused_makes_events_wait_and_says_why()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(BrokerAddress.Parse(bus.ConnectionString.Replace(FakeServiceBus.Key, "hunter2", StringComparison.Ordinal)));

        var refused = await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();

        Assert.Equal(new DeliveryOutcome.Unavailable("the broker is away: the broker refused the token: 401"), refused);
    }

    [Fact]
    public async Task A_key_that_is_withdrawn_ends_the_connection_when_the_last_token_expires()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        bus.Refuses = true;

        // The broker ends the link at the same time, and may be the first to say so.
        await AdvanceUntilAsync(UntilAsync(transport, outcome => outcome is DeliveryOutcome.Unavailable { Reason: "the broker is away: the broker refused the token: 401" }), TimeSpan.FromMinutes(1));

        Assert.InRange(Time.GetUtcNow() - Noon, TimeSpan.FromMinutes(59), TimeSpan.FromHours(2));
    }

    [Fact]
    public async Task A_token_of_Entra_ID_opens_the_topic_and_is_asked_for_in_the_scope_of_Service_Bus()
    {
        using var bus = new FakeServiceBus(Time) { Jwt = "a.b.c" };
        var identity = new Identity(() => new AccessToken("a.b.c", Noon.AddHours(1)));
        await using var transport = Connect(new BrokerAddress("127.0.0.1", bus.Port, Tls: false, new BrokerCredentials.Entra()), identity: identity);

        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());

        Assert.Equal(new PutToken("put-token", "jwt", "sb://127.0.0.1/tests", "a.b.c"), await bus.NextTokenAsync());
        Assert.Equal(["https://servicebus.azure.net/.default"], identity.Asked);
    }

    [Fact]
    public async Task An_identity_that_cannot_be_had_makes_events_wait()
    {
        using var bus = new FakeServiceBus(Time);
        var identity = new Identity(() => throw new InvalidOperationException("tenant 4711 is unknown"));
        await using var transport = Connect(new BrokerAddress("127.0.0.1", bus.Port, Tls: false, new BrokerCredentials.Entra()), identity: identity);

        Assert.Equal(
            new DeliveryOutcome.Unavailable("the broker is away: no token can be had (InvalidOperationException)"),
            await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task An_identity_thatTimes_out_makes_events_wait_and_is_asked_again()
    {
        using var bus = new FakeServiceBus(Time) { Jwt = "a.b.c" };
        var asked = 0;
        var identity = new Identity(() => ++asked == 1 ? throw new TaskCanceledException("100 s") : new AccessToken("a.b.c", Time.GetUtcNow().AddHours(1)));
        await using var transport = Connect(new BrokerAddress("127.0.0.1", bus.Port, Tls: false, new BrokerCredentials.Entra()), identity: identity);

        Assert.Equal(
            new DeliveryOutcome.Unavailable("the broker is away: no token can be had (TaskCanceledException)"),
            await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task An_identity_thatTimes_out_when_a_token_is_renewed_is_asked_again_before_it_expires()
    {
        using var bus = new FakeServiceBus(Time) { Jwt = "a.b.c" };
        var asked = 0;
        var identity = new Identity(() => ++asked == 2 ? throw new TaskCanceledException("100 s") : new AccessToken("a.b.c", Time.GetUtcNow().AddHours(1)));
        await using var transport = Connect(new BrokerAddress("127.0.0.1", bus.Port, Tls: false, new BrokerCredentials.Entra()), identity: identity);
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        await bus.NextTokenAsync();

        await AdvanceUntilAsync(bus.NextTokenAsync(), TimeSpan.FromMinutes(1));

        Assert.InRange(Time.GetUtcNow() - Noon, TimeSpan.FromMinutes(46), TimeSpan.FromMinutes(60));
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task A_link_that_the_broker_ends_for_its_token_gets_a_new_one()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        await bus.NextTokenAsync();

        bus.Withdraw("sb://127.0.0.1/tests");

        await UntilAsync(transport, outcome => outcome is DeliveryOutcome.Delivered);
        Assert.Equal("sb://127.0.0.1/tests", (await bus.NextTokenAsync()).Audience);
    }

    [Fact]
    public async Task A_cbs_that_falls_silent_is_attached_anew_for_the_next_token()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus, Broker.Settings with { AnswerWithin = TimeSpan.FromMilliseconds(300) });
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        var other = EventMessageTests.Sample with { Type = "wave16.other.thing-happened.v1" };
        bus.SilenceSecurity();

        Assert.Equal(new DeliveryOutcome.Unavailable("the broker is away: the broker did not answer about the token"), await transport.PublishAsync(other, Cancellation).Soon());

        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(other, Cancellation).Soon());
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task A_token_whose_renewal_is_not_answered_is_renewed_before_it_expires()
    {
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus, Broker.Settings with { AnswerWithin = TimeSpan.FromMilliseconds(50) });
        await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon();
        await bus.NextTokenAsync();
        bus.SilenceSecurity();

        await AdvanceUntilAsync(bus.NextTokenAsync(), TimeSpan.FromSeconds(20));

        Assert.InRange(Time.GetUtcNow() - Noon, TimeSpan.FromMinutes(46), TimeSpan.FromMinutes(60));
        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());
    }

    [Fact]
    public async Task Links_that_are_refused_over_and_over_use_nothing_up()
    {
        using var bus = new FakeServiceBus(Time) { RefusesLinks = true };
        await using var transport = Connect(bus);

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
        using var bus = new FakeServiceBus(Time);
        await using var transport = Connect(bus);
        for (var detached = 0; detached < 300; detached++)
        {
            await UntilAsync(transport, outcome => outcome is DeliveryOutcome.Delivered);
            bus.Withdraw("sb://127.0.0.1/tests");
        }

        Assert.Equal(DeliveryOutcome.Done, await UntilAsync(transport, outcome => outcome is DeliveryOutcome.Delivered));
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

using Amqp.Framing;
using Amqp.Types;
using Wave16.Platform.Events.Amqp;

namespace Wave16.Platform.Tests.Events.Amqp;

public sealed class BrokerTopologyTests
{
    [Fact]
    public void A_consumer_of_two_modules_events_has_a_subscription_at_each_of_their_topics()
    {
        var topology = BrokerTopology.Of(["a", "b"], [("c/purpose", ["wave16.b.y.v1", "wave16.a.x.v2", "wave16.a.x.v1"])]);

        Assert.Equal(["a c.purpose wave16.a.x.v1 wave16.a.x.v2", "b c.purpose wave16.b.y.v1"],
            topology.Topics.SelectMany(topic => topic.Subscriptions.Select(subscription => string.Join(' ', [topic.Name, subscription.Name, .. subscription.Types]))));
    }

    [Fact]
    public void A_module_that_nobody_listens_to_has_its_topic() =>
        Assert.Equal("a", Assert.Single(BrokerTopology.Of(["a"], []).Topics).Name);

    [Theory]
    [InlineData("incident-cmd/signals", "incident-cmd.signals")]
    [InlineData("a/b_c.d-9", "a.b_c.d-9")]
    public void A_consumer_names_its_subscription(string consumer, string subscription) => Assert.Equal(subscription, BrokerNames.Subscription(consumer));

    [Theory]
    [InlineData("")]
    [InlineData("a/ä")]
    [InlineData("a/b c")]
    [InlineData("incident-cmd/a-purpose-that-takes-more-letters-than-there-may-be")]
    public void A_name_that_some_broker_could_not_carry_is_refused(string consumer) => Assert.Throws<ArgumentException>(() => BrokerNames.Subscription(consumer));

    [Theory]
    [InlineData("finding-opened")]
    [InlineData("wave16.vuln-center")]
    [InlineData("wave16..x.v1")]
    public void A_type_that_names_no_module_is_refused(string type) => Assert.Throws<ArgumentException>(() => BrokerNames.Topic(type));

    [Theory]
    [InlineData("RabbitMQ", "3.13.7", "/exchange/m", "/amq/queue/m.c.p")]
    [InlineData("RabbitMQ", "4.0.1", "/exchanges/m/wave16.m.e-x.v1", "/queues/m.c.p")]
    [InlineData("apache-activemq-artemis", "2.40.0", "m", "m::m.c.p")]
    public void Addresses_are_what_the_broker_that_answers_understands(string product, string version, string sending, string receiving)
    {
        var open = new Open { Properties = new Fields { [new Symbol("product")] = product, [new Symbol("version")] = version } };
        var dialect = BrokerDialect.Of(BrokerAddress.Parse("amqp://u:p@localhost"), open);

        Assert.Equal((sending, receiving), (dialect.Sending("m", "wave16.m.e-x.v1"), dialect.Receiving("m", "c.p")));
    }

    [Fact]
    public void Service_Bus_is_known_by_its_connection_string()
    {
        var dialect = BrokerDialect.Of(BrokerAddress.Parse("ns.servicebus.windows.net"), new Open());

        Assert.Equal(("m", "m/Subscriptions/c.p"), (dialect.Sending("m", "wave16.m.e-x.v1"), dialect.Receiving("m", "c.p")));
    }

    [Fact]
    public void An_unknown_broker_is_refused() =>
        Assert.Throws<BrokerException>(() => BrokerDialect.Of(BrokerAddress.Parse("amqp://u:p@localhost"), new Open { Properties = new Fields { [new Symbol("product")] = "other" } }));
}

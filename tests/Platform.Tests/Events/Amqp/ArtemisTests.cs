using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Amqp;
using Amqp.Framing;
using Amqp.Handler;
using Amqp.Listener;
using Amqp.Types;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;

namespace Wave16.Platform.Tests.Events.Amqp;

/// <summary>What ActiveMQ Artemis is asked for, told by a stand-in that says it is one ("Address Model" and "AMQP" of its manual).</summary>
public sealed class ArtemisTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_event_goes_to_the_address_of_its_topic()
    {
        using var artemis = new FakeArtemis();
        await using var transport = Broker.Connect(artemis.ConnectionString);

        Assert.Equal(DeliveryOutcome.Done, await transport.PublishAsync(EventMessageTests.Sample, Cancellation).Soon());

        // Without a capability it is routed as the address is by default, which is to each of its queues (multicast).
        var target = Assert.IsType<Target>((await artemis.NextAttachAsync()).Target);
        Assert.Equal(("tests", 1u, false, null), (target.Address, target.Durable, target.Dynamic, target.Capabilities));
    }

    [Fact]
    public async Task A_receiver_takes_the_queue_that_is_made_for_it_by_its_fully_qualified_name()
    {
        using var artemis = new FakeArtemis();
        await using var transport = Broker.Connect(artemis.ConnectionString);
        await using var subscription = await SubscribeAsync(transport, _ => { });

        // A queue of the name wins over a subscription by the names of container and link, which are new each time.
        var attach = await artemis.NextAttachAsync();
        var source = Assert.IsType<Source>(attach.Source);
        Assert.Equal(("tests::tests.tests.a", 1u, false), (source.Address, source.Durable, source.Dynamic));
        Assert.Equal((null, null, null), (source.Capabilities, source.FilterSet, source.DistributionMode));
        Assert.Equal((SenderSettleMode.Unsettled, ReceiverSettleMode.First), (attach.SndSettleMode, attach.RcvSettleMode));
    }

    [Fact]
    public async Task Of_the_events_of_its_topic_a_consumer_handles_its_own_and_the_others_are_accepted()
    {
        using var artemis = new FakeArtemis();
        await using var transport = Broker.Connect(artemis.ConnectionString);
        var handled = new List<string>();
        await using var subscription = await SubscribeAsync(transport, envelope => handled.Add(envelope.Type));

        artemis.Send(EventMessage.Encode(EventMessageTests.Sample with { Type = "wave16.tests.other-happened.v1" }));
        artemis.Send(EventMessage.Encode(EventMessageTests.Sample));

        Assert.IsType<Accepted>(await artemis.NextOutcomeAsync());
        Assert.IsType<Accepted>(await artemis.NextOutcomeAsync());
        Assert.Equal([EventMessageTests.Sample.Type], handled);
    }

    private static Task<IAsyncDisposable> SubscribeAsync(AmqpTransport transport, Action<EventEnvelope> handle) => transport.SubscribeAsync(
        new EventSubscription("tests/a", [EventMessageTests.Sample.Type], (envelope, _) =>
        {
            handle(envelope);
            return Task.CompletedTask;
        }),
        Cancellation);

    /// <summary>Keeps how links ask to be attached, and attaches them all.</summary>
    private sealed class FakeArtemis : ILinkProcessor, IMessageProcessor, IMessageSource, IHandler, IDisposable
    {
        private readonly ContainerHost _host;
        private readonly int _port;
        private readonly Channel<Attach> _attaches = Channel.CreateUnbounded<Attach>();
        private readonly Channel<Message> _waiting = Channel.CreateUnbounded<Message>();
        private readonly Channel<DeliveryState> _settled = Channel.CreateUnbounded<DeliveryState>();

        public FakeArtemis()
        {
            using (var free = new TcpListener(IPAddress.Loopback, 0))
            {
                free.Start();
                _port = ((IPEndPoint)free.LocalEndpoint).Port;
            }

            _host = new ContainerHost(new Address("127.0.0.1", _port, null, null, "/", "AMQP"));
            _host.Listeners[0].SASL.EnablePlainMechanism("user", "password");
            _host.Listeners[0].HandlerFactory = _ => this;
            _host.RegisterLinkProcessor(this);
            _host.Open();
        }

        public string ConnectionString => string.Create(CultureInfo.InvariantCulture, $"amqp://user:password@127.0.0.1:{_port}");

        public int Credit => 100;

        public Task<Attach> NextAttachAsync() => _attaches.Reader.ReadAsync(Cancellation).AsTask().Soon();

        public void Send(Message message) => _waiting.Writer.TryWrite(message);

        public Task<DeliveryState> NextOutcomeAsync() => _settled.Reader.ReadAsync(Cancellation).AsTask().Soon();

        public bool CanHandle(global::Amqp.Handler.EventId id) => id == global::Amqp.Handler.EventId.ConnectionLocalOpen;

        public void Handle(Event protocolEvent) =>
            ((Open)protocolEvent.Context).Properties = new Fields { [new Symbol("product")] = "apache-activemq-artemis", [new Symbol("version")] = "2.40.0" };

        public void Process(AttachContext attachContext)
        {
            if (attachContext.Attach.Role)
            {
                attachContext.Complete(new SourceLinkEndpoint(this, attachContext.Link), 0);
            }
            else
            {
                attachContext.Complete(new TargetLinkEndpoint(this, attachContext.Link), Credit);
            }

            _attaches.Writer.TryWrite(attachContext.Attach);
        }

        public void Process(MessageContext messageContext) => messageContext.Complete();

        public async Task<ReceiveContext> GetMessageAsync(ListenerLink link) => new(link, await _waiting.Reader.ReadAsync(Cancellation));

        public void DisposeMessage(ReceiveContext receiveContext, DispositionContext dispositionContext)
        {
            _settled.Writer.TryWrite(dispositionContext.DeliveryState);
            dispositionContext.Complete();
        }

        public void Dispose() => _host.Close();
    }
}

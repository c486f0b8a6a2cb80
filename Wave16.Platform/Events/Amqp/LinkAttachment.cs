using Amqp;
using Amqp.Framing;

namespace Wave16.Platform.Events.Amqp;

/// <summary>Attaches links without blocking, and tells a refusal from an acceptance.</summary>
internal static class LinkAttachment
{
    // Durable state of a terminus (AMQP 1.0, 3.5.5): RabbitMQ's plugin makes exclusive queues without it.
    private const uint Configuration = 1;

    public static SenderLink Send(Session session, string address, bool durable, out Task<Attach> attached)
    {
        var done = New();
        var link = new SenderLink(
            session,
            $"send-{Guid.NewGuid():N}",
            new Attach
            {
                Source = new Source(),
                Target = new Target { Address = address, Durable = durable ? Configuration : 0 },
                SndSettleMode = SenderSettleMode.Unsettled,
                RcvSettleMode = ReceiverSettleMode.First,
            },
            (_, attach) => Attached(attach, attach.Target is not null, done));
        attached = Watched(link, done);
        return link;
    }

    public static ReceiverLink Receive(Session session, Source source, Target target, out Task<Attach> attached)
    {
        var done = New();
        var link = new ReceiverLink(
            session,
            $"receive-{Guid.NewGuid():N}",
            new Attach { Source = source, Target = target, SndSettleMode = SenderSettleMode.Unsettled, RcvSettleMode = ReceiverSettleMode.First },
            (_, attach) => Attached(attach, attach.Source is not null, done));
        attached = Watched(link, done);
        return link;
    }

    public static Source Durable(string address) => new() { Address = address, Durable = Configuration };

    /// <summary>For operators: the condition, and what the broker said of it.</summary>
    public static string Reason(Error? error) => error switch
    {
        null => "the connection has ended",
        { Condition: var condition, Description: { Length: > 0 } description } => $"{(string)condition}: {description}",
        { Condition: var condition } => condition,
    };

    /// <summary>Without waiting. A session is its link's own, and a connection has 256 at most: one that outlives its link is lost for good.</summary>
    public static void Close(AmqpObject? ended)
    {
        try
        {
            ended?.Close(TimeSpan.Zero);
        }
        catch (Exception already) when (already is AmqpException or ObjectDisposedException)
        {
            // With its session, or its connection.
        }
    }

    private static TaskCompletionSource<Attach> New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    // An attach without the terminus that was asked for is followed by a detach that says why (2.6.3).
    private static void Attached(Attach attach, bool granted, TaskCompletionSource<Attach> done)
    {
        if (granted)
        {
            done.TrySetResult(attach);
        }
    }

    private static Task<Attach> Watched(Link link, TaskCompletionSource<Attach> done)
    {
        link.AddClosedCallback((_, error) => done.TrySetException(new BrokerException(Reason(error))));
        _ = done.Task.ContinueWith(static refused => _ = refused.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return done.Task;
    }
}

using Amqp.Framing;
using Amqp.Types;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// AMQP 1.0 leaves to the broker what an address looks like, and what <c>released</c> means to a sender. Told apart by the open
/// frame's properties <c>product</c> and <c>version</c>.
/// </summary>
internal sealed record BrokerDialect(string Product, Func<string, string, string> Sending, Func<string, string, string> Receiving)
{
    /// <summary>The broker gives back what no subscription asks for, and nothing else: nobody subscribing is delivered.</summary>
    public bool ReleasesUnrouted { get; init; }

    /// <summary>A subscription cannot say which types it wants: all of its topic come, and those of others are not missed.</summary>
    public bool DeliversEveryType { get; init; }

    /// <summary>How long the broker lets a message be held before it takes it back and counts an attempt.</summary>
    public TimeSpan HoldFor { get; init; }

    // Microsoft, "AMQP 1.0 in Azure Service Bus protocol guide". Lock duration as the topology sets it, five minutes.
    public static BrokerDialect ServiceBus { get; } = new("Azure Service Bus", (topic, _) => topic, (topic, subscription) => $"{topic}/Subscriptions/{subscription}")
    {
        HoldFor = TimeSpan.FromMinutes(4),
    };

    // The plugin rabbitmq_amqp1_0: the subject is the routing key. A queue takes back what is not settled within 30 minutes.
    public static BrokerDialect RabbitMq3 { get; } = new("RabbitMQ", (topic, _) => $"/exchange/{topic}", (topic, subscription) => $"/amq/queue/{BrokerNames.Queue(topic, subscription)}")
    {
        ReleasesUnrouted = true,
        HoldFor = TimeSpan.FromMinutes(20),
    };

    // RabbitMQ 4, "AMQP 1.0 address v2": percent-encoded, the routing key is part of the address.
    public static BrokerDialect RabbitMq4 { get; } = new(
        "RabbitMQ",
        (topic, type) => $"/exchanges/{Uri.EscapeDataString(topic)}/{Uri.EscapeDataString(type)}",
        (topic, subscription) => $"/queues/{Uri.EscapeDataString(BrokerNames.Queue(topic, subscription))}")
    {
        ReleasesUnrouted = true,
        HoldFor = TimeSpan.FromMinutes(20),
    };

    // ActiveMQ Artemis, "fully qualified queue names".
    public static BrokerDialect Artemis { get; } = new("ActiveMQ Artemis", (topic, _) => topic, (topic, subscription) => $"{topic}::{BrokerNames.Queue(topic, subscription)}")
    {
        DeliversEveryType = true,
        HoldFor = TimeSpan.FromMinutes(20),
    };

    /// <exception cref="BrokerException">A broker whose addresses are not known.</exception>
    public static BrokerDialect Of(BrokerAddress address, Open open)
    {
        if (address.IsServiceBus)
        {
            return ServiceBus;
        }

        var product = Property(open, "product") ?? "";
        return product switch
        {
            _ when product.Contains("rabbitmq", StringComparison.OrdinalIgnoreCase) => int.TryParse((Property(open, "version") ?? "").Split('.')[0], out var major) && major < 4 ? RabbitMq3 : RabbitMq4,
            _ when product.Contains("artemis", StringComparison.OrdinalIgnoreCase) => Artemis,
            _ => throw new BrokerException("the broker says neither that it is RabbitMQ nor ActiveMQ Artemis; how it addresses topics is not known"),
        };
    }

    private static string? Property(Open open, string name) => open.Properties is { } properties ? properties[new Symbol(name)] as string : null;
}

/// <summary>Names of what infra provisions.</summary>
internal static class BrokerNames
{
    // wave16.<module>.<entity>-<past tense>.v<N>
    private const string TypePrefix = "wave16.";

    // Azure Service Bus: letters, digits, '.', '-', '_'.
    private const int LongestSubscription = 50;

    /// <summary>The topic that carries an event type: the module that raises it.</summary>
    /// <exception cref="ArgumentException">Not an event type of this system.</exception>
    public static string Topic(string type)
    {
        var dot = type.StartsWith(TypePrefix, StringComparison.Ordinal) ? type.IndexOf('.', TypePrefix.Length) : -1;
        return dot > TypePrefix.Length
            ? type[TypePrefix.Length..dot]
            : throw new ArgumentException($"'{type}' does not say which module raises it: wave16.<module>.<entity>-<past tense>.v<N>.", nameof(type));
    }

    /// <summary>A consumer's subscription, of the same name on every topic.</summary>
    /// <exception cref="ArgumentException">No broker could have a subscription of that name.</exception>
    public static string Subscription(string consumer)
    {
        var name = consumer.Replace('/', '.');
        return name.Length is > 0 and <= LongestSubscription && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' or '_')
            ? name
            : throw new ArgumentException($"'{consumer}' cannot name a subscription: at most {LongestSubscription} letters, digits, '.', '-', '_' and '/'.", nameof(consumer));
    }

    /// <summary>The subscription's queue, where the broker has one name space for all queues.</summary>
    public static string Queue(string topic, string subscription) => $"{topic}.{subscription}";
}

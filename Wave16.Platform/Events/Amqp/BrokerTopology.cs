using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;

namespace Wave16.Platform.Events.Amqp;

/// <summary>
/// What the broker must have before a process publishes or receives: a topic per module, a subscription per topic and consumer, and
/// the types that each subscription takes. One list for every broker; infra provisions it, no consumer does.
/// </summary>
public sealed record BrokerTopology(IReadOnlyList<BrokerTopology.Topic> Topics)
{
    /// <summary>How often an event is delivered before the broker makes a dead letter of it. The Service Bus emulator allows no more.</summary>
    public const int MostDeliveries = 10;

    /// <summary>Suffix of the queue that holds a queue's dead letters on RabbitMQ.</summary>
    public const string DeadLetterSuffix = ".dead";

    private const string DeadLetterExchange = "dead-letters";

    private static readonly JsonWriterOptions Written = new() { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="Name">The module that publishes to it.</param>
    /// <param name="Subscriptions">By name.</param>
    public sealed record Topic(string Name, IReadOnlyList<Subscription> Subscriptions);

    /// <param name="Name">The consumer, with <c>.</c> for <c>/</c>.</param>
    /// <param name="Types">Event types, exactly, sorted.</param>
    public sealed record Subscription(string Name, IReadOnlyList<string> Types);

    /// <summary>Of the modules that are registered in this process, and what they subscribe to.</summary>
    /// <exception cref="ArgumentException">A consumer or a type whose name no broker could carry.</exception>
    public static BrokerTopology Of(IServiceProvider services)
    {
        var modules = services.GetServices<EventModule>().Select(module => module.Name).ToList();
        return Of(modules, modules.SelectMany(module => services.GetKeyedServices<IEventHandler>(module)).Select(handler => (handler.Consumer, handler.Types)));
    }

    internal static BrokerTopology Of(IEnumerable<string> modules, IEnumerable<(string Consumer, IReadOnlyCollection<string> Types)> consumers)
    {
        var taken = consumers
            .SelectMany(consumer => consumer.Types.Select(type => (Topic: BrokerNames.Topic(type), Subscription: BrokerNames.Subscription(consumer.Consumer), Type: type)))
            .ToLookup(one => one.Topic, StringComparer.Ordinal);
        return new BrokerTopology(
        [
            .. modules.Concat(taken.Select(topic => topic.Key)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(topic => new Topic(
                topic,
                [
                    .. taken[topic].GroupBy(one => one.Subscription, one => one.Type, StringComparer.Ordinal).OrderBy(subscription => subscription.Key, StringComparer.Ordinal)
                        .Select(subscription => new Subscription(subscription.Key, [.. subscription.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)])),
                ])),
        ]);
    }

    /// <summary>The list itself.</summary>
    public string ToJson() => Write(json =>
    {
        json.WriteStartObject();
        json.WriteStartArray("topics");
        foreach (var topic in Topics)
        {
            json.WriteStartObject();
            json.WriteString("name", topic.Name);
            json.WriteStartArray("subscriptions");
            foreach (var subscription in topic.Subscriptions)
            {
                json.WriteStartObject();
                json.WriteString("name", subscription.Name);
                json.WriteStartArray("types");
                foreach (var type in subscription.Types)
                {
                    json.WriteStringValue(type);
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    });

    /// <summary>
    /// RabbitMQ's definitions (its documentation, "Definition Export and Import"): an exchange per topic, a quorum queue per
    /// subscription and one for its dead letters. No users: their passwords are not for a repository.
    /// </summary>
    /// <param name="virtualHost">Null for a file that is imported into one virtual host.</param>
    public string ToRabbitMqDefinitions(string? virtualHost) => Write(json =>
    {
        var queues = Topics.SelectMany(topic => topic.Subscriptions.Select(subscription => (Topic: topic.Name, Subscription: subscription, Queue: BrokerNames.Queue(topic.Name, subscription.Name)))).ToList();
        json.WriteStartObject();
        if (virtualHost is not null)
        {
            json.WriteStartArray("vhosts");
            json.WriteStartObject();
            json.WriteString("name", virtualHost);
            json.WriteEndObject();
            json.WriteEndArray();
        }

        json.WriteStartArray("exchanges");
        foreach (var (name, type) in Topics.Select(topic => (topic.Name, "topic")).Append((DeadLetterExchange, "direct")))
        {
            Named(name);
            json.WriteString("type", type);
            json.WriteBoolean("durable", true);
            json.WriteBoolean("auto_delete", false);
            json.WriteBoolean("internal", false);
            json.WriteStartObject("arguments");
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("queues");
        foreach (var (_, _, queue) in queues)
        {
            Queue(queue, () =>
            {
                // Returned more often than this is a dead letter: one delivery more than returns.
                json.WriteNumber("x-delivery-limit", MostDeliveries - 1);
                json.WriteString("x-dead-letter-exchange", DeadLetterExchange);
                json.WriteString("x-dead-letter-routing-key", queue);
                // A dead letter leaves the queue when the other one has it; asks for the overflow.
                json.WriteString("x-dead-letter-strategy", "at-least-once");
                json.WriteString("x-overflow", "reject-publish");
            });
            Queue(queue + DeadLetterSuffix, () => { });
        }

        json.WriteEndArray();
        json.WriteStartArray("bindings");
        foreach (var (topic, subscription, queue) in queues)
        {
            foreach (var type in subscription.Types)
            {
                Binding(topic, queue, type);
            }

            Binding(DeadLetterExchange, queue + DeadLetterSuffix, queue);
        }

        json.WriteEndArray();
        json.WriteEndObject();

        void Named(string name)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            VirtualHost();
        }

        void VirtualHost()
        {
            if (virtualHost is not null)
            {
                json.WriteString("vhost", virtualHost);
            }
        }

        void Queue(string name, Action arguments)
        {
            Named(name);
            json.WriteBoolean("durable", true);
            json.WriteBoolean("auto_delete", false);
            json.WriteStartObject("arguments");
            json.WriteString("x-queue-type", "quorum");
            arguments();
            json.WriteEndObject();
            json.WriteEndObject();
        }

        void Binding(string exchange, string queue, string key)
        {
            json.WriteStartObject();
            json.WriteString("source", exchange);
            VirtualHost();
            json.WriteString("destination", queue);
            json.WriteString("destination_type", "queue");
            json.WriteString("routing_key", key);
            json.WriteStartObject("arguments");
            json.WriteEndObject();
            json.WriteEndObject();
        }
    });

    /// <summary>The Service Bus emulator's <c>Config.json</c> (Microsoft, "Azure Service Bus emulator"): its limits are an hour to live and five minutes of lock.</summary>
    public string ToEmulatorConfig() => Write(json =>
    {
        json.WriteStartObject();
        json.WriteStartObject("UserConfig");
        json.WriteStartArray("Namespaces");
        json.WriteStartObject();
        json.WriteString("Name", "sbemulatorns");
        json.WriteStartArray("Topics"u8);
        foreach (var topic in Topics)
        {
            json.WriteStartObject();
            json.WriteString("Name", topic.Name);
            json.WriteStartObject("Properties");
            json.WriteString("DefaultMessageTimeToLive", "PT1H");
            json.WriteBoolean("RequiresDuplicateDetection", false);
            json.WriteEndObject();
            json.WriteStartArray("Subscriptions");
            foreach (var subscription in topic.Subscriptions)
            {
                json.WriteStartObject();
                json.WriteString("Name", subscription.Name);
                json.WriteStartObject("Properties");
                json.WriteBoolean("DeadLetteringOnMessageExpiration", true);
                json.WriteString("DefaultMessageTimeToLive", "PT1H");
                json.WriteString("LockDuration", "PT5M");
                json.WriteNumber("MaxDeliveryCount", MostDeliveries);
                json.WriteBoolean("RequiresSession", false);
                json.WriteEndObject();
                json.WriteStartArray("Rules");
                foreach (var type in subscription.Types)
                {
                    json.WriteStartObject();
                    // Rule names have the limits of subscription names; a type may be longer.
                    json.WriteString("Name", type.Length <= 50 ? type : type[^50..].TrimStart('.'));
                    json.WriteStartObject("Properties");
                    json.WriteString("FilterType", "Correlation");
                    json.WriteStartObject("CorrelationFilter");
                    json.WriteString("Label", type);
                    json.WriteEndObject();
                    json.WriteEndObject();
                    json.WriteEndObject();
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteStartObject("Logging");
        json.WriteString("Type", "Console");
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    });

    private static string Write(Action<Utf8JsonWriter> content)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, Written))
        {
            content(json);
        }

        return Encoding.UTF8.GetString(bytes.ToArray()) + "\n";
    }
}

/// <summary>A module of this process: it has a topic.</summary>
internal sealed record EventModule(string Name);

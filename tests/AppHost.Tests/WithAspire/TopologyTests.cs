using System.Text.Json;
using Aspire.Hosting.Testing;
using Wave16.Testing;

namespace Wave16.AppHost.Tests.WithAspire;

public sealed class TopologyTests
{
    [Fact]
    public async Task The_topics_of_the_model_are_those_the_broker_is_given()
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        var file = Path.Combine(Checkout.Root, "infra", "broker", "topology.json");
        Assert.True(File.Exists(file), "infra/broker/topology.json is missing: what the broker is given comes from it.");
        using var topology = JsonDocument.Parse(await File.ReadAllBytesAsync(file, cancellationToken));
        await using var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Wave16_AppHost>(cancellationToken);

        var messaging = builder.Resources.Single(resource => resource.Name == "messaging");
        Assert.Equal(
            topology.RootElement.GetProperty("topics").EnumerateArray().SelectMany(Lines).Order(StringComparer.Ordinal),
            messaging.Annotations.OfType<Topic>().SelectMany(Lines).Order(StringComparer.Ordinal));
    }

    private static IEnumerable<string> Lines(JsonElement topic)
    {
        var name = topic.GetProperty("name").GetString() ?? "";
        return topic.GetProperty("subscriptions").EnumerateArray()
            .Select(subscription => Line(name, subscription.GetProperty("name").GetString() ?? "", subscription.GetProperty("types").EnumerateArray().Select(type => type.GetString() ?? "")))
            .Prepend(name);
    }

    private static IEnumerable<string> Lines(Topic topic) =>
        topic.Subscriptions.Select(subscription => Line(topic.Name, subscription.Name, subscription.Types)).Prepend(topic.Name);

    private static string Line(string topic, string subscription, IEnumerable<string> types) =>
        $"{topic}/{subscription}: {string.Join(", ", types.Order(StringComparer.Ordinal))}";
}

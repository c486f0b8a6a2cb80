using Wave16.Platform.Events.Amqp;
using Wave16.Standalone;

namespace Wave16.Conformance.Tests;

/// <summary>What infra provisions at the broker is what the modules publish and subscribe to.</summary>
public sealed class BrokerTopologyTests(Hosts hosts)
{
    [Fact]
    public async Task The_list_and_the_brokers_files_agree_with_the_modules()
    {
        var topology = BrokerTopology.Of((await hosts.InStandaloneAsync(StandaloneHost.Modules[0].Name)).Services);

        Repository.IsSnapshot(Path.Combine(Repository.Root, "infra", "broker", "topology.json"), topology.ToJson());
        Repository.IsSnapshot(Path.Combine(Repository.Root, "infra", "broker", "rabbitmq", "definitions.json"), topology.ToRabbitMqDefinitions("/"));
        Repository.IsSnapshot(Path.Combine(Repository.Root, "infra", "broker", "service-bus-emulator", "Config.json"), topology.ToEmulatorConfig());
    }

    [Fact]
    public async Task Every_module_has_its_topic()
    {
        var topology = BrokerTopology.Of((await hosts.InStandaloneAsync(StandaloneHost.Modules[0].Name)).Services);

        Assert.Superset(StandaloneHost.Modules.Select(module => module.Name).ToHashSet(StringComparer.Ordinal), topology.Topics.Select(topic => topic.Name).ToHashSet(StringComparer.Ordinal));
    }
}

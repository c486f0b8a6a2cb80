using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Testing;
using Wave16.Testing;

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>What the manifest does not carry: waits, replicas, health checks and probes. Nothing is started.</summary>
public sealed class ModelTests
{
    public static TheoryData<string> Modules => [.. Directory.GetDirectories(Path.Combine(Checkout.Root, "modules")).Select(folder => Path.GetFileName(folder))];

    [Fact]
    public async Task The_model_holds_the_modules_and_their_stand_in_neighbours()
    {
        await using var builder = await RunModel();

        Assert.Equal(
            new[] { "neighbours" }.Concat(Modules.Select(module => module.Data)).Order(StringComparer.Ordinal),
            builder.Resources.OfType<ProjectResource>().Select(project => project.Name).Order(StringComparer.Ordinal));
    }

    [Theory, MemberData(nameof(Modules))]
    public async Task A_module_waits_for_its_own_database_its_cluster_and_the_broker(string module)
    {
        await using var builder = await RunModel();

        // Waiting for a database waits for its server too.
        var waits = Project(builder, module).Annotations.OfType<WaitAnnotation>().Select(wait => wait.Resource.Name).Distinct(StringComparer.Ordinal);
        Assert.Equal(new[] { "messaging", "neighbours", "postgres", "redis", $"{module}-db" }.Order(StringComparer.Ordinal), waits.Order(StringComparer.Ordinal));
    }

    [Theory, MemberData(nameof(Modules))]
    public async Task A_module_has_replicas_behind_a_port_that_is_not_fixed(string module)
    {
        await using var builder = await RunModel();

        var project = Project(builder, module);
        Assert.True(project.GetReplicaCount() >= 2);
        Assert.All(project.Annotations.OfType<EndpointAnnotation>(), endpoint =>
        {
            Assert.Null(endpoint.Port);
            Assert.True(endpoint.IsProxied, $"{endpoint.Name} is proxyless");
        });
    }

    [Theory, MemberData(nameof(Modules))]
    public async Task A_module_is_probed_where_it_answers_and_its_health_is_checked(string module)
    {
        await using var builder = await RunModel();

        var project = Project(builder, module);
        Assert.Equal(
            [(ProbeType.Readiness, "/health"), (ProbeType.Liveness, "/alive")],
            project.Annotations.OfType<EndpointProbeAnnotation>().Select(probe => (probe.Type, probe.Path)));
        Assert.Contains(project.Annotations.OfType<HealthCheckAnnotation>(), check => check.Key.Contains("/health", StringComparison.Ordinal));
    }

    private static Task<IDistributedApplicationTestingBuilder> RunModel() =>
        DistributedApplicationTestingBuilder.CreateAsync<Projects.Wave16_AppHost>(TestContext.Current.CancellationToken);

    private static ProjectResource Project(IDistributedApplicationTestingBuilder builder, string name) =>
        builder.Resources.OfType<ProjectResource>().Single(project => project.Name == name);
}

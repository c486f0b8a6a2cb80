using Aspire.Hosting;

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>The environment a module is started with, evaluated from the model in both modes.</summary>
public sealed class EnvironmentTests
{
    public static TheoryData<string, DistributedApplicationOperation> ModulesInBothModes =>
        new MatrixTheoryData<string, DistributedApplicationOperation>(
            ModelTests.Modules.Select(module => module.Data), [DistributedApplicationOperation.Run, DistributedApplicationOperation.Publish]);

    [Theory, MemberData(nameof(ModulesInBothModes))]
    public async Task A_module_finds_its_database_its_cluster_and_the_broker(string module, DistributedApplicationOperation operation)
    {
        var environment = await ModelEnvironment.Of(module, operation);

        Assert.Equal($"{{{module}-db.connectionString}}", environment[$"ConnectionStrings__{module}-db"]);
        Assert.Equal("{redis.connectionString}", environment["ConnectionStrings__redis"]);
        Assert.Equal("{messaging.connectionString}", environment["ConnectionStrings__messaging"]);
        Assert.Equal("Redis", environment["Orleans__Clustering__ProviderType"]);
        Assert.Equal("redis", environment["Orleans__Clustering__ServiceKey"]);
        Assert.Equal(module, environment["Orleans__ClusterId"]);
        Assert.Equal(module, environment["Orleans__ServiceId"]);
    }

    [Theory, MemberData(nameof(ModelTests.Modules), MemberType = typeof(ModelTests))]
    public async Task A_module_run_here_is_told_the_environment_its_neighbours_and_where_telemetry_goes(string module)
    {
        var environment = await ModelEnvironment.Of(module, DistributedApplicationOperation.Run);

        Assert.Equal("Development", environment["ASPNETCORE_ENVIRONMENT"]);
        Assert.Equal("{neighbours.bindings.http.url}", environment["services__neighbours__http__0"]);
        Assert.Equal("https+http://neighbours/audit-trail/", environment["Neighbours__audit-trail__Url"]);
        Assert.Equal("http://localhost:4317", environment["OTEL_EXPORTER_OTLP_ENDPOINT"]);
        Assert.Equal("grpc", environment["OTEL_EXPORTER_OTLP_PROTOCOL"]);
        Assert.Contains("OTEL_SERVICE_NAME", environment.Keys);
        Assert.Contains("OTEL_RESOURCE_ATTRIBUTES", environment.Keys);
        Assert.DoesNotContain("Authentication__Authority", environment.Keys);
    }

    [Theory, MemberData(nameof(ModelTests.Modules), MemberType = typeof(ModelTests))]
    public async Task A_published_module_is_told_who_issues_tokens_and_neither_an_environment_nor_a_stand_in(string module)
    {
        var environment = await ModelEnvironment.Of(module, DistributedApplicationOperation.Publish);

        Assert.Equal("{authority.value}", environment["Authentication__Authority"]);
        Assert.Equal("{audit-trail-url.value}", environment["Neighbours__audit-trail__Url"]);
        Assert.DoesNotContain("ASPNETCORE_ENVIRONMENT", environment.Keys);
        Assert.DoesNotContain(environment.Keys, name => name.StartsWith("services__", StringComparison.Ordinal));
    }
}

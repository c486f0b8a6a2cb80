using System.Text.Json;
using Aspire.Hosting.Testing;

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>The published manifest: the environment each module is deployed with. Nothing is started.</summary>
public sealed class ManifestTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("wave16-manifest-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory, MemberData(nameof(ModelTests.Modules), MemberType = typeof(ModelTests))]
    public async Task A_module_is_deployed_with_its_database_its_cluster_in_Redis_and_the_broker(string module)
    {
        var environment = (await Publish()).GetProperty(module).GetProperty("env");

        Assert.Equal($"{{{module}-db.connectionString}}", environment.GetProperty($"ConnectionStrings__{module}-db").GetString());
        Assert.Equal("{messaging.connectionString}", environment.GetProperty("ConnectionStrings__messaging").GetString());
        Assert.Equal("{redis.connectionString}", environment.GetProperty("ConnectionStrings__redis").GetString());
        Assert.Equal("Redis", environment.GetProperty("Orleans__Clustering__ProviderType").GetString());
        Assert.Equal("redis", environment.GetProperty("Orleans__Clustering__ServiceKey").GetString());
        Assert.Equal(module, environment.GetProperty("Orleans__ServiceId").GetString());
        Assert.Equal($"{{{module}.bindings.orleans-silo.targetPort}}", environment.GetProperty("Orleans__Endpoints__SiloPort").GetString());
        Assert.Equal($"{{{module}.bindings.http.targetPort}}", environment.GetProperty("HTTP_PORTS").GetString());
        Assert.False(environment.TryGetProperty("ASPNETCORE_ENVIRONMENT", out _));
    }

    [Fact]
    public async Task What_a_module_refuses_to_start_without_is_asked_for_and_its_keys_are_secret()
    {
        var resources = await Publish();
        var environment = resources.GetProperty("vuln-center").GetProperty("env");

        foreach (var (setting, parameter, secret) in ((string, string, bool)[])[
            ("Authentication__Authority", "authority", false), ("Audit__SigningKey", "vuln-center-audit-key", true), ("VulnCenter__SecretKey", "vuln-center-secret-key", true)])
        {
            Assert.Equal($"{{{parameter}.value}}", environment.GetProperty(setting).GetString());
            var input = resources.GetProperty(parameter).GetProperty("inputs").GetProperty("value");
            Assert.Equal(secret, input.TryGetProperty("secret", out var marked) && marked.GetBoolean());
        }
    }

    [Fact]
    public async Task Stand_ins_are_not_deployed_and_each_neighbours_address_is_a_parameter()
    {
        var resources = await Publish();

        Assert.False(resources.TryGetProperty("neighbours", out _));
        var addresses = resources.GetProperty("vuln-center").GetProperty("env").EnumerateObject()
            .Where(variable => variable.Name.StartsWith("Neighbours__", StringComparison.Ordinal))
            .ToDictionary(variable => variable.Name.Split("__")[1], variable => variable.Value.GetString(), StringComparer.Ordinal);
        Assert.Equal(
            ["audit-trail", "control-plane", "integration-hub", "program-graph", "safety-console"],
            addresses.Keys.Order(StringComparer.Ordinal));
        Assert.All(addresses, address =>
        {
            Assert.Equal($"{{{address.Key}-url.value}}", address.Value);
            Assert.Equal("parameter.v0", resources.GetProperty($"{address.Key}-url").GetProperty("type").GetString());
        });
    }

    [Fact]
    public async Task Only_the_way_in_is_external()
    {
        var bindings = (await Publish()).GetProperty("vuln-center").GetProperty("bindings").EnumerateObject();

        Assert.Equal(["http"], bindings
            .Where(binding => binding.Value.TryGetProperty("external", out var external) && external.GetBoolean())
            .Select(binding => binding.Name));
    }

    private async Task<JsonElement> Publish()
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        var manifest = Path.Combine(_folder, "aspire-manifest.json");
        await using var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Wave16_AppHost>(
            ["--operation", "publish", "--step", "publish-manifest", "--output-path", manifest], cancellationToken);
        await using var app = await builder.BuildAsync(cancellationToken);
        await app.RunAsync(cancellationToken);
        using var document = JsonDocument.Parse(await File.ReadAllBytesAsync(manifest, cancellationToken));
        return document.RootElement.GetProperty("resources").Clone();
    }
}

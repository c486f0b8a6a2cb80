namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>The published manifest: what is deployed, and what is asked for.</summary>
public sealed class ManifestTests(PublishedManifest published) : IClassFixture<PublishedManifest>
{
    [Theory, MemberData(nameof(ModelTests.Modules), MemberType = typeof(ModelTests))]
    public void A_module_listens_where_its_bindings_say(string module)
    {
        var environment = published.Resources.GetProperty(module).GetProperty("env");

        Assert.Equal($"{{{module}.bindings.http.targetPort}}", environment.GetProperty("HTTP_PORTS").GetString());
        Assert.Equal($"{{{module}.bindings.orleans-silo.targetPort}}", environment.GetProperty("Orleans__Endpoints__SiloPort").GetString());
        Assert.Equal($"{{{module}.bindings.orleans-gateway.targetPort}}", environment.GetProperty("Orleans__Endpoints__GatewayPort").GetString());
    }

    [Fact]
    public void What_a_module_needs_of_an_installation_is_asked_for_and_its_keys_are_secret()
    {
        var environment = published.Resources.GetProperty("vuln-center").GetProperty("env");

        foreach (var (setting, parameter, secret) in ((string, string, bool)[])[
            ("Authentication__Authority", "authority", false), ("Authentication__Audience", "audience", false), ("Authentication__TenantClaim", "tenant-claim", false),
            ("Audit__SigningKey", "vuln-center-audit-key", true), ("VulnCenter__SecretKey", "vuln-center-secret-key", true),
            ("VulnCenter__TicketWebhookSecret", "vuln-center-ticket-webhook-secret", true), ("Neighbours__audit-trail__Token", "audit-trail-token", true)])
        {
            Assert.Equal($"{{{parameter}.value}}", environment.GetProperty(setting).GetString());
            var input = published.Resources.GetProperty(parameter).GetProperty("inputs").GetProperty("value");
            Assert.Equal(secret, input.TryGetProperty("secret", out var marked) && marked.GetBoolean());
        }
    }

    [Fact]
    public void Stand_ins_are_not_deployed_and_each_neighbours_address_is_a_parameter()
    {
        Assert.False(published.Resources.TryGetProperty("neighbours", out _));
        Assert.Equal("{vuln-center.bindings.http.url}", published.Resources.GetProperty("vuln-center").GetProperty("env").GetProperty("VulnCenter__PublicUrl").GetString());
        var addresses = published.Resources.GetProperty("vuln-center").GetProperty("env").EnumerateObject()
            .Where(variable => variable.Name.StartsWith("Neighbours__", StringComparison.Ordinal) && variable.Name.EndsWith("__Url", StringComparison.Ordinal))
            .ToDictionary(variable => variable.Name.Split("__")[1], variable => variable.Value.GetString(), StringComparer.Ordinal);
        Assert.Equal(
            ["audit-trail", "control-plane", "integration-hub", "program-graph", "safety-console"],
            addresses.Keys.Order(StringComparer.Ordinal));
        Assert.All(addresses, address =>
        {
            Assert.Equal($"{{{address.Key}-url.value}}", address.Value);
            Assert.Equal("parameter.v0", published.Resources.GetProperty($"{address.Key}-url").GetProperty("type").GetString());
        });
    }

    [Fact]
    public void Only_the_way_in_is_external()
    {
        var bindings = published.Resources.GetProperty("vuln-center").GetProperty("bindings").EnumerateObject();

        Assert.Equal(["http"], bindings
            .Where(binding => binding.Value.TryGetProperty("external", out var external) && external.GetBoolean())
            .Select(binding => binding.Name));
    }
}

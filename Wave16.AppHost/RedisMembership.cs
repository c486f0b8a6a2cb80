using Aspire.Hosting.Orleans;

namespace Wave16.AppHost;

/// <summary>
/// Membership of a cluster in Redis. Aspire would name the provider after the resource's class; Orleans registers
/// <c>Redis</c> and knows no <c>AzureManagedRedis</c>, so a silo would fail at its start.
/// </summary>
internal sealed class RedisMembership(IResourceBuilder<IResourceWithConnectionString> redis) : IProviderConfiguration
{
    public void ConfigureResource<T>(IResourceBuilder<T> resourceBuilder, string configSectionPath) where T : IResourceWithEnvironment =>
        resourceBuilder
            .WithEnvironment($"Orleans__{configSectionPath}__ProviderType", "Redis")
            .WithEnvironment($"Orleans__{configSectionPath}__ServiceKey", redis.Resource.Name)
            .WithReference(redis);
}

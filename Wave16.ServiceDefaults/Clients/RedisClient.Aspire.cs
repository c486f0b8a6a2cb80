using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using StackExchange.Redis;

namespace Wave16.ServiceDefaults;

/// <summary>A connection to Redis, by way of Aspire.StackExchange.Redis. RedisClient.cs is the same without it.</summary>
public static class RedisClient
{
    /// <summary>Registers the <see cref="IConnectionMultiplexer"/> keyed by <paramref name="name"/>, as Orleans looks for it.</summary>
    public static void AddRedis(this IHostApplicationBuilder builder, string name)
    {
        builder.AddKeyedRedisClient(name, settings =>
        {
            settings.DisableAutoActivation = true;
            // The hosts' own: a server that is away takes no replica out of service, and its commands are membership's.
            settings.DisableHealthChecks = settings.DisableTracing = true;
        });
        builder.Services.AddOptions<ConfigurationOptions>(name).Configure<IServiceProvider>((options, services) => RedisConnections.Prepare(options, services, name));
        builder.AddRedisSurroundings(name);
    }
}

using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Wave16.ServiceDefaults;

/// <summary>A connection to Redis. RedisClient.Aspire.cs is the same by way of Aspire.StackExchange.Redis.</summary>
public static class RedisClient
{
    /// <summary>Registers the <see cref="IConnectionMultiplexer"/> keyed by <paramref name="name"/>, as Orleans looks for it.</summary>
    public static void AddRedis(this IHostApplicationBuilder builder, string name)
    {
        builder.AddRedisSurroundings(name);
        builder.Services.AddKeyedSingleton<IConnectionMultiplexer>(name, (services, _) =>
        {
            var options = RedisConnections.Parse(services.GetRequiredService<IConfiguration>(), name);
            RedisConnections.Prepare(options, services, name);
            options.LoggerFactory ??= services.GetRequiredService<ILoggerFactory>();
            return ConnectionMultiplexer.Connect(options);
        });
    }
}

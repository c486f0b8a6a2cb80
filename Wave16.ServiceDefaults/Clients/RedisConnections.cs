using Azure.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using StackExchange.Redis;

namespace Wave16.ServiceDefaults;

/// <summary>What holds for a connection to Redis, whoever makes it.</summary>
internal static class RedisConnections
{
    /// <summary>What goes with a connection, besides itself: who this process is, and what <c>/health</c> says of it.</summary>
    public static void AddRedisSurroundings(this IHostApplicationBuilder builder, string name)
    {
        builder.Services.AddEntraIdentity();
        builder.Services.AddKeyedSingleton(name, (services, _) => new RedisTokens(services.GetRequiredService<TokenCredential>(), services.GetRequiredService<TimeProvider>()));
        if (!ClientSettings.Read(builder.Configuration, ClientSettings.Redis, name).DisableHealthChecks)
            builder.Services.AddHostedService(services => new RedisHealth(name, services.GetRequiredKeyedService<IConnectionMultiplexer>(name), services.GetRequiredService<DependencyHealth>()));
    }

    /// <summary>A server that is away is waited for, and Azure's gets Entra ID tokens where no password is given.</summary>
    public static void Prepare(ConfigurationOptions options, IServiceProvider services, string name)
    {
        options.AbortOnConnectFail = false;
        if (RedisTokens.IsWanted(options))
            options.Defaults = services.GetRequiredKeyedService<RedisTokens>(name);
    }

    /// <summary>Parses the connection string and lays <c>ConfigurationOptions:*</c> over it, first those of all connections.</summary>
    /// <exception cref="InvalidOperationException">There is no connection string.</exception>
    public static ConfigurationOptions Parse(IConfiguration configuration, string name)
    {
        var given = ClientSettings.Read(configuration, ClientSettings.Redis, name).ConnectionString
            ?? throw new InvalidOperationException($"No Redis: set ConnectionStrings:{name}.");
        var options = ConfigurationOptions.Parse(given);
        configuration.GetSection($"{ClientSettings.Redis}:ConfigurationOptions").Bind(options);
        configuration.GetSection($"{ClientSettings.Redis}:{name}:ConfigurationOptions").Bind(options);
        return options;
    }
}

/// <summary>Reports a connection's state to <c>/health</c> as it changes.</summary>
internal sealed class RedisHealth(string name, IConnectionMultiplexer connection, DependencyHealth health) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        connection.ConnectionFailed += Changed;
        connection.ConnectionRestored += Changed;
        Report();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        connection.ConnectionFailed -= Changed;
        connection.ConnectionRestored -= Changed;
        return Task.CompletedTask;
    }

    private void Changed(object? sender, ConnectionFailedEventArgs change) => Report();

    private void Report() => health.Report(
        name,
        connection.IsConnected ? DependencyState.Healthy : DependencyState.Degraded,
        connection.IsConnected ? null : "no connection");
}

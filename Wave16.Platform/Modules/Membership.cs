using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Clustering.Redis;
using Orleans.Serialization.Serializers;
using StackExchange.Redis;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>Silos that find each other in Redis: the other replicas of a module.</summary>
internal static class Membership
{
    /// <summary>
    /// The connection that Orleans asks for by <c>Orleans:Clustering:ServiceKey</c>, and what keeps a silo from joining too early and
    /// from living outside of its cluster. Call when the silo is registered.
    /// </summary>
    public static void AddMembership(this IHostApplicationBuilder builder)
    {
        var clustering = builder.Configuration.GetSection("Orleans:Clustering");
        if (clustering["ProviderType"] is not "Redis" || clustering["ServiceKey"] is not { Length: > 0 } redis)
        {
            return;
        }

        builder.AddRedis(redis);
        var services = builder.Services;
        var (at, silo) = services.Index().FirstOrDefault(service => service.Item.ServiceType == typeof(IHostedService) && service.Item.ImplementationType?.Name == "SiloHostedService");
        if (silo?.ImplementationType is not { } type)
        {
            throw new InvalidOperationException("Orleans registers no SiloHostedService any more: see how this version starts its silo, and start that when the schema is up.");
        }

        services.AddSingleton(provider => new SiloStart(
            () => (IHostedService)ActivatorUtilities.CreateInstance(provider, type),
            () => provider.GetRequiredService<HostedModules>().Modules.Select(module => provider.GetRequiredKeyedService<ModuleDatabase>(module.Name)),
            () => provider.GetRequiredKeyedService<IConnectionMultiplexer>(redis),
            provider.GetRequiredService<IHostApplicationLifetime>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<SiloStart>>()));
        services[at] = ServiceDescriptor.Singleton<IHostedService>(provider => provider.GetRequiredService<SiloStart>());
        services.AddHostedService<MembershipWatch>();
        services.AddSingleton<IGeneralizedCodec, DatabaseFailuresTravel>();
    }
}

/// <summary>
/// Starts the silo when it can do what it will be asked for: once every module's schema is up, because the other replicas place
/// grains on it as soon as it has joined, and once the membership table can be reached, because a silo that cannot read it fails.
/// Meanwhile the process answers, and says what it waits for.
/// </summary>
internal sealed class SiloStart(
    Func<IHostedService> silo, Func<IEnumerable<ModuleDatabase>> databases, Func<IConnectionMultiplexer> redis,
    IHostApplicationLifetime host, TimeProvider clock, ILogger<SiloStart> log)
    : BackgroundService
{
    private static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IHostedService? _silo;

    public Task Started => _started.Task;

    /// <summary>The silo is no longer in the membership table.</summary>
    public bool IsLost { get; set; }

    /// <summary>The host has stopped, and the silo has not: disposing of it would take its minute.</summary>
    public bool WasLeft { get; private set; }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        if (_silo is not { } begun)
        {
            return;
        }

        // A silo that cannot write its farewell into the table tries for a minute, while nobody is served here. It is left running
        // and ends with the process; the others find out by themselves, and grains keep nothing that is not saved.
        if (IsLost || !redis().IsConnected)
        {
            WasLeft = true;
            return;
        }

        await begun.StopAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            foreach (var database in databases())
            {
                await database.WhenMigratedAsync(stoppingToken);
            }

            await WhenReachableAsync(stoppingToken);
            _silo = silo();
            await _silo.StartAsync(stoppingToken);
            _started.SetResult();
        }
        catch (Exception failure) when (!stoppingToken.IsCancellationRequested)
        {
            log.LogCritical(failure, "The silo did not start; the process ends, to be started again");
            Environment.ExitCode = 1;
            host.StopApplication();
        }
    }

    private async Task WhenReachableAsync(CancellationToken cancellation)
    {
        for (var waiting = false; ; waiting = true)
        {
            try
            {
                await redis().GetDatabase().PingAsync().WaitAsync(cancellation);
                return;
            }
            catch (Exception away) when (away is RedisException or TimeoutException)
            {
                if (!waiting)
                {
                    log.LogWarning(away, "Redis cannot be reached; the silo starts when it can");
                }
            }

            await Task.Delay(RetryEvery, clock, cancellation);
        }
    }
}

/// <summary>
/// Ends the process when its silo has vanished from the membership table, as after a loss of the store's data: silos that start
/// later do not see it, and it does not see them. Started again, it joins them.
/// </summary>
internal sealed class MembershipWatch(
    IMembershipTable table, ILocalSiloDetails silo, SiloStart start, IHostApplicationLifetime host, TimeProvider clock, ILogger<MembershipWatch> log)
    : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(4);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await start.Started.WaitAsync(stoppingToken);
        for (var missed = 0; missed < 2;)
        {
            // Replicas look at different times, so that they do not all start again at once.
            await Task.Delay(Every * (0.5 + Random.Shared.NextDouble()), clock, stoppingToken);
            missed = await IsMissingAsync(stoppingToken) ? missed + 1 : 0;
        }

        log.LogCritical("{Silo} is no longer in the membership table, whose data was lost; the process ends, to be started again", silo.SiloAddress);
        start.IsLost = true;
        Environment.ExitCode = 1;
        host.StopApplication();
    }

    private async Task<bool> IsMissingAsync(CancellationToken cancellation)
    {
        try
        {
            return (await table.ReadRowAsync(silo.SiloAddress, cancellation)).Members.Count == 0;
        }
        catch (RedisClusteringException lost)
        {
            log.LogDebug(lost, "The membership table is gone");
            return true;
        }
        catch (Exception away) when (!cancellation.IsCancellationRequested)
        {
            log.LogDebug(away, "The membership table cannot be read"); // The connection itself says so louder.
            return false;
        }
    }
}

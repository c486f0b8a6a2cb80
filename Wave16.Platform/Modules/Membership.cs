using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>Where the silos of a cluster find each other, when that is Redis.</summary>
internal static class Membership
{
    /// <summary>The connection that Orleans asks for by <c>Orleans:Clustering:ServiceKey</c>, and what keeps a silo from living outside its cluster.</summary>
    public static void AddMembership(this IHostApplicationBuilder builder)
    {
        var clustering = builder.Configuration.GetSection("Orleans:Clustering");
        if (clustering["ProviderType"] is not "Redis" || clustering["ServiceKey"] is not { Length: > 0 } redis)
        {
            return;
        }

        builder.AddRedis(redis);
        // Before the silo: hosted services start in the order of their registration.
        builder.Services.AddHostedService(services => new MembershipStore(
            redis,
            services.GetRequiredKeyedService<IConnectionMultiplexer>(redis),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<MembershipStore>>()));
        builder.Services.AddHostedService<MembershipWatch>();
    }
}

/// <summary>Holds the silo's start until the membership table can be reached: a silo that cannot read it ends the process.</summary>
internal sealed class MembershipStore(string name, IConnectionMultiplexer redis, TimeProvider clock, ILogger<MembershipStore> log) : IHostedService
{
    private static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        for (var waiting = false; ; waiting = true)
        {
            try
            {
                await redis.GetDatabase().PingAsync().WaitAsync(cancellationToken);
                return;
            }
            catch (Exception away) when (away is RedisException or TimeoutException)
            {
                if (!waiting)
                {
                    log.LogWarning(away, "{Redis} cannot be reached; the silo starts when it can", name);
                }
            }

            await Task.Delay(RetryEvery, clock, cancellationToken);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>
/// Ends the process when its silo has vanished from the membership table, as after a loss of the store's data: silos that start
/// later do not see it, and it does not see them. Started again, it joins them.
/// </summary>
internal sealed class MembershipWatch(
    IMembershipTable table, ILocalSiloDetails silo, ISiloStatusOracle membership, IHostApplicationLifetime host, TimeProvider clock, ILogger<MembershipWatch> log)
    : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(4);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (var missed = 0; missed < 2;)
        {
            // Replicas look at different times, so that they do not all start again at once.
            await Task.Delay(Every * (0.5 + Random.Shared.NextDouble()), clock, stoppingToken);
            missed = membership.CurrentStatus == SiloStatus.Active && await IsMissingAsync(stoppingToken) ? missed + 1 : 0;
        }

        log.LogCritical("{Silo} is no longer in the membership table, whose data was lost; the process ends, to be started again", silo.SiloAddress);
        Environment.ExitCode = 1;
        host.StopApplication();
    }

    private async Task<bool> IsMissingAsync(CancellationToken cancellation)
    {
        try
        {
            return (await table.ReadRowAsync(silo.SiloAddress, cancellation)).Members.Count == 0;
        }
        catch (Exception away) when (away is RedisException or TimeoutException)
        {
            return false; // Reported by the connection itself.
        }
    }
}

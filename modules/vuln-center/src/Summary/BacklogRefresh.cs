using Microsoft.Extensions.Options;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter.Summary;

/// <summary>Folds the counts and reports the backlog to the meter, in one replica at a time.</summary>
internal sealed class BacklogRefresh(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleLocks locks,
    BacklogQueries backlog,
    VulnCenterMetrics metrics,
    DependencyHealth health,
    IOptions<BacklogOptions> options,
    TimeProvider clock,
    ILogger<BacklogRefresh> log) : BackgroundService
{
    private const string Name = "vuln-center-backlog";

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await using var lease = await locks.AcquireAsync("backlog", stoppingToken);
            using var mine = CancellationTokenSource.CreateLinkedTokenSource(lease.Lost, stoppingToken);
            try
            {
                await RunAsync(mine.Token);
            }
            catch (OperationCanceledException) when (mine.IsCancellationRequested)
            {
                // Another replica reports now, or the process ends.
            }
            finally
            {
                metrics.Forget();
            }
        }
    }

    private async Task RunAsync(CancellationToken cancellation)
    {
        var every = TimeSpan.FromSeconds(options.Value.RefreshSeconds);
        var failing = false;
        while (true)
        {
            try
            {
                await backlog.FoldAsync(cancellation);
                metrics.Report(await backlog.ReadAsync(cancellation));
                if (failing)
                {
                    failing = false;
                    log.LogInformation("The backlog is counted again");
                    health.Report(Name, DependencyState.Healthy);
                }
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                // Old figures would look like new ones.
                metrics.Forget();
                if (!failing)
                {
                    failing = true;
                    log.LogWarning(failure, "The backlog cannot be counted; it is tried again");
                    health.Report(Name, DependencyState.Degraded, $"cannot count the backlog ({failure.GetType().Name})");
                }
            }

            await Task.Delay(every, clock, cancellation);
        }
    }
}

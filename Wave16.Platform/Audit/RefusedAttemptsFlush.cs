using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Modules;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Audit;

/// <summary>Writes the counts of suppressed attempts, once a minute and at the end.</summary>
internal sealed class RefusedAttemptsFlush(string module, RefusedAttempts attempts, DependencyHealth health, TimeProvider clock, ILogger<RefusedAttemptsFlush> log)
    : BackgroundService
{
    private readonly LoopHealth _health = new($"{module}-refused-attempts", health, log);

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await attempts.FlushAsync(all: true, cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await Task.Delay(RefusedAttempts.Period, clock, stoppingToken);
            try
            {
                await attempts.FlushAsync(all: false, stoppingToken);
                _health.Works();
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                _health.Failed(failure);
            }
        }
    }
}

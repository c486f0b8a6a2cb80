using Microsoft.Extensions.Hosting;

namespace Wave16.Platform.Audit;

/// <summary>Writes the counts of suppressed attempts, once a minute and at the end.</summary>
internal sealed class RefusedAttemptsFlush(RefusedAttempts attempts, TimeProvider clock) : BackgroundService
{
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
            await attempts.FlushAsync(all: false, stoppingToken);
        }
    }
}

using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Audit;
using Wave16.Platform.Events;
using Wave16.Platform.Http;
using Wave16.Platform.Retention;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Modules;

/// <summary>
/// Removes what has expired: idempotency keys, ended jobs, signed heads that later ones stand for and undeliverable events row
/// by row, the rest by partitions. Every replica does it; they pass over each other's rows.
/// </summary>
internal sealed class Housekeeping(
    ModuleDatabase database, IdempotencyStore keys, JobStore jobs, HeadThinning heads, UndeliveredEvents undelivered, Partitions partitions,
    DependencyHealth health, TimeProvider clock, ILogger<Housekeeping> log)
    : BackgroundService
{
    private const int BatchSize = 1000;
    private readonly LoopHealth _health = new($"{database.Module}-housekeeping", health, log);
    private static readonly TimeSpan Every = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan WhenBusy = TimeSpan.FromMinutes(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await database.WhenReadyAsync(stoppingToken);
        while (true)
        {
            var done = false;
            try
            {
                await AllAsync(keys.RemoveExpiredAsync, stoppingToken);
                await AllAsync(jobs.RemoveEndedAsync, stoppingToken);
                await AllAsync(heads.RemoveSupersededAsync, stoppingToken);
                await AllAsync(undelivered.GiveUpAsync, stoppingToken);
                done = await partitions.MakeAsync(stoppingToken);
                done &= await partitions.DropAsync(stoppingToken);
                _health.Works();
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                _health.Failed(failure);
            }

            await Task.Delay(done ? Every : WhenBusy, clock, stoppingToken);
        }
    }

    private static async Task AllAsync(Func<int, CancellationToken, Task<int>> remove, CancellationToken cancellation)
    {
        while (await remove(BatchSize, cancellation) == BatchSize)
        {
            cancellation.ThrowIfCancellationRequested();
        }
    }
}

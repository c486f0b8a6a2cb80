using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Audit;
using Wave16.Platform.Http;
using Wave16.Platform.Store;
using Wave16.Platform.Work;

namespace Wave16.Platform.Modules;

/// <summary>
/// Removes what has expired row by row: idempotency keys, ended jobs, signed heads that later ones stand for. Every replica
/// does it; they pass over each other's rows.
/// </summary>
internal sealed class Housekeeping(
    ModuleDatabase database, IdempotencyStore keys, JobStore jobs, HeadThinning heads, TimeProvider clock, ILogger<Housekeeping> log)
    : BackgroundService
{
    private const int BatchSize = 1000;
    private static readonly TimeSpan Every = TimeSpan.FromMinutes(10);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await database.WhenReadyAsync(stoppingToken);
        while (true)
        {
            try
            {
                await AllAsync(keys.RemoveExpiredAsync, stoppingToken);
                await AllAsync(jobs.RemoveEndedAsync, stoppingToken);
                await AllAsync(heads.RemoveSupersededAsync, stoppingToken);
            }
            catch (NpgsqlException failure)
            {
                log.LogWarning(failure, "{Module}: what has expired could not be removed; it is tried again", database.Module);
            }

            await Task.Delay(Every, clock, stoppingToken);
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

using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Store;

namespace Wave16.Platform.Work;

/// <summary>
/// Brings deadlines that have come to their entities. One replica sweeps, under a lock: the work is done by the entities,
/// which are spread over all replicas, and with one reader an entity's deadlines stay in order without claims to keep. A
/// moment with two sweepers is harmless, since an entity passes each generation once.
/// </summary>
internal sealed class DueSweeper(
    IServiceProvider services, ModuleDatabase database, ModuleLocks locks, DueStore store, DueKinds kinds, WakeUp changed, DueMetrics metrics, TimeProvider clock, ILogger<DueSweeper> log)
    : BackgroundService
{
    internal const int BatchSize = 256;
    private const int Parallel = 8;

    // A deadline that another replica has set meanwhile is at most this late.
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan HandlerLimit = TimeSpan.FromSeconds(30);
    private static readonly ActivitySource Source = new("Wave16.Platform");
    private readonly string[] _kinds = kinds.Names;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (_kinds.Length == 0)
        {
            return;
        }

        while (!stoppingToken.IsCancellationRequested)
        {
            await using var lease = await locks.AcquireAsync("due", stoppingToken);
            using var active = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, lease.Lost);
            log.LogDebug("{Module}: this process sweeps deadlines", database.Module);
            await SweepAsync(active.Token);
            metrics.Forget(database.Module);
        }
    }

    /// <summary>Whether the change sets a deadline that the next poll would be late for.</summary>
    internal static bool IsSoon(EntityChange change) => change.Due.Any(due => due.DueAt - change.At < Poll);

    /// <summary>1 s, 2 s, 4 s … at most 5 min.</summary>
    internal static TimeSpan RetryAfter(int attempt) => TimeSpan.FromSeconds(Math.Min(300, Math.Pow(2, Math.Min(attempt, 10) - 1)));

    private async Task SweepAsync(CancellationToken active)
    {
        var reported = false;
        while (!active.IsCancellationRequested)
        {
            var wait = Poll;
            try
            {
                var (next, pending, oldest) = await store.StandAsync(_kinds, clock.GetUtcNow(), DueMetrics.CountedUpTo, active);
                metrics.Report(database.Module, pending, oldest);
                if (pending > 0 && await HandleDueAsync(active))
                {
                    continue;
                }

                if (next is { } at && at - clock.GetUtcNow() < Poll)
                {
                    wait = at - clock.GetUtcNow();
                }

                reported = false;
            }
            catch (OperationCanceledException) when (active.IsCancellationRequested)
            {
                return;
            }
            catch (NpgsqlException failure)
            {
                if (!reported)
                {
                    log.LogWarning(failure, "{Module}: deadlines cannot be read; trying again", database.Module);
                    reported = true;
                }
            }

            await changed.WaitAsync(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, clock, active);
        }
    }

    /// <returns>Whether anything was due; then there may be more.</returns>
    private async Task<bool> HandleDueAsync(CancellationToken active)
    {
        var batch = await store.ReadAsync(_kinds, clock.GetUtcNow(), BatchSize, active);
        if (batch.Count == 0)
        {
            return false;
        }

        var handled = new ConcurrentBag<DueItem>();
        var failed = new ConcurrentBag<(DueItem Item, DateTimeOffset Until, string Error)>();
        await System.Threading.Tasks.Parallel.ForEachAsync(batch, new ParallelOptions { MaxDegreeOfParallelism = Parallel }, async (item, _) =>
        {
            if (active.IsCancellationRequested)
            {
                return;
            }

            using var activity = Source.StartActivity($"due {item.Kind}", ActivityKind.Consumer);
            using var limit = new CancellationTokenSource(HandlerLimit, clock);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, active);
            try
            {
                await kinds.HandleAsync(services, item, either.Token);
                handled.Add(item);
            }
            catch (Exception cut) when (active.IsCancellationRequested)
            {
                log.LogDebug(cut, "{Module}: {Kind} of {Tenant}/{Entity} was interrupted; it comes again", database.Module, item.Kind, item.Tenant, item.Entity);
            }
            catch (Exception failure)
            {
                activity?.SetStatus(ActivityStatusCode.Error, failure.GetType().Name);
                log.LogError(failure, "{Module}: attempt {Attempt} at {Kind} of {Tenant}/{Entity} failed", database.Module, item.Attempt, item.Kind, item.Tenant, item.Entity);
                failed.Add((item, clock.GetUtcNow() + RetryAfter(item.Attempt), failure.GetType().Name));
            }
        });

        // Without the token: what the entities have decided is noted even while this process stops.
        if (!handled.IsEmpty)
        {
            await store.RemoveAsync([.. handled], CancellationToken.None);
        }

        if (!failed.IsEmpty)
        {
            await store.PostponeAsync([.. failed], CancellationToken.None);
        }

        return true;
    }
}

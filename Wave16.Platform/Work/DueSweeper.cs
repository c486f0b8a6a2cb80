using System.Diagnostics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Events;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Work;

/// <summary>
/// Brings deadlines that have come to their entities. One replica sweeps, under a lock: the work is done by the entities,
/// which are spread over all replicas, and with one reader an entity's deadlines stay in order without claims to keep. A
/// moment with two sweepers is harmless, since an entity passes each generation once.
/// </summary>
internal sealed class DueSweeper(
    IServiceProvider services, ModuleDatabase database, ModuleLocks locks, DueStore store, DueKinds kinds, WakeUp changed, DueMetrics metrics,
    DependencyHealth health, TimeProvider clock, ILogger<DueSweeper> log)
    : BackgroundService
{
    internal const int BatchSize = 256;
    private const int Parallel = 16;

    // Of one tenant: those that hang end after HandlerLimit, and until then the other half goes on.
    private const int PerTenant = Parallel / 2;

    // A deadline that another replica has set meanwhile is at most this late.
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan HandlerLimit = TimeSpan.FromSeconds(30);
    private static readonly ActivitySource Source = new("Wave16.Platform");
    private readonly string[] _kinds = kinds.Names;
    private readonly LoopHealth _health = new($"{database.Module}-deadlines", health, log);

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
        var queue = new DueQueue(Parallel, PerTenant, BatchSize);
        var workers = new List<Task>();
        var (next, pending, looked) = ((DateTimeOffset?)null, 0L, (long?)null);
        while (!active.IsCancellationRequested)
        {
            var wait = Poll;
            try
            {
                // Without the token: what the entities have decided is noted even while this process stops.
                await SettleAsync(queue);
                if (queue.Waiting == 0 || next <= clock.GetUtcNow() || looked is not { } at || clock.GetElapsedTime(at) >= Poll)
                {
                    (next, pending) = await LookAsync(active);
                    looked = clock.GetTimestamp();
                }

                if (pending > 0)
                {
                    await FetchAsync(queue, active);
                }

                while (queue.Take() is { } item)
                {
                    workers.Add(Task.Run(() => WorkAsync(queue, item, active), CancellationToken.None));
                }

                workers.RemoveAll(worker => worker.IsCompleted);
                wait = next - clock.GetUtcNow() is { } until && until < Poll ? until : Poll;
                _health.Works();
            }
            catch (Exception failure) when (!active.IsCancellationRequested)
            {
                _health.Failed(failure);
            }
            catch (Exception cut)
            {
                log.LogDebug(cut, "{Module}: the sweep was interrupted", database.Module);
            }

            await changed.WaitAsync(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, clock, active);
        }

        await Task.WhenAll(workers);
        try
        {
            await SettleAsync(queue);
        }
        catch (Exception failure)
        {
            // What was not noted comes again, and the entities know it by its generation.
            _health.Failed(failure);
        }
    }

    private async Task<(DateTimeOffset? Next, long Pending)> LookAsync(CancellationToken active)
    {
        var (next, pending, oldest) = await store.StandAsync(_kinds, clock.GetUtcNow(), DueMetrics.CountedUpTo, active);
        metrics.Report(database.Module, pending, oldest);
        return (next, pending);
    }

    private async Task FetchAsync(DueQueue queue, CancellationToken active)
    {
        while (queue.NextFetch() is { } fetch)
        {
            var read = await store.ReadAsync(_kinds, clock.GetUtcNow(), fetch, active);
            queue.Add(read);
            if (read.Count < fetch.Limit)
            {
                return;
            }
        }
    }

    private async Task SettleAsync(DueQueue queue)
    {
        var tried = queue.Tried();
        List<DueItem> handled = [.. tried.Where(outcome => outcome.Until is null).Select(outcome => outcome.Item)];
        if (handled.Count > 0)
        {
            await store.RemoveAsync(handled, CancellationToken.None);
        }

        List<DueOutcome> failed = [.. tried.Where(outcome => outcome.Until is not null)];
        if (failed.Count > 0)
        {
            await store.PostponeAsync(failed, CancellationToken.None);
        }

        queue.Settled(tried);
    }

    private async Task WorkAsync(DueQueue queue, DueItem first, CancellationToken active)
    {
        for (var item = first; item is not null && !active.IsCancellationRequested; item = queue.Take())
        {
            if (await TryAsync(item, active) is { } outcome)
            {
                queue.Complete(outcome);
                changed.Ring();
            }
        }
    }

    /// <returns>Null when it was interrupted.</returns>
    private async Task<DueOutcome?> TryAsync(DueItem item, CancellationToken active)
    {
        using var activity = Source.StartActivity($"due {item.Kind}", ActivityKind.Consumer);
        using var limit = new CancellationTokenSource(HandlerLimit, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, active);
        try
        {
            // Given up even if it does not listen: it may come to its entity twice then, as after a crash.
            await kinds.HandleAsync(services, item, either.Token).WaitAsync(HandlerLimit, clock, CancellationToken.None);
            return new DueOutcome(item);
        }
        catch (Exception cut) when (active.IsCancellationRequested)
        {
            log.LogDebug(cut, "{Module}: {Kind} of {Tenant}/{Entity} was interrupted; it comes again", database.Module, item.Kind, item.Tenant, item.Entity);
            return null;
        }
        catch (Exception failure)
        {
            activity?.SetStatus(ActivityStatusCode.Error, failure.GetType().Name);
            log.LogError(failure, "{Module}: attempt {Attempt} at {Kind} of {Tenant}/{Entity} failed", database.Module, item.Attempt, item.Kind, item.Tenant, item.Entity);
            return new DueOutcome(item, clock.GetUtcNow() + RetryAfter(item.Attempt), failure.GetType().Name);
        }
    }
}

using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Audit;

/// <summary>
/// Takes committed leaves into the module's RFC 6962 log and signs its head. One replica does so, under a lease; what keeps
/// two apart in the moment when a lease changes hands is that every append is conditional on the state it was made from.
/// </summary>
internal sealed class Sealer(
    ModuleDatabase database, ModuleLocks locks, SealerStore store, AuditKeys keys, EventRoutes routes, OutboxSignal outbox, AuditSignal signal,
    AuditMetrics metrics, DependencyHealth health, TimeProvider clock, ILogger<Sealer> log) : BackgroundService
{
    /// <summary>Leaves per append, each of which signs a head.</summary>
    internal const int BatchSize = 2000;

    private static readonly TimeSpan PollEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan WatchEvery = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan StalledAfter = TimeSpan.FromSeconds(60);

    private readonly string _dependency = database.Module + "-audit-log";
    private volatile string? _damage;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await database.WhenReadyAsync(stoppingToken);
        await Task.WhenAll(SealAsync(stoppingToken), WatchAsync(stoppingToken));
    }

    /// <summary>Seals everything that can be sealed now.</summary>
    /// <returns>How many leaves this call appended.</returns>
    internal async Task<long> SealPendingAsync(CancellationToken cancellation)
    {
        var destinations = routes.For(SealedEvents.TypeOf(database.Module));
        var forwards = destinations.Count > 0;
        var current = database.Epoch;
        var appended = 0L;
        var state = await store.ReadStateAsync(cancellation);
        while (state.Epoch <= current.Number)
        {
            var leaves = state.Epoch < current.Number
                ? await store.ReadLeftOverAsync(current.Number, BatchSize, forwards, cancellation)
                : await store.ReadPendingAsync(state, BatchSize, forwards, cancellation);
            if (leaves.Count > 0)
            {
                var append = Append(state, leaves, current, forwards);
                if (await store.AppendAsync(append, destinations, cancellation))
                {
                    appended += leaves.Count;
                    metrics.Sealed(database.Module, leaves.Count);
                    outbox.Committed(destinations);
                    state = append.After;
                    continue;
                }
            }
            else if (state.Epoch == current.Number)
            {
                break;
            }
            else if (await store.EnterEpochAsync(state, current.Number, cancellation))
            {
                log.LogInformation("{Module}: the audit log goes on in store epoch {Epoch} at {Size} leaves", database.Module, current.Number, state.TreeSize);
            }

            // Either another sealer was faster, or the epoch is new: in both cases the row says what holds now.
            state = await store.ReadStateAsync(cancellation);
        }

        return appended;
    }

    private LogAppend Append(SealerState state, List<PendingLeaf> leaves, StoreEpoch epoch, bool forwards)
    {
        var tree = new MerkleFrontier(state.TreeSize, state.Frontier);
        var nodes = new List<(Subtree, byte[])>();
        foreach (var leaf in leaves)
        {
            tree.Append(leaf.Hash, (subtree, hash) =>
            {
                if (LogTree.IsKept(subtree.Level))
                {
                    nodes.Add((subtree, hash));
                }
            });
        }

        // To the millisecond, as it is signed, so that the row and the note say the same.
        var now = DateTimeOffset.FromUnixTimeMilliseconds(clock.GetUtcNow().ToUnixTimeMilliseconds());
        var head = new Checkpoint(Checkpoint.OriginOf(database.Module, epoch.Token), tree.Size, tree.Root(), now);
        using var signer = keys.CreateSigner();
        var signature = AuditKeys.Sign(signer, head.SignedBytes);
        var last = leaves[^1];
        return new LogAppend
        {
            Before = state,
            After = new(last.Epoch, last.Xid, last.Id, tree.Size, tree.Subtrees),
            Leaves = leaves,
            Nodes = nodes,
            Head = head,
            HeadEpoch = epoch.Number,
            KeyId = keys.KeyId,
            Signature = signature,
            Events = forwards ? SealedEvents.Of(epoch, database.Module, head, head.Note(keys.KeyId, signature), leaves) : [],
        };
    }

    private async Task SealAsync(CancellationToken stopping)
    {
        while (true)
        {
            await using var lease = await locks.AcquireAsync("audit/sealer", stopping);
            using var held = CancellationTokenSource.CreateLinkedTokenSource(lease.Lost, stopping);
            try
            {
                await SealWhileHeldAsync(held.Token);
            }
            catch (OperationCanceledException) when (lease.Lost.IsCancellationRequested && !stopping.IsCancellationRequested)
            {
                log.LogInformation("{Module}: the sealer's lock is lost", database.Module);
            }
        }
    }

    private async Task SealWhileHeldAsync(CancellationToken held)
    {
        while (true)
        {
            var wait = PollEvery;
            try
            {
                var appended = await SealPendingAsync(held);
                _damage = null;
                if (appended > 0)
                {
                    // One round a second while writers are busy: one head for all of them.
                    await Task.Delay(PollEvery, clock, held);
                    continue;
                }
            }
            catch (Exception failure) when (failure is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation } or ArgumentException or InvalidOperationException)
            {
                Damaged(failure);
                wait = RetryAfter;
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                log.LogWarning(failure, "{Module}: the audit log cannot be sealed now", database.Module);
                wait = RetryAfter;
            }

            await signal.WaitAsync(wait, held);
            held.ThrowIfCancellationRequested();
        }
    }

    private void Damaged(Exception failure)
    {
        if (_damage is null)
        {
            log.LogError(failure, "{Module}: the audit log is not as a sealer left it; it is not appended to until that is cleared up", database.Module);
        }

        _damage = "the log is not as a sealer left it; verify says more";
    }

    private async Task WatchAsync(CancellationToken stopping)
    {
        if (routes.For(SealedEvents.TypeOf(database.Module)).Count == 0)
        {
            health.Report(AuditTrail.SystemName, DependencyState.NotConfigured);
        }

        while (true)
        {
            try
            {
                await ReportAsync(stopping);
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                log.LogDebug(failure, "{Module}: the unsealed tail cannot be read now", database.Module);
                if (_damage is { } damage)
                {
                    health.Report(_dependency, DependencyState.Degraded, damage);
                }
            }

            await Task.Delay(WatchEvery, clock, stopping);
        }
    }

    /// <summary>Reports how old the unsealed tail is. Every replica does: one that does not seal may be the only one that runs.</summary>
    internal async Task ReportAsync(CancellationToken cancellation)
    {
        var tail = await store.ReadTailAsync(cancellation);
        metrics.ReportTail(database.Module, tail.OldestAt);
        var age = tail.OldestAt is { } oldest ? clock.GetUtcNow() - oldest : TimeSpan.Zero;
        var reason = _damage
            ?? (tail.IsForeign ? "the store was restored without a new epoch: stop the module, run it once with --new-epoch" : null)
            ?? (age > StalledAfter ? "a leaf has been unsealed for over a minute: a writing transaction stays open in this cluster, or no sealer runs" : null);
        health.Report(_dependency, reason is null ? DependencyState.Healthy : DependencyState.Degraded, reason);
    }
}

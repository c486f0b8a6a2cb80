using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.Platform.TestHost;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

public sealed class ModuleLocksTests(PostgresFixture postgres) : OutboxTest(postgres)
{
    [Fact]
    public async Task A_lock_has_one_holder_among_processes_and_passes_on_when_it_is_released()
    {
        var database = await CreateDatabaseAsync();
        await using var one = await TestStore.OpenAsync(database);
        await using var two = await TestStore.OpenAsync(database);
        var held = await one.Locks.AcquireAsync("lane", Cancellation);
        var waiting = two.Locks.AcquireAsync("lane", Cancellation);
        await using (await two.Locks.AcquireAsync("another", Cancellation))
        {
            Assert.False(waiting.IsCompleted);
        }

        await held.DisposeAsync();

        await using var passedOn = await waiting.Soon();
        Assert.False(passedOn.Lost.IsCancellationRequested);
    }

    [Fact]
    public async Task A_second_request_in_the_same_process_waits_for_the_first()
    {
        await using var store = await OpenStoreAsync();
        var held = await store.Locks.AcquireAsync("lane", Cancellation);
        var waiting = store.Locks.AcquireAsync("lane", Cancellation);
        await using (await store.Locks.AcquireAsync("another", Cancellation))
        {
            Assert.False(waiting.IsCompleted);
        }

        await held.DisposeAsync();

        await using var passedOn = await waiting.Soon();
    }

    [Fact]
    public async Task Whoever_holds_a_lock_is_told_of_it_and_nobody_else_and_a_thousand_times_at_once_are_a_few()
    {
        var database = await CreateDatabaseAsync();
        await using var one = await TestStore.OpenAsync(database);
        await using var two = await TestStore.OpenAsync(database);
        await using var lane = await one.Locks.AcquireAsync("lane", Cancellation);
        await using var another = await two.Locks.AcquireAsync("another", Cancellation);
        var (lanes, others, told) = (0, 0, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        lane.Told += () =>
        {
            Interlocked.Increment(ref lanes);
            told.TrySetResult();
        };
        another.Told += () => Interlocked.Increment(ref others);

        var began = Stopwatch.GetTimestamp();
        for (var i = 0; i < 1_000; i++)
        {
            two.Locks.Tell("lane");
        }

        await told.Task.Soon();
        // What was asked for later comes later.
        var last = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        another.Told += () => last.TrySetResult();
        one.Locks.Tell("another");
        await last.Task.Soon();
        Assert.InRange(lanes, 1, 2 + (int)(Stopwatch.GetElapsedTime(began) / TimeSpan.FromMilliseconds(20)));
        Assert.Equal(1, others);
    }

    [Fact]
    public async Task Any_number_of_locks_needs_one_connection()
    {
        await using var store = await OpenStoreAsync();
        var leases = await Task.WhenAll(Enumerable.Range(0, 30).Select(i => store.Locks.AcquireAsync($"lane {i}", Cancellation)));

        Assert.Equal(30, leases.DistinctBy(lease => lease.Name).Count());
        await OneLockSessionAsync(store).Soon();
    }

    // The migrator's connection is closed by now, but the server may not have noticed.
    private static async Task OneLockSessionAsync(TestStore store)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (await LockSessionsAsync(store) != 1)
        {
            await look.WaitForNextTickAsync(Cancellation);
        }
    }

    [Fact]
    public async Task A_cut_connection_loses_every_lease_at_once_and_they_can_be_had_again()
    {
        await using var store = await OpenStoreAsync();
        var leases = new[] { await store.Locks.AcquireAsync("a", Cancellation), await store.Locks.AcquireAsync("b", Cancellation) };
        var lost = leases.Select(lease => LostAsync(lease)).ToArray();

        await CutLockSessionsAsync(store);

        await Task.WhenAll(lost).Soon();
        await using var again = await store.Locks.AcquireAsync("a", Cancellation).Soon();
        Assert.False(again.Lost.IsCancellationRequested);
        await leases[0].DisposeAsync();
        Assert.False(again.Lost.IsCancellationRequested);
    }

    [Fact]
    public async Task A_request_that_is_given_up_leaves_the_lock_to_others()
    {
        var database = await CreateDatabaseAsync();
        await using var one = await TestStore.OpenAsync(database);
        await using var two = await TestStore.OpenAsync(database);
        var held = await one.Locks.AcquireAsync("lane", Cancellation);
        using var patience = new CancellationTokenSource();
        var givenUp = two.Locks.AcquireAsync("lane", patience.Token);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => givenUp);
        await held.DisposeAsync();

        await using var again = await one.Locks.AcquireAsync("lane", Cancellation).Soon();
    }

    [Fact]
    public async Task Disposing_of_the_locks_frees_them_on_the_server()
    {
        var database = await CreateDatabaseAsync();
        await using var one = await TestStore.OpenAsync(database);
        await using var two = await TestStore.OpenAsync(database);
        var held = await one.Locks.AcquireAsync("lane", Cancellation);

        await one.Locks.DisposeAsync();

        Assert.True(held.Lost.IsCancellationRequested);
        await using var passedOn = await two.Locks.AcquireAsync("lane", Cancellation).Soon();
    }

    [Fact]
    public async Task A_failure_that_nobody_thought_of_ends_no_lock_for_good_and_health_tells_of_it_meanwhile()
    {
        await using var store = await OpenStoreAsync();
        var health = new DependencyHealth(TimeProvider.System);
        var told = new List<DependencyState>();
        var connections = new NpgsqlDataSourceBuilder(store.ConnectionString) { ConnectionStringBuilder = { Pooling = false } };
        connections.UsePhysicalConnectionInitializer(_ => { }, _ =>
        {
            told.AddRange(health.Reports.Select(report => report.State));
            return told.Count == 0 ? throw new InvalidOperationException("not Npgsql's own") : Task.CompletedTask;
        });
        await using var database = new ModuleDatabase(TestStore.Module, NpgsqlDataSource.Create(store.ConnectionString), connections.Build());
        database.Enter(store.Database.Epoch);
        await using var locks = new ModuleLocks(database, health, NullLogger<ModuleLocks>.Instance);

        await using var lease = await locks.AcquireAsync("lane", Cancellation).Soon();

        Assert.Equal([DependencyState.Degraded], told);
        Assert.Equal(("counters-locks", DependencyState.Healthy), health.Reports.Select(report => (report.Name, report.State)).Single());
    }

    internal static async Task CutLockSessionsAsync(TestStore store) =>
        await store.ExecuteAsync("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'lock'");

    private static Task<long> LockSessionsAsync(TestStore store) =>
        store.ScalarAsync<long>("select count(*) from pg_stat_activity where datname = current_database() and application_name = 'lock'");

    private static Task LostAsync(ModuleLease lease)
    {
        var lost = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lease.Lost.Register(lost.SetResult);
        return lost.Task;
    }
}

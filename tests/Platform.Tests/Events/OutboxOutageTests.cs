using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using Wave16.LocalPostgres;
using Wave16.Platform.Events;
using Wave16.Platform.TestHost;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

public sealed class OutboxOutageTests(PostgresFixture postgres) : OutboxTest(postgres)
{
    [Fact]
    public async Task A_destination_that_is_down_for_days_delays_itself_only_and_gets_everything_in_order_when_it_is_back()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var start = time.GetUtcNow();
        await using var store = await OpenStoreAsync("down", "up");
        var health = new DependencyHealth(time);
        var isDown = true;
        var down = new Recorder("down", (_, _) => Task.FromResult(Volatile.Read(ref isDown) ? new DeliveryOutcome.Unavailable("HTTP 503") : DeliveryOutcome.Done));
        var up = new Recorder("up");
        await using var downLane = StartLane(store, down, time, health: health);
        await using var upLane = StartLane(store, up, time, health: health);
        for (var version = 1; version <= 3; version++)
        {
            await store.CountAsync("t", "c", version);
        }

        Assert.Equal(["c 1", "c 2", "c 3"], (await up.NextAsync(3)).Select(Name));
        await using var clock = new FastClock(time, TimeSpan.FromMinutes(10));
        Assert.All(await down.NextAsync(400), envelope => Assert.Equal("c 1", Name(envelope)));
        Assert.Equal(DependencyState.Degraded, health.Reports.Single(report => report.Name == "down").State);
        Assert.Equal(0, await store.ScalarAsync<long>("select (select count(*) from platform.dead_letter) + (select sum(attempts) from platform.delivery)"));
        Assert.InRange(time.GetUtcNow() - start, TimeSpan.FromDays(2), TimeSpan.MaxValue);
        Volatile.Write(ref isDown, false);
        List<string> received = [];
        while (received.Count < 3)
        {
            if (Name(await down.NextAsync()) is var name && received.LastOrDefault() != name)
            {
                received.Add(name);
            }
        }

        Assert.Equal(["c 1", "c 2", "c 3"], received);
        Assert.Equal(DependencyState.Healthy, health.Reports.Single(report => report.Name == "down").State);
        await downLane.StopAsync();
        Assert.Equal(0, await store.PendingAsync());
        Assert.DoesNotContain(health.Reports, report => report.Name == "down");
    }

    [Fact]
    public async Task A_paused_lane_probes_with_one_delivery_and_leaves_the_destination_alone_as_long_as_it_asked()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var store = await OpenStoreAsync("hub");
        for (var i = 0; i < 50; i++)
        {
            await store.CountAsync("t", $"c{i}", 1);
        }

        var settings = new LaneSettings();
        var asked = TimeSpan.FromMinutes(5);
        var (asking, tries) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), new ConcurrentQueue<DateTimeOffset>());
        var probe = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var probed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = 0;
        var hub = new Recorder("hub", async (_, _) =>
        {
            tries.Enqueue(time.GetUtcNow());
            var nth = Interlocked.Increment(ref begun);
            if (nth > settings.Concurrency)
            {
                probed.TrySetResult();
                await probe.Task;
            }
            else
            {
                // As many as may be are under way before the first hears that the destination is down.
                if (nth == settings.Concurrency)
                {
                    asking.SetResult();
                }

                await asking.Task;
            }

            return new DeliveryOutcome.Unavailable("HTTP 429", asked);
        });
        await using var held = await TableChanges.ListenAsync(
            store.ConnectionString, "platform.delivery", $"select from platform.delivery where next_at > '-infinity' having count(*) = {settings.Concurrency}");
        await using var lane = StartLane(store, hub, time, settings);
        var paused = (await hub.NextAsync(settings.Concurrency)).Select(Name).ToHashSet(StringComparer.Ordinal);
        // Each of them has been heard, so none prolongs the pause.
        await held.UntilAsync();
        var start = time.GetUtcNow();

        time.Advance(asked - TimeSpan.FromSeconds(1));
        lane.Lane.Signal();
        Assert.Equal((LaneStatus.Paused, start + asked), (lane.Lane.State.Status, lane.Lane.State.Until));
        time.Advance(TimeSpan.FromSeconds(1));
        lane.Lane.Signal();
        await probed.Task.Soon();
        Assert.Equal(LaneStatus.Probing, lane.Lane.State.Status);
        lane.Lane.Signal();
        probe.SetResult();
        var second = Name(await hub.NextAsync());
        await lane.StopAsync();

        Assert.DoesNotContain(second, paused);
        Assert.Equal([start + asked], tries.Skip(settings.Concurrency));
        Assert.Equal(50, await store.PendingAsync());
    }

    [Fact]
    public async Task A_lane_cut_off_from_its_lock_passes_to_the_other_process_and_one_process_runs_it_at_a_time()
    {
        var database = await CreateDatabaseAsync();
        await using var one = await TestStore.OpenAsync(database, "hub");
        await using var two = await TestStore.OpenAsync(database, "hub");
        var (hubOfOne, hubOfTwo) = (new Recorder("hub"), new Recorder("hub"));
        await one.CountAsync("t", "c", 1);
        await using var laneOfOne = StartLane(one, hubOfOne);
        Assert.Equal("c 1", Name(await hubOfOne.NextAsync()));
        await using var laneOfTwo = StartLane(two, hubOfTwo);
        await two.CountAsync("t", "c", 2);
        Assert.Equal("c 2", Name(await hubOfOne.NextAsync()));
        Assert.Equal((LaneStatus.Open, LaneStatus.Standby), (laneOfOne.Lane.State.Status, laneOfTwo.Lane.State.Status));

        // The first process cannot come back before the second has the lock: its lane is asked to stop when the lock is gone.
        var stopping = laneOfOne.StopAsync();
        await ModuleLocksTests.CutLockSessionsAsync(two);
        await stopping.Soon();
        await two.CountAsync("t", "c", 3);

        Assert.Equal("c 3", Name(await hubOfTwo.NextAsync()));
    }

    [Fact]
    public async Task A_cut_lock_connection_stops_deliveries_at_once_and_they_are_made_again()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "c", 1);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var hub = new Recorder("hub", async (_, cancellation) =>
        {
            if (begun.TrySetResult())
            {
                await using var registration = cancellation.Register(() => stopped.SetResult());
                await Task.Delay(Timeout.Infinite, cancellation);
            }

            return DeliveryOutcome.Done;
        });
        await using var lane = StartLane(store, hub);
        await begun.Task.Soon();

        await ModuleLocksTests.CutLockSessionsAsync(store);

        await stopped.Task.Soon();
        Assert.Equal("c 1", Name(await hub.NextAsync()));
        await lane.StopAsync();
        Assert.Equal("", await store.ScalarAsync<string>("select coalesce(string_agg(attempts::text, ','), '') from platform.delivery"));
    }

    [Fact]
    public async Task Events_flow_again_by_themselves_when_Postgres_was_stopped_and_started()
    {
        await using var server = await PostgresServer.StartAsync(new LocalPostgresOptions { Durable = false }, NullLogger.Instance, Cancellation);
        await server.EnsureDatabaseAsync("counters", Cancellation);
        await TestStore.MigrateAsync(server.ConnectionStringFor("counters"));
        await using var store = await TestStore.OpenAsync(server.ConnectionStringFor("counters"), "hub");
        var hub = new Recorder("hub");
        await using var lane = StartLane(store, hub);
        await store.CountAsync("t", "c", 1);
        Assert.Equal("c 1", Name(await hub.NextAsync()));
        await using (var lease = await store.Locks.AcquireAsync("witness", Cancellation))
        {
            var lost = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = lease.Lost.Register(lost.SetResult);
            await server.StopAsync(Cancellation);
            await lost.Task.Soon();
        }

        await server.StartAgainAsync(Cancellation);
        await SaveAsCallersDoAsync(() => store.CountAsync("t", "c", 2));

        EventEnvelope envelope;
        do
        {
            envelope = await hub.NextAsync();
        }
        while (Name(envelope) == "c 1");
        Assert.Equal("c 2", Name(envelope));
    }

    // The pool may still hold connections of before; each fails once.
    private static async Task SaveAsCallersDoAsync(Func<Task<bool>> save)
    {
        for (var stale = 0; stale < 10; stale++)
        {
            try
            {
                await save();
                return;
            }
            catch (NpgsqlException)
            {
            }
        }
    }
}

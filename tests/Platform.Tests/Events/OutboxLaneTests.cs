using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Events;
using Wave16.Platform.TestHost;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

public sealed class OutboxLaneTests(PostgresFixture postgres) : OutboxTest(postgres)
{
    [Fact]
    public async Task What_a_process_commits_that_does_not_run_the_lane_is_delivered_without_waiting_for_a_poll()
    {
        var never = new LaneSettings { PollEvery = TimeSpan.FromHours(1), PollOthersEvery = TimeSpan.FromHours(1) };
        var database = await CreateDatabaseAsync();
        await using var holder = await TestStore.OpenAsync(database, "there");
        await using var other = await TestStore.OpenAsync(database, "there");
        var there = new Recorder("there");
        await using var running = StartLane(holder, there, settings: never);
        await holder.CountAsync("t", "mine", 1);
        await there.NextAsync();
        await using var waiting = StartLane(other, new Recorder("there"), settings: never);
        await (await other.Locks.AcquireAsync("session", Cancellation)).DisposeAsync();

        await other.CountAsync("t", "theirs", 1);

        Assert.Equal("theirs 1", Name(await there.NextAsync()));
    }

    [Fact]
    public async Task A_committed_event_reaches_its_destination_with_all_its_attributes_and_leaves_the_outbox()
    {
        await using var store = await OpenStoreAsync("hub");
        var hub = new Recorder("hub");
        await using var lane = StartLane(store, hub);

        await store.CountAsync("tenant-a", "c1", 1, data: """{"n":1}""");

        var envelope = await hub.NextAsync();
        Assert.Equal((TestStore.Module, TestStore.Counted, "c1", "tenant-a", 1, """{"n":1}"""),
            (envelope.Source, envelope.Type, envelope.Subject, envelope.TenantId, envelope.EntityVersion, envelope.Data));
        Assert.Equal($"{store.Database.Epoch.Token}:tenant-a/counter/c1:1:0", envelope.Id);
        await lane.StopAsync();
        Assert.Equal(0, await store.PendingAsync());
    }

    [Fact]
    public async Task Events_that_were_committed_before_the_lane_started_are_delivered()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "c", 1);
        await store.CountAsync("t", "c", 2);
        var hub = new Recorder("hub");

        await using var lane = StartLane(store, hub);

        Assert.Equal([1, 2], (await hub.NextAsync(2)).Select(envelope => envelope.EntityVersion));
    }

    [Fact]
    public async Task A_change_that_commits_after_a_later_one_is_delivered_all_the_same()
    {
        await using var store = await OpenStoreAsync("hub");
        var hub = new Recorder("hub");
        await using var lane = StartLane(store, hub);
        await using var connection = await store.Database.OpenAsync(Cancellation);
        await using var late = await connection.BeginTransactionAsync(Cancellation);
        await store.CountAsync("t", "late", 1, on: connection);

        await store.CountAsync("t", "early", 1);
        Assert.Equal("early", (await hub.NextAsync()).Subject);
        await late.CommitAsync(Cancellation);

        Assert.Equal("late", (await hub.NextAsync()).Subject);
    }

    [Fact]
    public async Task Sixteen_subjects_are_served_at_the_same_time_and_one_subject_one_at_a_time()
    {
        await using var store = await OpenStoreAsync("hub");
        for (var i = 0; i < 20; i++)
        {
            await store.CountAsync("t", $"c{i}", 1);
            await store.CountAsync("t", $"c{i}", 2);
        }

        using var together = new Barrier16();
        var hub = new Recorder("hub", together.AnswerAsync);
        await using var lane = StartLane(store, hub);

        await together.Met.Soon();
        Assert.Equal(16, together.Subjects.Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    public async Task A_failed_event_holds_back_its_own_subject_until_its_backoff_is_over_and_no_other()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var store = await OpenStoreAsync("hub");
        var failing = true;
        var hub = new Recorder("hub", (envelope, _) => Task.FromResult(
            envelope.Subject == "bad" && Volatile.Read(ref failing) ? new DeliveryOutcome.Retry("no") : DeliveryOutcome.Done));
        await store.CountAsync("t", "bad", 1);
        await store.CountAsync("t", "bad", 2);
        await store.CountAsync("t", "good", 1);
        await using var lane = StartLane(store, hub, time);

        Assert.Equal(["bad 1", "good 1"], (await hub.NextAsync(2)).Select(Name).Order(StringComparer.Ordinal));
        await store.CountAsync("t", "good", 2);
        Assert.Equal("good 2", Name(await hub.NextAsync()));
        Volatile.Write(ref failing, false);
        await using var clock = new FastClock(time, TimeSpan.FromMilliseconds(100));

        Assert.Equal(["bad 1", "bad 2"], (await hub.NextAsync(2)).Select(Name));
    }

    [Fact]
    public async Task An_event_that_fails_every_attempt_becomes_a_dead_letter_and_its_subject_goes_on()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "c", 1, data: """{"poison":true}""");
        await store.CountAsync("t", "c", 2);
        var hub = new Recorder("hub", (envelope, _) => envelope.EntityVersion == 1
            ? throw new InvalidOperationException("cannot digest this")
            : Task.FromResult(DeliveryOutcome.Done));
        await using var lane = StartLane(store, hub, settings: new LaneSettings { FirstWait = TimeSpan.FromMilliseconds(1), PollEvery = TimeSpan.FromMilliseconds(5), MaxAttempts = 4 });

        Assert.Equal("c 2", Name(await hub.NextAsync()));
        await lane.StopAsync();

        Assert.Equal("hub c 4 InvalidOperationException true 0", await store.ScalarAsync<string>("""
            select destination || ' ' || subject || ' ' || attempts || ' ' || last_error || ' ' || (envelope::json -> 'data' ->> 'poison')
              || ' ' || (select count(*) from platform.delivery)
            from platform.dead_letter
            """));
    }

    [Fact]
    public async Task A_rejected_event_is_a_dead_letter_at_once()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "c", 1);
        var hub = new Recorder("hub", (_, _) => Task.FromResult<DeliveryOutcome>(new DeliveryOutcome.Rejected("HTTP 422")));
        await using var lane = StartLane(store, hub);

        await hub.NextAsync();
        await lane.StopAsync();

        Assert.Equal("1 HTTP 422", await store.ScalarAsync<string>("select attempts || ' ' || last_error from platform.dead_letter"));
    }

    [Fact]
    public async Task A_slow_event_keeps_neither_other_subjects_nor_their_settlement_waiting()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "slow", 1);
        for (var i = 0; i < 500; i++)
        {
            await store.CountAsync("t", $"c{i}", 1);
        }

        var released = new TaskCompletionSource();
        var hub = new Recorder("hub", async (envelope, cancellation) =>
        {
            if (envelope.Subject == "slow")
            {
                await released.Task.WaitAsync(cancellation);
            }

            return DeliveryOutcome.Done;
        });
        await using var lane = StartLane(store, hub);

        Assert.DoesNotContain(await hub.NextAsync(500), envelope => envelope.Subject == "slow");
        released.SetResult();
        Assert.Equal("slow", (await hub.NextAsync()).Subject);
    }

    [Fact]
    public async Task A_subject_with_a_long_backlog_does_not_crowd_out_the_others()
    {
        await using var store = await OpenStoreAsync("hub");
        for (var version = 1; version <= 120; version++)
        {
            await store.CountAsync("t", "busy", version);
        }

        await store.CountAsync("t", "other", 1);
        var released = new TaskCompletionSource();
        var hub = new Recorder("hub", async (envelope, cancellation) =>
        {
            if (envelope.Subject == "busy")
            {
                await released.Task.WaitAsync(cancellation);
            }

            return DeliveryOutcome.Done;
        });
        await using var lane = StartLane(store, hub, settings: new LaneSettings { Batch = 20 });

        Assert.Equal("other", (await hub.NextAsync()).Subject);
        released.SetResult();
        Assert.Equal(Enumerable.Range(1, 120).Select(version => (long)version), (await hub.NextAsync(120)).Select(envelope => envelope.EntityVersion));
    }

    [Fact]
    public async Task A_delivery_that_hangs_is_cut_off_counted_and_tried_again()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "c", 1);
        var hanging = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var hub = new Recorder("hub", async (_, cancellation) =>
        {
            if (hanging.TrySetResult())
            {
                await using var registration = cancellation.Register(() => cut.SetResult());
                await Task.Delay(Timeout.Infinite, cancellation);
            }

            return DeliveryOutcome.Done;
        });
        await using var lane = StartLane(store, hub, time);
        await hanging.Task.Soon();
        time.Advance(new LaneSettings().DeliveryTimeout);
        await cut.Task.Soon();
        await lane.StopAsync();

        Assert.Equal("1 took longer than 00:00:30", await store.ScalarAsync<string>("select attempts || ' ' || last_error from platform.delivery"));
        time.Advance(TimeSpan.FromSeconds(1));
        await using var next = new RunningLane(NewLane(store, hub, time));
        Assert.Equal("c 1", Name(await hub.NextAsync()));
    }

    [Fact]
    public async Task An_event_its_destination_never_answers_is_a_dead_letter_in_the_end_and_the_others_go_on()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "bad", 1);
        var hub = new Recorder("hub", (envelope, _) => Task.FromResult(
            envelope.Subject == "bad" ? new DeliveryOutcome.Unavailable("timed out") { TimedOut = true } : DeliveryOutcome.Done));
        await using var lane = StartLane(store, hub, settings: new LaneSettings { FirstWait = TimeSpan.FromMilliseconds(1), PollEvery = TimeSpan.FromMilliseconds(5), MaxAttempts = 3 });

        var good = 0;
        while (await store.ScalarAsync<long>("select count(*) from platform.dead_letter") == 0)
        {
            await store.CountAsync("t", "good", ++good);
            while (Name(await hub.NextAsync()) != $"good {good}")
            {
            }
        }

        Assert.Equal("bad 3 timed out, while others were answered", await store.ScalarAsync<string>(
            "select subject || ' ' || attempts || ' ' || last_error from platform.dead_letter"));
    }

    [Fact]
    public async Task A_destination_that_answers_nobody_in_time_is_down_and_nothing_is_counted()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "c1", 1);
        await store.CountAsync("t", "c2", 1);
        var hub = new Recorder("hub", (_, _) => Task.FromResult<DeliveryOutcome>(new DeliveryOutcome.Unavailable("timed out") { TimedOut = true }));
        await using var lane = StartLane(store, hub, time);
        await using (var clock = new FastClock(time, TimeSpan.FromMinutes(1)))
        {
            await hub.NextAsync(50);
        }

        await lane.StopAsync();

        Assert.Equal("0,0", await store.ScalarAsync<string>("select string_agg(attempts::text, ',') from platform.delivery"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_destination_that_does_not_listen_to_its_cancellation_is_left_behind_and_keeps_nobody_waiting(bool blocks)
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "bad", 1);
        await store.CountAsync("t", "good", 1);
        await store.CountAsync("t", "bad", 2);
        using var never = new ManualResetEventSlim();
        var forever = new TaskCompletionSource<DeliveryOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        var hub = new Recorder("hub", (envelope, _) =>
        {
            if (envelope is not { Subject: "bad", EntityVersion: 1 })
            {
                return Task.FromResult(DeliveryOutcome.Done);
            }

            if (blocks)
            {
                never.Wait(Cancellation);
            }

            return forever.Task;
        });
        await using var lane = StartLane(store, hub, time, new LaneSettings { Concurrency = 1, MaxAttempts = 2, Grace = TimeSpan.FromMilliseconds(20) });
        await using (var clock = new FastClock(time, TimeSpan.FromMilliseconds(100)))
        {
            Assert.Equal(["good 1", "bad 2"], (await hub.NextAsync(2)).Select(Name));
        }

        await lane.StopAsync();
        Assert.Equal("bad 2 took longer than 00:00:30", await store.ScalarAsync<string>(
            "select subject || ' ' || attempts || ' ' || last_error from platform.dead_letter"));
        never.Set();
        forever.SetResult(DeliveryOutcome.Done);
    }

    [Fact]
    public async Task Subjects_whose_heads_have_failed_hold_up_no_other_while_that_is_not_settled()
    {
        // The clock stands, so nothing is settled while a delivery runs.
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "slow", 1);
        await store.CountAsync("t", "failing", 1);
        await store.CountAsync("t", "after", 1);
        for (var version = 2; version <= 6; version++)
        {
            await store.CountAsync("t", "failing", version);
        }

        var slow = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var hub = new Recorder("hub", async (envelope, _) =>
        {
            if (envelope.Subject == "slow")
            {
                await slow.Task;
            }

            return envelope.Subject == "failing" ? new DeliveryOutcome.Retry("no") : DeliveryOutcome.Done;
        });
        await using var lane = StartLane(store, hub, time, new LaneSettings { Batch = 4, Concurrency = 2 });
        Assert.Equal(["failing 1", "after 1"], (await hub.NextAsync(2)).Select(Name));

        await store.CountAsync("t", "other", 1);

        Assert.Equal("other 1", Name(await hub.NextAsync()));
        slow.SetResult();
        await lane.StopAsync();
        Assert.Equal(6, await store.PendingAsync());
    }

    [Fact]
    public async Task A_change_that_was_open_while_many_others_committed_is_found_by_the_next_look_from_the_start()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var store = await OpenStoreAsync("hub");
        var hub = new Recorder("hub");
        await store.ExecuteAsync("alter table platform.delivery alter id restart with 50000");
        await store.CountAsync("t", "new", 1);
        await using var lane = StartLane(store, hub, time);
        Assert.Equal("new", (await hub.NextAsync()).Subject);
        await store.ExecuteAsync("alter table platform.delivery alter id restart with 5");

        await store.CountAsync("t", "old", 1);
        time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal("old", (await hub.NextAsync()).Subject);
    }

    [Fact]
    public async Task Once_another_process_was_seen_to_commit_what_it_commits_next_waits_a_tenth_of_a_second_at_most()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var database = await CreateDatabaseAsync();
        await using var store = await TestStore.OpenAsync(database, "hub");
        await using var other = await TestStore.OpenAsync(database, "hub");
        var hub = new Recorder("hub");
        await using var lane = StartLane(store, hub, time);

        // Nothing is signalled to this lane: what it finds after its first look it finds by looking again.
        await other.CountAsync("t", "c", 1);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("c 1", Name(await hub.NextAsync()));
        await other.CountAsync("t", "c", 2);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("c 2", Name(await hub.NextAsync()));

        await other.CountAsync("t", "c", 3);
        time.Advance(TimeSpan.FromMilliseconds(100));

        Assert.Equal("c 3", Name(await hub.NextAsync()));
    }

    [Fact]
    public async Task A_lane_that_stops_finishes_and_settles_what_it_is_delivering_and_takes_nothing_more()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "c", 1);
        await store.CountAsync("t", "c", 2);
        var (begun, released) = (new TaskCompletionSource(), new TaskCompletionSource());
        var hub = new Recorder("hub", async (_, _) =>
        {
            begun.SetResult();
            await released.Task;
            return DeliveryOutcome.Done;
        });
        await using var lane = StartLane(store, hub);
        await begun.Task.Soon();

        var stopping = lane.StopAsync();
        Assert.False(stopping.IsCompleted);
        released.SetResult();
        await stopping.Soon();

        Assert.Equal("c 2", await store.ScalarAsync<string>("select string_agg(subject || ' ' || split_part(event_id, ':', 3), ',') from platform.delivery"));
    }

    [Fact]
    public async Task An_event_whose_row_retention_has_dropped_becomes_a_dead_letter_and_is_not_lost_silently()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.CountAsync("t", "c", 1);
        await store.ExecuteAsync("delete from platform.event");
        await store.CountAsync("t", "c", 2);
        var hub = new Recorder("hub");
        await using var lane = StartLane(store, hub);

        Assert.Equal("c 2", Name(await hub.NextAsync()));
        await lane.StopAsync();
        Assert.Equal("retention has dropped the event before it was delivered", await store.ScalarAsync<string>("select last_error from platform.dead_letter"));
    }

    [Fact]
    public async Task An_event_of_more_than_64_KiB_fails_the_save_before_anything_is_written()
    {
        await using var store = await OpenStoreAsync("hub");

        await Assert.ThrowsAsync<EventTooLargeException>(() => store.CountAsync("t", "c", 1, data: $"\"{new string('x', EventEnvelope.MaxBytes - 300)}\""));

        Assert.Equal(0, await store.ScalarAsync<long>("select (select count(*) from counter) + (select count(*) from platform.event)"));
        Assert.True(await store.CountAsync("t", "c", 1, data: $"\"{new string('x', 60 * 1024)}\""));
    }

    /// <summary>Answers only when sixteen deliveries are in hand at once.</summary>
    private sealed class Barrier16 : IDisposable
    {
        private readonly TaskCompletionSource _met = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly SemaphoreSlim _room = new(16, 16);
        private readonly Lock _gate = new();

        public Task Met => _met.Task;

        public List<string> Subjects { get; } = [];

        public async Task<DeliveryOutcome> AnswerAsync(EventEnvelope envelope, CancellationToken cancellation)
        {
            if (!await _room.WaitAsync(0, cancellation))
            {
                return DeliveryOutcome.Done;
            }

            lock (_gate)
            {
                Subjects.Add(envelope.Subject);
                if (Subjects.Count == 16)
                {
                    _met.SetResult();
                }
            }

            await _met.Task.WaitAsync(cancellation);
            return DeliveryOutcome.Done;
        }

        public void Dispose() => _room.Dispose();
    }
}

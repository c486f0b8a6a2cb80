using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Store;
using Wave16.Platform.Work;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Work;

public sealed class DueTests(PostgresFixture postgres)
{
    private static readonly DateTimeOffset Start = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_deadline_comes_when_it_is_due_and_not_before()
    {
        var due = await StartAsync();
        await using var sample = due.Host;
        await due.SetAsync("late", "warn", TimeSpan.FromMinutes(60));
        await due.SetAsync("early", "warn", TimeSpan.FromMinutes(59));

        due.Advance(TimeSpan.FromMinutes(59));
        var first = await due.NextAsync();
        due.Advance(TimeSpan.FromMinutes(1));
        var second = await due.NextAsync();

        Assert.Equal(("early", Start.AddMinutes(59), 1), (first.Entity, first.DueAt, first.Attempt));
        Assert.Equal("late", second.Entity);
        await due.EmptyAsync();
        Assert.Equal(2, due.Handled);
    }

    [Fact]
    public async Task After_a_long_outage_an_entitys_deadlines_come_once_and_in_order()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await using (var setter = (await BuildAsync(database)).Host)
        {
            var tickets = new TicketStore(setter.Database, setter.Get<SaveTail>());
            await tickets.SaveAsync("t", TicketStore.Change("T-1", 1) with { Due = [new("expire", 1, Start.AddDays(3)), new("warn", 1, Start.AddDays(1)), new("breach", 1, Start.AddDays(2))] }, Cancellation);
        }

        var due = await StartAsync(database, Start.AddDays(40));
        await using var sample = due.Host;

        Assert.Equal("warn", (await due.NextAsync()).Kind);
        Assert.Equal("breach", (await due.NextAsync()).Kind);
        Assert.Equal("expire", (await due.NextAsync()).Kind);
        await due.EmptyAsync();
        Assert.Equal(3, due.Handled);
    }

    [Fact]
    public async Task A_chain_of_steps_whose_times_have_all_passed_is_walked_through_step_by_step()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await using (var setter = (await BuildAsync(database)).Host)
        {
            await new TicketStore(setter.Database, setter.Get<SaveTail>())
                .SaveAsync("t", TicketStore.Change("T-1", 1) with { Due = [new("warn", 1, Start.AddHours(1))] }, Cancellation);
        }

        // Every step sets the next one, an hour after its own time, until the fifth.
        var due = await StartAsync(database, Start.AddDays(40), async (item, store) => await store.SaveAsync(
            "t",
            TicketStore.Change("T-1", item.Generation + 1) with { Due = [new("warn", item.Generation + 1, item.Generation == 5 ? null : item.DueAt.AddHours(1))] },
            Cancellation));
        await using var sample = due.Host;

        for (var step = 1; step <= 5; step++)
        {
            var item = await due.NextAsync();
            Assert.Equal((step, Start.AddHours(step)), ((int)item.Generation, item.DueAt));
        }

        await due.EmptyAsync();
        Assert.Equal(5, due.Handled);
    }

    [Fact]
    public async Task A_handler_that_fails_is_tried_again_later_and_holds_up_only_its_own_entity()
    {
        var failing = true;
        var due = await StartAsync(handle: (item, _) => item is { Entity: "bad", Kind: "warn" } && failing ? throw new InvalidOperationException("no") : Task.CompletedTask);
        await using var sample = due.Host;
        await due.SetAsync("bad", "warn", TimeSpan.FromMinutes(1));
        await due.SetAsync("bad", "breach", TimeSpan.FromMinutes(2), version: 2);
        await due.SetAsync("good", "warn", TimeSpan.FromMinutes(3));
        await using var postponed = await TableChanges.ListenAsync(due.Database, "platform.due", "select from platform.due where entity = 'bad' and attempts = 1 and last_error = 'InvalidOperationException'");

        due.Advance(TimeSpan.FromMinutes(3));
        Assert.Equal(["bad", "good"], new[] { await due.NextAsync(), await due.NextAsync() }.Select(item => item.Entity).Order(StringComparer.Ordinal));
        await postponed.UntilAsync();
        failing = false;
        due.Advance(DueSweeper.RetryAfter(1));

        var again = await due.NextAsync();
        Assert.Equal(("bad", "warn", 2), (again.Entity, again.Kind, again.Attempt));
        Assert.Equal(("bad", "breach"), await due.NextAsync() is var next ? (next.Entity, next.Kind) : default);
        await due.EmptyAsync();
    }

    [Fact]
    public async Task A_deadline_that_its_entity_has_moved_meanwhile_is_not_removed()
    {
        var due = await StartAsync(handle: async (item, store) =>
        {
            if (item.Generation == 1)
            {
                await store.SaveAsync("t", TicketStore.Change(item.Entity, 2) with { Due = [new("warn", 2, Start.AddDays(9))] }, Cancellation);
            }
        });
        await using var sample = due.Host;
        await due.SetAsync("T-1", "warn", TimeSpan.FromMinutes(1));
        await using var saved = await TableChanges.ListenAsync(due.Database, "platform.due", "select from platform.due where generation = 2");
        due.Advance(TimeSpan.FromMinutes(1));
        await due.NextAsync();
        // Else the handler's time could be over before it has moved the deadline.
        await saved.UntilAsync();

        due.Advance(TimeSpan.FromDays(9));
        var moved = await due.NextAsync();

        Assert.Equal((2L, Start.AddDays(9)), (moved.Generation, moved.DueAt));
    }

    [Fact]
    public async Task A_stale_timer_removes_and_postpones_nothing_of_a_newer_generation()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var due = await BuildAsync(database);
        await using var sample = due.Host;
        await due.SetAsync("T-1", "warn", TimeSpan.FromMinutes(1), generation: 7);
        var store = new DueStore(sample.Database);
        var stale = new DueItem("acme", "warn", "T-1", Generation: 6, Start, Attempt: 1);

        await store.RemoveAsync([stale], Cancellation);
        await store.PostponeAsync([new DueOutcome(stale, Start.AddDays(1), "late")], Cancellation);

        var kept = Assert.Single(await store.ReadAsync(["warn"], Start.AddHours(1), new DueFetch(10, [], [], []), Cancellation));
        Assert.Equal((7L, 1), (kept.Generation, kept.Attempt));
    }

    [Fact]
    public async Task Of_many_deadlines_that_came_since_anybody_looked_few_more_are_read_than_given()
    {
        const int given = 200;
        var database = await SampleModule.DatabaseAsync(postgres);
        var due = await BuildAsync(database);
        await using var sample = due.Host;
        var store = new DueStore(sample.Database);
        Assert.Empty(await ReadAsync(times: 20));
        await due.ScalarAsync<long>("""
            with filled as (
              insert into platform.due (tenant, kind, entity, generation, due_at, next_at)
              select 'acme', 'warn', 'T-' || n, 1, now() - interval '1 h', now() - interval '1 h' from generate_series(1, 5000) n returning 1)
            select count(*) from filled
            """);
        var before = await RowsReadAsync();

        Assert.Equal(given, (await ReadAsync(times: 1)).Count);

        Assert.InRange(await RowsReadAsync() - before, given, 5 * given);

        async Task<List<DueItem>> ReadAsync(int times)
        {
            List<DueItem> items = [];
            for (var i = 0; i < times; i++)
            {
                items = await store.ReadAsync(["warn"], DateTimeOffset.UtcNow, new DueFetch(given, [], [], []), Cancellation);
            }

            return items;
        }

        // One at a time, so on one session, which the first statement makes tell its counts.
        async Task<long> RowsReadAsync()
        {
            await due.ScalarAsync<bool>("select pg_stat_force_next_flush() is null");
            return await due.ScalarAsync<long>(
                "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relid = 'platform.due'::regclass");
        }
    }

    [Fact]
    public async Task A_kind_that_this_release_does_not_know_is_left_for_one_that_does()
    {
        var due = await StartAsync();
        await using var sample = due.Host;
        await due.SetAsync("T-1", "of-the-next-release", TimeSpan.FromMinutes(1));
        await due.SetAsync("T-1", "warn", TimeSpan.FromMinutes(2), version: 2);

        due.Advance(TimeSpan.FromMinutes(2));

        Assert.Equal("warn", (await due.NextAsync()).Kind);
        Assert.Single(await new DueStore(sample.Database).ReadAsync(["of-the-next-release"], due.Clock.GetUtcNow(), new DueFetch(10, [], [], []), Cancellation));
    }

    [Fact]
    public async Task One_of_two_replicas_sweeps_and_the_other_goes_on_when_it_leaves()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var (one, two) = (await StartAsync(database), await StartAsync(database));
        await using var first = one.Host;
        await using var second = two.Host;
        await one.SetAsync("T-1", "warn", TimeSpan.FromMinutes(1));
        one.Advance(TimeSpan.FromMinutes(1));
        two.Advance(TimeSpan.FromMinutes(1));
        var (byOne, byTwo) = (one.NextAsync(), two.NextAsync());
        var (active, idle, byIdle) = await Task.WhenAny(byOne, byTwo) == byOne ? (one, two, byTwo) : (two, one, byOne);
        await active.EmptyAsync();

        await active.Host.StopAsync();
        await idle.SetAsync("T-2", "warn", TimeSpan.Zero);
        idle.Ring();
        await byIdle;

        Assert.Equal((1, 1), (active.Handled, idle.Handled));
    }

    [Fact]
    public async Task Thousands_that_came_due_during_an_outage_are_handled_once_each()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await using (var setter = (await BuildAsync(database)).Host)
        await using (var fill = setter.Database.DataSource.CreateCommand($"""
            insert into platform.due (tenant, kind, entity, generation, due_at, next_at)
            select 't' || (n % 5), 'warn', n::text, 1, timestamptz '{Start:O}' + n * interval '1 second', timestamptz '{Start:O}' + n * interval '1 second'
            from generate_series(1, 3000) n
            """))
        {
            await fill.ExecuteNonQueryAsync(Cancellation);
        }

        var due = await StartAsync(database, Start.AddDays(1));
        await using var sample = due.Host;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < 3000; i++)
        {
            Assert.True(seen.Add((await due.NextAsync()).Entity));
        }

        await due.EmptyAsync();
        Assert.Equal(3000, due.Handled);
    }

    [Fact]
    public async Task Handlers_that_hang_hold_up_no_other_tenants_deadlines()
    {
        var hang = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var due = await StartAsync(handle: (item, _) => item.Tenant == "hung" ? hang.Task : Task.CompletedTask);
        await using var sample = due.Host;
        await due.FillAsync("hung", entities: 2 * DueSweeper.BatchSize);
        due.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal("hung", (await due.NextAsync()).Tenant);
        await due.FillAsync("other", entities: 20);
        await using var met = await TableChanges.ListenAsync(due.Database, "platform.due", "select where not exists (select from platform.due where tenant = 'other')");

        due.Advance(TimeSpan.FromSeconds(1));
        await met.UntilAsync();

        Assert.Equal(2L * DueSweeper.BatchSize, await due.ScalarAsync<long>("select count(*) from platform.due"));
        hang.SetResult();
        await due.EmptyAsync();
        Assert.Equal((2 * DueSweeper.BatchSize) + 20, due.Handled);
    }

    [Fact]
    public async Task A_handler_that_does_not_listen_is_given_up_after_its_time_and_comes_again()
    {
        var hang = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var due = await StartAsync(handle: (item, _) => item.Attempt == 1 ? hang.Task : Task.CompletedTask);
        await using var sample = due.Host;
        await due.SetAsync("T-1", "warn", TimeSpan.Zero);
        due.Ring();
        await due.NextAsync();
        await using var postponed = await TableChanges.ListenAsync(due.Database, "platform.due", "select from platform.due where attempts = 1 and last_error = 'TimeoutException'");

        due.Advance(TimeSpan.FromSeconds(30));
        await postponed.UntilAsync();
        due.Advance(DueSweeper.RetryAfter(1));

        Assert.Equal(2, (await due.NextAsync()).Attempt);
        await due.EmptyAsync();
        hang.SetResult();
    }

    [Fact]
    public async Task Lag_and_number_of_what_is_overdue_are_metrics()
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var due = await StartAsync(handle: (_, _) =>
        {
            entered.TrySetResult();
            return goOn.Task;
        });
        await using var sample = due.Host;
        var factory = sample.MeterFactory;
        var measured = new ConcurrentDictionary<string, double>(StringComparer.Ordinal);
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listening) =>
            {
                if (instrument.Meter.Scope == factory && instrument.Name.StartsWith("due.", StringComparison.Ordinal))
                {
                    listening.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => measured[instrument.Name] = value);
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => measured[instrument.Name] = value);
        listener.Start();
        await due.SetAsync("T-1", "warn", TimeSpan.FromMinutes(1));
        await due.SetAsync("T-2", "warn", TimeSpan.FromMinutes(2));

        due.Advance(TimeSpan.FromMinutes(5));
        await entered.Task.WaitAsync(Cancellation);
        listener.RecordObservableInstruments();
        goOn.SetResult();

        Assert.Equal(240, measured["due.lag"]);
        Assert.Equal(2, measured["due.pending"]);
    }

    private async Task<DueSample> StartAsync(string? database = null, DateTimeOffset? at = null, Func<DueItem, TicketStore, Task>? handle = null)
    {
        var due = await BuildAsync(database ?? await SampleModule.DatabaseAsync(postgres), at, handle);
        await due.Host.StartAsync();
        return due;
    }

    private static async Task<DueSample> BuildAsync(string database, DateTimeOffset? at = null, Func<DueItem, TicketStore, Task>? handle = null)
    {
        var due = new DueSample(database, new FakeTimeProvider(at ?? Start), handle ?? ((_, _) => Task.CompletedTask));
        await due.Host.Get<Migrator>().MigrateAsync(Cancellation);
        return due;
    }
}

internal sealed class DueHandler(DueSample sample) : IDueHandler
{
    public Task HandleAsync(DueItem item, CancellationToken cancellation) => sample.HandleAsync(item);
}

/// <summary>A replica that knows the kinds <c>warn</c>, <c>breach</c> and <c>expire</c>, and tells the test of each item it is brought.</summary>
internal sealed class DueSample
{
    private readonly Channel<DueItem> _items = Channel.CreateUnbounded<DueItem>();
    private readonly Func<DueItem, TicketStore, Task> _handle;
    private int _handled;

    public DueSample(string database, FakeTimeProvider clock, Func<DueItem, TicketStore, Task> handle)
    {
        Database = database;
        Clock = clock;
        _handle = handle;
        Host = SampleHost.Build(database, clock, module =>
        {
            module.Services.AddSingleton(this);
            module.AddDueHandler<DueHandler>("warn").AddDueHandler<DueHandler>("breach").AddDueHandler<DueHandler>("expire");
            Bell = WorkRegistration.DeadlinesOf(module);
        });
    }

    public SampleHost Host { get; }

    public string Database { get; }

    public FakeTimeProvider Clock { get; }

    public int Handled => Volatile.Read(ref _handled);

    private string Bell { get; set; } = "";

    public async Task HandleAsync(DueItem item)
    {
        Interlocked.Increment(ref _handled);
        _items.Writer.TryWrite(item);
        await _handle(item, new TicketStore(Host.Database, Host.Get<SaveTail>()));
    }

    /// <summary>So many deadlines of a tenant, due now.</summary>
    public async Task FillAsync(string tenant, int entities)
    {
        await using var fill = Host.Database.DataSource.CreateCommand("""
            insert into platform.due (tenant, kind, entity, generation, due_at, next_at) select $1, 'warn', n::text, 1, $2, $2 from generate_series(1, $3) n
            """);
        fill.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        fill.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = Clock.GetUtcNow() });
        fill.Parameters.Add(new NpgsqlParameter<int> { TypedValue = entities });
        await fill.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using var command = Host.Database.DataSource.CreateCommand(sql);
        return (T)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken) ?? throw new InvalidOperationException(sql));
    }

    public async Task<DueItem> NextAsync() => await _items.Reader.ReadAsync(TestContext.Current.CancellationToken);

    /// <summary>Returns when no deadline is left.</summary>
    public async Task EmptyAsync()
    {
        await using var changes = await TableChanges.ListenAsync(Database, "platform.due", "select where not exists (select from platform.due)");
        await changes.UntilAsync();
    }

    public void Advance(TimeSpan time)
    {
        Clock.Advance(time);
        Ring();
    }

    // The advance may fall between the sweeper's look and its wait.
    public void Ring() => Host.Services.GetRequiredKeyedService<WakeUp>(Bell).Ring();

    public Task SetAsync(string id, string kind, TimeSpan after, long version = 1, long generation = 1) =>
        new TicketStore(Host.Database, Host.Get<SaveTail>())
            .SaveAsync("t", TicketStore.Change(id, version) with { Due = [new DueChange(kind, generation, Clock.GetUtcNow() + after)] }, TestContext.Current.CancellationToken);
}

using System.Diagnostics.Metrics;
using System.Globalization;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using Wave16.Platform.Events;
using Wave16.Platform.Retention;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Events;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Retention;

/// <summary>The tests' clock begins on a Monday a hundred days ago: nothing is dropped that is not old by the database's clock, too.</summary>
public sealed class PartitionTests(PostgresFixture postgres)
{
    private readonly FakeTimeProvider _clock = new(PartitionSpan.Week.StartOf(TimeProvider.System.GetUtcNow().AddDays(-100)));

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_module_that_is_ready_has_partitions_for_the_coming_seven_days()
    {
        await using var sample = await StartAsync();
        var today = _clock.GetUtcNow();

        var partitions = await RangesAsync(sample, "platform.event");

        Assert.Equal(Enumerable.Range(0, 7).Select(day => today.AddDays(day)), partitions.Select(range => range.From).Where(from => from >= today && from < today.AddDays(50)));
        Assert.Contains(await RangesAsync(sample, "platform.command"), range => range.From <= today && range.To > today);
    }

    [Fact]
    public async Task A_row_goes_to_the_partition_of_its_day()
    {
        await using var sample = await StartAsync();

        await AddEventAsync(sample, "e", _clock.GetUtcNow().AddHours(30));

        Assert.Equal(NameOf("event", _clock.GetUtcNow().AddDays(1)), await HomeOfAsync(sample, "e"));
    }

    [Fact]
    public async Task Replicas_that_make_partitions_at_the_same_time_make_each_once()
    {
        await using var sample = await StartAsync();
        var database = sample.Database;
        _clock.Advance(TimeSpan.FromDays(20));
        var replicas = Enumerable.Range(0, 4).Select(_ => NewPartitions(database)).ToList();

        await Task.WhenAll(replicas.Select(replica => replica.MakeAsync(Cancellation)));

        var from = (await RangesAsync(sample, "platform.event")).Select(range => range.From).ToList();
        Assert.Equal(from.Distinct(), from);
        Assert.Contains(_clock.GetUtcNow().AddDays(6), from);
    }

    [Fact]
    public async Task A_partition_goes_when_all_of_it_is_older_than_the_period_and_not_before()
    {
        await using var sample = await StartAsync();
        var day = _clock.GetUtcNow();
        await AddEventAsync(sample, "e", day.AddHours(23));
        var partitions = sample.Get<Partitions>();
        using var dropped = new Counted(sample.MeterFactory, "retention.partitions.dropped");

        _clock.Advance(TimeSpan.FromDays(8) - TimeSpan.FromSeconds(1));
        await partitions.DropAsync(Cancellation);
        var before = await CountAsync(sample, "platform.event");
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(await partitions.DropAsync(Cancellation));

        Assert.Equal((1, 0), (before, await CountAsync(sample, "platform.event")));
        Assert.DoesNotContain(await RangesAsync(sample, "platform.event"), range => range.From == day);
        Assert.Equal(["sample platform.event 1"], dropped.Measured);
    }

    [Fact]
    public async Task A_clock_that_is_set_forward_takes_nothing_with_it()
    {
        await using var sample = await StartAsync();
        var real = TimeProvider.System.GetUtcNow();
        await AddEventAsync(sample, "e", real);

        _clock.SetUtcNow(real.AddYears(1));
        await sample.Get<Partitions>().DropAsync(Cancellation);

        Assert.Equal(1, await CountAsync(sample, "platform.event"));
    }

    [Fact]
    public async Task An_event_that_waits_for_its_delivery_keeps_its_partition()
    {
        await using var sample = await StartAsync();
        var day = _clock.GetUtcNow();
        await AddEventAsync(sample, "waits", day, pending: true);
        await AddEventAsync(sample, "delivered", day);

        _clock.Advance(TimeSpan.FromDays(9));
        await sample.Get<Partitions>().DropAsync(Cancellation);
        var before = await CountAsync(sample, "platform.event");
        await ExecuteAsync(sample, "delete from platform.delivery");
        await sample.Get<Partitions>().DropAsync(Cancellation);

        Assert.Equal((2, 0), (before, await CountAsync(sample, "platform.event")));
    }

    [Fact]
    public async Task An_event_that_waited_too_long_is_a_dead_letter_with_its_envelope_and_then_its_partition_goes()
    {
        await using var sample = await StartAsync();
        await AddEventAsync(sample, "old", _clock.GetUtcNow(), pending: true);
        await AddEventAsync(sample, "young", _clock.GetUtcNow().AddDays(1), pending: true);
        var undelivered = NewUndelivered(sample);

        _clock.Advance(TimeSpan.FromDays(14));
        Assert.Equal(0, await undelivered.GiveUpAsync(10, Cancellation));
        _clock.Advance(TimeSpan.FromHours(1));
        Assert.Equal(1, await undelivered.GiveUpAsync(10, Cancellation));
        await sample.Get<Partitions>().DropAsync(Cancellation);

        Assert.Equal("old not delivered within 14 days; last: HTTP 503 42", await ScalarAsync<string>(sample, """
            select event_id || ' ' || last_error || ' ' || (envelope::json -> 'data' ->> 'n') from platform.dead_letter
            """));
        Assert.Equal("young", await ScalarAsync<string>(sample, "select string_agg(event_id, ',') from platform.event"));
    }

    [Fact]
    public async Task What_came_before_there_was_a_partition_for_it_moves_into_it()
    {
        await using var sample = await StartAsync();
        var later = _clock.GetUtcNow().AddDays(10);
        await AddEventAsync(sample, "jumped", later.AddHours(5));
        Assert.Equal("event_default", await HomeOfAsync(sample, "jumped"));

        _clock.Advance(TimeSpan.FromDays(4));
        Assert.True(await sample.Get<Partitions>().MakeAsync(Cancellation));

        Assert.Equal(NameOf("event", later), await HomeOfAsync(sample, "jumped"));
    }

    [Fact]
    public async Task More_rows_than_can_be_moved_in_a_moment_stay_in_the_default_partition_and_the_days_after_get_theirs()
    {
        await using var sample = await StartAsync();
        var later = _clock.GetUtcNow().AddDays(10);
        await ExecuteAsync(sample, $"insert into platform.command select '{later:O}', 't', 'counter/c', n::text, '1' from generate_series(1, 20001) n");

        _clock.Advance(TimeSpan.FromDays(8));
        Assert.True(await sample.Get<Partitions>().MakeAsync(Cancellation));

        Assert.Equal(20001, await CountAsync(sample, "platform.command_default"));
        Assert.Contains(await RangesAsync(sample, "platform.command"), range => range.From > later && range.From < later.AddDays(14));
    }

    [Fact]
    public async Task What_stayed_in_the_default_partition_is_removed_row_by_row_unless_a_delivery_needs_it()
    {
        await using var sample = await StartAsync();
        var before = _clock.GetUtcNow().AddDays(-3);
        await AddEventAsync(sample, "waits", before, pending: true);
        await ExecuteAsync(sample, $"""
            insert into platform.event (occurred_at, event_id, tenant, type, subject, entity_version, data)
            select '{before:O}', n::text, 't', 'x', 's', 1, '1' from generate_series(1, 5001) n
            """);
        using var removed = new Counted(sample.MeterFactory, "retention.rows.removed");

        _clock.Advance(TimeSpan.FromDays(4));
        await sample.Get<Partitions>().DropAsync(Cancellation);
        var kept = await CountAsync(sample, "platform.event");
        _clock.Advance(TimeSpan.FromSeconds(1));
        await sample.Get<Partitions>().DropAsync(Cancellation);

        Assert.Equal((5002, "waits"), (kept, await ScalarAsync<string>(sample, "select string_agg(event_id, ',') from platform.event")));
        Assert.Equal(["sample platform.event 5001"], removed.Measured);
    }

    [Fact]
    public async Task A_transaction_that_has_the_table_in_use_delays_the_drop_and_a_save_behind_it_goes_on()
    {
        await using var sample = await StartAsync();
        await AddEventAsync(sample, "old", _clock.GetUtcNow());
        await using var connection = await sample.Database.OpenAsync(Cancellation);
        await using var import = await connection.BeginTransactionAsync(Cancellation);
        await connection.ExecuteAsync("lock table platform.event in row exclusive mode");
        _clock.Advance(TimeSpan.FromDays(9));

        var refused = await sample.Get<Partitions>().DropAsync(Cancellation);
        await AddEventAsync(sample, "new", _clock.GetUtcNow());
        await import.CommitAsync(Cancellation);
        var done = await sample.Get<Partitions>().DropAsync(Cancellation);

        Assert.Equal((false, true), (refused, done));
        Assert.Equal("new", await ScalarAsync<string>(sample, "select string_agg(event_id, ',') from platform.event"));
    }

    [Fact]
    public async Task A_name_that_is_taken_is_reported_and_keeps_no_module_from_being_ready()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await using (var connection = new NpgsqlConnection(database))
        {
            await connection.ExecuteAsync($"create table platform.{NameOf("event", _clock.GetUtcNow())} (id int)");
        }

        using var reported = new LogSignal("a partition of platform.event could not be made");
        await using var sample = await SampleHost.StartAsync(database, _clock, module => module.Services.AddLogging(log => log.AddProvider(reported)));

        await reported.Seen;
        Assert.True(sample.Database.IsReady);
    }

    [Fact]
    public async Task Housekeeping_makes_and_drops_them_as_time_goes_by()
    {
        using var dropped = new LogSignal($"{NameOf("event", _clock.GetUtcNow())} is dropped");
        var day = _clock.GetUtcNow();
        await using var sample = await SampleHost.StartAsync(
            await SampleModule.DatabaseAsync(postgres), _clock, module => module.Services.AddLogging(log => log.AddProvider(dropped)));

        await using var clock = new FastClock(_clock, TimeSpan.FromHours(1));
        await dropped.Seen;

        Assert.DoesNotContain(await RangesAsync(sample, "platform.event"), range => range.From == day);
    }

    private static string NameOf(string table, DateTimeOffset day) => $"{table}_{day.ToString("yyyyMMdd", CultureInfo.InvariantCulture)}";

    /// <summary>Its housekeeping does nothing: it is not started.</summary>
    private async Task<SampleHost> StartAsync()
    {
        var sample = SampleHost.Build(await SampleModule.DatabaseAsync(postgres), _clock, _ => { });
        await sample.Get<Migrator>().MigrateAsync(Cancellation);
        return sample;
    }

    private Partitions NewPartitions(ModuleDatabase database)
    {
        RetainedTable[] tables = [RetainedTable.Event, RetainedTable.DeadLetter, RetainedTable.Command];
        var meters = new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>();
        return new Partitions(
            database, tables, new RetentionPeriods(new Microsoft.Extensions.Configuration.ConfigurationBuilder().Build(), tables), new RetentionMetrics(meters), _clock, NullLogger<Partitions>.Instance);
    }

    private UndeliveredEvents NewUndelivered(SampleHost sample) =>
        new(sample.Database, sample.Get<RetentionPeriods>(), new OutboxMetrics(sample.MeterFactory, _clock), _clock, NullLogger<UndeliveredEvents>.Instance);

    private static async Task AddEventAsync(SampleHost sample, string id, DateTimeOffset at, bool pending = false)
    {
        await using var connection = await sample.Database.OpenAsync(Cancellation);
        await connection.ExecuteAsync(
            """
            insert into platform.event (occurred_at, event_id, tenant, type, subject, entity_version, data)
            values (@at, @id, 't', 'wave16.sample.ticket-opened.v1', 's', 1, '{"n":42}')
            """, new { at, id });
        if (pending)
        {
            await connection.ExecuteAsync(
                """
                insert into platform.delivery (destination, tenant, subject, event_id, occurred_at, last_error) values ('hub', 't', 's', @id, @at, 'HTTP 503')
                """, new { at, id });
        }
    }

    private static async Task ExecuteAsync(SampleHost sample, string sql)
    {
        await using var connection = await sample.Database.OpenAsync(Cancellation);
        await connection.ExecuteAsync(sql);
    }

    private static async Task<T> ScalarAsync<T>(SampleHost sample, string sql)
    {
        await using var connection = await sample.Database.OpenAsync(Cancellation);
        return await connection.ExecuteScalarAsync<T>(sql) ?? throw new InvalidOperationException(sql);
    }

    private static Task<int> CountAsync(SampleHost sample, string table) => ScalarAsync<int>(sample, $"select count(*)::int from {table}");

    private static Task<string> HomeOfAsync(SampleHost sample, string id) =>
        ScalarAsync<string>(sample, $"select c.relname::text from platform.event e join pg_class c on c.oid = e.tableoid where event_id = '{id}'");

    private static async Task<List<(DateTimeOffset From, DateTimeOffset To)>> RangesAsync(SampleHost sample, string table)
    {
        await using var connection = await sample.Database.OpenAsync(Cancellation);
        return [.. (await connection.QueryAsync<(DateTime From, DateTime To)>("""
            select substring(b from $$FROM \('([^']+)$$)::timestamptz, substring(b from $$TO \('([^']+)$$)::timestamptz
            from pg_inherits i join pg_class c on c.oid = i.inhrelid cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as b) b
            where i.inhparent = to_regclass(@table) and b <> 'DEFAULT' order by 1
            """, new { table })).Select(range => (new DateTimeOffset(range.From), new DateTimeOffset(range.To)))];
    }

    /// <summary>What one counter of one meter factory has counted: module, table and number.</summary>
    private sealed class Counted : IDisposable
    {
        private readonly MeterListener _listener = new();
        private readonly List<string> _measured = [];

        public Counted(IMeterFactory meters, string name)
        {
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == name && instrument.Meter.Scope == meters)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            };
            _listener.SetMeasurementEventCallback<long>((_, value, tags, _) => _measured.Add($"{tags[0].Value} {tags[1].Value} {value}"));
            _listener.Start();
        }

        public IReadOnlyList<string> Measured => _measured;

        public void Dispose() => _listener.Dispose();
    }
}

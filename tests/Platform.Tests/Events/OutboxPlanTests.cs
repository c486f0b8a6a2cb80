using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Events;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

public sealed class OutboxPlanTests(PostgresFixture postgres) : OutboxTest(postgres)
{
    [Fact]
    public async Task A_fetch_probes_its_indexes_also_when_a_destination_began_to_fail_after_the_table_was_analyzed()
    {
        await using var store = await OpenStoreAsync("hub");
        await store.ExecuteAsync("""
            insert into platform.delivery (destination, tenant, subject, event_id, occurred_at)
            select 'hub', 't', 's' || n % 10000, n::text, now() from generate_series(1, 50000) n
            """);
        await store.ExecuteAsync("analyze platform.delivery");
        await store.ExecuteAsync("update platform.delivery set next_at = now() + interval '1 h' where id in (select min(id) from platform.delivery group by subject)");
        await using var explain = store.Database.DataSource.CreateCommand($"explain {OutboxStore.FetchSql}");
        explain.Parameters.Add(new NpgsqlParameter<string> { TypedValue = "hub" });
        explain.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = TimeProvider.System.GetUtcNow() });
        explain.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [1, 2, 3] });
        explain.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
        explain.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
        explain.Parameters.Add(new NpgsqlParameter<int> { TypedValue = 200 });
        explain.Parameters.Add(new NpgsqlParameter<long> { TypedValue = 0 });

        var plan = new List<string>();
        await using (var reader = await explain.ExecuteReaderAsync(Cancellation))
        {
            while (await reader.ReadAsync(Cancellation))
            {
                plan.Add(reader.GetString(0));
            }
        }

        Assert.Contains(plan, line => line.Contains("Index Scan using delivery_pkey on delivery d", StringComparison.Ordinal));
        Assert.Contains(plan, line => line.Contains("Index Cond", StringComparison.Ordinal) && line.Contains("(id < d.id)", StringComparison.Ordinal));
        Assert.DoesNotContain(plan, line => line.Contains("Seq Scan on delivery", StringComparison.Ordinal) || line.Contains("Materialize", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_fetch_reads_what_it_gives_also_when_the_queue_was_empty_as_long_as_anybody_looked()
    {
        const int given = 200;
        await using var store = await OpenStoreAsync("hub");
        var outbox = new OutboxStore(store.Database);
        await store.ExecuteAsync("analyze platform.delivery, platform.event");
        Assert.Empty(await FetchAsync(times: 20));
        await store.ExecuteAsync("""
            with n as (select n from generate_series(1, 5000) n), e as (
              insert into platform.event (occurred_at, event_id, tenant, type, subject, entity_version, data) select now(), n, 't', 'x', 's' || n, 1, '{}' from n)
            insert into platform.delivery (destination, tenant, subject, event_id, occurred_at) select 'hub', 't', 's' || n, n, now() from n order by n
            """);
        var before = await RowsReadAsync();

        var due = await FetchAsync(times: 1);

        Assert.Equal(given, due.Count);
        Assert.All(due, delivery => Assert.NotNull(delivery.Envelope));
        Assert.InRange(await RowsReadAsync() - before, given, 5 * given);

        async Task<List<PendingDelivery>> FetchAsync(int times)
        {
            List<PendingDelivery> fetched = [];
            for (var i = 0; i < times; i++)
            {
                fetched = await outbox.FetchAsync("hub", TimeProvider.System.GetUtcNow(), new FetchPlan(given, [], [], Forgotten: 0), from: 0, Cancellation);
            }

            return fetched;
        }

        // One at a time, so on one session, which the first statement makes tell its counts.
        async Task<long> RowsReadAsync()
        {
            await store.ScalarAsync<bool>("select pg_stat_force_next_flush() is null");
            return await store.ScalarAsync<long>("""
                select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables
                where relid = 'platform.delivery'::regclass or relid in (select inhrelid from pg_inherits where inhparent = 'platform.event'::regclass)
                """);
        }
    }
}

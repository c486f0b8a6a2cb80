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
}

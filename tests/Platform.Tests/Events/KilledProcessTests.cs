using Wave16.Platform.TestHost;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

/// <summary>Real processes, killed with SIGKILL.</summary>
public sealed class KilledProcessTests(PostgresFixture postgres) : OutboxTest(postgres)
{
    [Fact]
    public async Task An_event_whose_process_is_killed_between_commit_and_publish_is_published_by_the_next()
    {
        await using var producer = await TestStore.OpenAsync(await CreateDatabaseAsync(), "bus");
        await using var consumer = await OpenStoreAsync();
        await producer.CountAsync("t", "c", 1);
        await using (var killed = await HostAsync(producer, consumer, "hold", "publishing"))
        {
            await killed.SaidAsync("publishing");
        }

        Assert.Equal((1, 0), (await producer.PendingAsync(), await CountedAsync(consumer)));
        await using var next = await HostAsync(producer, consumer);
        await next.SaidAsync("handled");

        Assert.Equal(1, await CountedAsync(consumer));
    }

    [Fact]
    public async Task An_event_whose_process_is_killed_between_handling_and_settling_comes_again_and_counts_once()
    {
        await using var producer = await TestStore.OpenAsync(await CreateDatabaseAsync(), "bus");
        await using var consumer = await OpenStoreAsync();
        await producer.CountAsync("t", "c", 1);
        await using (var killed = await HostAsync(producer, consumer, "hold", "handled"))
        {
            await killed.SaidAsync("handled");
        }

        Assert.Equal((1, 1), (await producer.PendingAsync(), await CountedAsync(consumer)));
        await using var next = await HostAsync(producer, consumer);
        await next.SaidAsync("handled");

        Assert.Equal(1, await CountedAsync(consumer));
    }

    [Fact]
    public async Task Processes_killed_again_and_again_under_load_lose_and_double_nothing()
    {
        await using var producer = await TestStore.OpenAsync(await CreateDatabaseAsync(), "bus");
        await using var consumer = await OpenStoreAsync();
        for (var kill = 0; kill < 4; kill++)
        {
            await using var killed = await HostAsync(producer, consumer, "write", "6");
            for (var handled = 0; handled < 40 + (17 * kill); handled++)
            {
                await killed.SaidAsync("handled");
            }
        }

        await using var survivor = await HostAsync(producer, consumer);
        while (await CountedAsync(consumer) < await CountedAsync(producer))
        {
            await survivor.SaidAsync("handled");
        }

        Assert.Equal(await CountsAsync(producer), await CountsAsync(consumer));
    }

    private static Task<long> CountedAsync(TestStore store) => store.ScalarAsync<long>("select coalesce(sum(count), 0)::bigint from counter");

    private static Task<string> CountsAsync(TestStore store) => store.ScalarAsync<string>("select string_agg(id || '=' || count, ' ' order by id) from counter");

    private static Task<HostProcess> HostAsync(TestStore producer, TestStore consumer, params string[] what) =>
        HostProcess.StartAsync([producer.ConnectionString, consumer.ConnectionString, .. what]);
}

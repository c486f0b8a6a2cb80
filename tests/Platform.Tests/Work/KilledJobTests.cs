using Wave16.Platform.TestHost;
using Wave16.Platform.Tests.Events;
using Wave16.Platform.Work;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Work;

public sealed class KilledJobTests(PostgresFixture postgres) : OutboxTest(postgres)
{
    [Fact]
    public async Task A_killed_process_job_goes_on_elsewhere_from_its_progress_and_what_the_killed_one_had_on_its_way_is_refused()
    {
        await using var store = await OpenStoreAsync();
        var jobs = new JobStore(store.Database, TimeProvider.System);
        var job = NewJob.Of("t", Guid.NewGuid(), StepJobs.Kind, new Steps(5), StepJson.Default.Steps, "ann");
        await using (var connection = await store.Database.OpenAsync(Cancellation))
        {
            await JobStore.AddAsync(connection, job, TimeProvider.System.GetUtcNow(), traceParent: null, Cancellation);
        }

        await using (var killed = await HostProcess.StartAsync(["job", store.ConnectionString, "2"]))
        {
            await killed.SaidAsync("step 2");
        }

        var abandoned = await jobs.FindAsync("t", job.Id, Cancellation);
        await LeaseEndsAsync(store);
        await using var next = await HostProcess.StartAsync(["job", store.ConnectionString, "4"]);
        await next.SaidAsync("step 3");
        await next.SaidAsync("step 4");

        // What the killed process may have sent before it died, and what the server comes to only now.
        var late = new JobContext(jobs, new ClaimedJob("t", job.Id, StepJobs.Kind, "{}", Fence: 1, Attempt: 1, "ann", TraceParent: null));
        await Assert.ThrowsAsync<JobLeaseLostException>(() => late.ReportAsync(new StepsDone(99), StepJson.Default.StepsDone, Cancellation));
        await using (var connection = await store.Database.OpenAsync(Cancellation))
        await using (await connection.BeginTransactionAsync(Cancellation))
        {
            await Assert.ThrowsAsync<JobLeaseLostException>(() => late.GuardAsync(connection, Cancellation));
            await Assert.ThrowsAsync<JobLeaseLostException>(() => late.CompleteAsync(connection, new StepsDone(99), StepJson.Default.StepsDone, Cancellation));
        }

        var resumed = await jobs.FindAsync("t", job.Id, Cancellation);
        Assert.Equal((JobState.Running, 1, 2), (abandoned?.State, abandoned?.Attempts, abandoned?.Progress.GetProperty("done").GetInt32()));
        Assert.Equal((JobState.Running, 2, 4), (resumed?.State, resumed?.Attempts, resumed?.Progress.GetProperty("done").GetInt32()));
        Assert.Equal("1:1 2:1 3:2 4:2", await store.ScalarAsync<string>("select string_agg(number || ':' || fence, ' ' order by number) from step"));
    }

    [Fact]
    public async Task A_job_whose_processes_are_killed_again_and_again_takes_every_step_once()
    {
        await using var store = await OpenStoreAsync();
        var jobs = new JobStore(store.Database, TimeProvider.System);
        var job = NewJob.Of("t", Guid.NewGuid(), StepJobs.Kind, new Steps(4), StepJson.Default.Steps, "ann");
        await using (var connection = await store.Database.OpenAsync(Cancellation))
        {
            await JobStore.AddAsync(connection, job, TimeProvider.System.GetUtcNow(), traceParent: null, Cancellation);
        }

        for (var kill = 1; kill <= 3; kill++)
        {
            await using (var killed = await HostProcess.StartAsync(["job", store.ConnectionString, $"{kill}"]))
            {
                await killed.SaidAsync($"step {kill}");
            }

            await LeaseEndsAsync(store);
        }

        await using var ended = await TableChanges.ListenAsync(store.ConnectionString, "platform.job", "select from platform.job where state = 'succeeded'");
        await using var last = await HostProcess.StartAsync(["job", store.ConnectionString, "0"]);
        await ended.UntilAsync();

        var done = await jobs.FindAsync("t", job.Id, Cancellation);
        Assert.Equal((4, 4), (done?.Attempts, done?.Result?.GetProperty("done").GetInt32()));
        Assert.Equal("1:1 2:2 3:3 4:4", await store.ScalarAsync<string>("select string_agg(number || ':' || fence, ' ' order by number) from step"));
    }

    private static Task LeaseEndsAsync(TestStore store) => store.ExecuteAsync("update platform.job set lease_until = now() where state = 'running'");
}

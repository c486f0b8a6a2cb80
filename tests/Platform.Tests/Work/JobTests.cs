using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Work;

public sealed class JobTests(PostgresFixture postgres)
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(1);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_job_is_run_and_its_result_and_progress_are_kept()
    {
        await using var sample = await CopyJobs.StartAsync(postgres, async (job, copy, cancellation) =>
        {
            await job.ReportAsync(new Copied(copy.Rows / 2), TestJson.Default.Copied, cancellation);
            return JobOutcome.Success(new Copied(copy.Rows), TestJson.Default.Copied);
        });
        var id = await CopyJobs.EnqueueAsync(sample, rows: 10);

        var done = await sample.Jobs.WaitAsync("acme", id, Long, Cancellation);

        Assert.NotNull(done);
        Assert.Equal(JobState.Succeeded, done.State);
        Assert.Equal(5, done.Progress.GetProperty("rows").GetInt32());
        Assert.Equal(10, done.Result?.GetProperty("rows").GetInt32());
        Assert.Equal("ann", done.CreatedBy);
    }

    [Fact]
    public async Task Fifty_parallel_enqueues_with_one_id_make_one_job_that_runs_once()
    {
        var runs = 0;
        await using var sample = await CopyJobs.StartAsync(postgres, (_, copy, _) =>
        {
            Interlocked.Increment(ref runs);
            return Task.FromResult(CopyJobs.Done(copy.Rows));
        });
        var job = CopyJobs.New("acme", Guid.NewGuid(), rows: 1);

        var added = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => sample.Jobs.EnqueueAsync(job, Cancellation)));
        await sample.Jobs.WaitAsync("acme", job.Id, Long, Cancellation);

        Assert.Single(added, made => made);
        Assert.Equal(1, runs);
    }

    [Fact]
    public async Task A_job_enqueued_in_a_transaction_that_is_rolled_back_does_not_exist()
    {
        await using var sample = await CopyJobs.StartAsync(postgres, (_, copy, _) => Task.FromResult(CopyJobs.Done(copy.Rows)));
        var job = CopyJobs.New("acme", Guid.NewGuid(), rows: 1);

        await using (var connection = await sample.Database.OpenAsync(Cancellation))
        await using (await connection.BeginTransactionAsync(Cancellation))
        {
            Assert.True(await sample.Jobs.EnqueueAsync(connection, job, Cancellation));
        }

        Assert.Null(await sample.Jobs.FindAsync("acme", job.Id, Cancellation));
    }

    [Fact]
    public async Task A_job_of_another_tenant_cannot_be_found_or_cancelled()
    {
        await using var sample = await CopyJobs.StartAsync(postgres, (_, copy, _) => Task.FromResult(CopyJobs.Done(copy.Rows)));
        var id = await CopyJobs.EnqueueAsync(sample, rows: 1);
        await sample.Jobs.WaitAsync("acme", id, Long, Cancellation);

        Assert.Null(await sample.Jobs.FindAsync("other", id, Cancellation));
        Assert.Null(await sample.Jobs.CancelAsync("other", id, Cancellation));
    }

    [Fact]
    public async Task A_failure_the_handler_returns_is_final_and_keeps_its_code()
    {
        var runs = 0;
        await using var sample = await CopyJobs.StartAsync(postgres, (_, _, _) =>
        {
            Interlocked.Increment(ref runs);
            return Task.FromResult(JobOutcome.Failure(new Refusal("sample.truncated", "The file ends at byte 17.")));
        });
        var id = await CopyJobs.EnqueueAsync(sample, rows: 1);

        var done = await sample.Jobs.WaitAsync("acme", id, Long, Cancellation);

        Assert.Equal(JobState.Failed, done?.State);
        Assert.Equal("sample.truncated", done?.Problem?.Code);
        Assert.Equal(1, runs);
    }

    [Fact]
    public async Task An_attempt_that_throws_is_made_again_later_and_after_the_last_one_the_job_has_failed()
    {
        var clock = new FakeTimeProvider();
        var attempts = new List<int>();
        using var attempted = new SemaphoreSlim(0);
        await using var sample = await CopyJobs.StartAsync(
            postgres,
            (job, _, _) =>
            {
                attempts.Add(job.Attempt);
                attempted.Release();
                throw new InvalidOperationException("the secret is 42");
            },
            clock,
            new JobLimits(Concurrency: 1, Attempts: 3));
        var id = await CopyJobs.EnqueueAsync(sample, rows: 1);

        await attempted.WaitAsync(Cancellation);
        var waiting = await CopyJobs.UntilAsync(sample, id, job => job.State is JobState.Queued && job.Problem is not null);
        Assert.Equal("job.attempt-failed", waiting.Problem?.Code);
        await AdvanceAsync(JobRunner.RetryAfter(1));
        await CopyJobs.UntilAsync(sample, id, job => job is { State: JobState.Queued, Attempts: 2 });
        await AdvanceAsync(JobRunner.RetryAfter(2));
        var done = await CopyJobs.UntilAsync(sample, id, job => job.IsFinished);

        Assert.Equal([1, 2, 3], attempts);
        Assert.Equal(JobState.Failed, done.State);
        Assert.Equal("job.failed", done.Problem?.Code);
        Assert.DoesNotContain("42", done.Problem?.Detail, StringComparison.Ordinal);

        async Task AdvanceAsync(TimeSpan time)
        {
            clock.Advance(time);
            sample.Jobs.Wake();
            await attempted.WaitAsync(Cancellation);
        }
    }

    [Fact]
    public async Task What_runs_and_how_each_attempt_ended_are_metrics()
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var sample = await CopyJobs.StartAsync(
            postgres,
            async (_, copy, _) =>
            {
                if (copy.Rows == 0)
                {
                    throw new InvalidOperationException("no rows");
                }

                entered.SetResult();
                await goOn.Task;
                return CopyJobs.Done(copy.Rows);
            },
            limits: new JobLimits(Concurrency: 1, Attempts: 1));
        using var attempts = new Measurements(sample.MeterFactory, "jobs.duration");
        using var running = new Measurements(sample.MeterFactory, "jobs.running");

        await CopyJobs.EnqueueAsync(sample, rows: 1);
        await entered.Task.WaitAsync(Cancellation);
        running.Observe();
        goOn.SetResult();

        Assert.Equal(("sample copy", 1), await running.NextAsync(Cancellation));
        Assert.Equal("sample copy succeeded", (await attempts.NextAsync(Cancellation)).Tags);
        running.Observe();
        Assert.Equal(("sample copy", 0), await running.NextAsync(Cancellation));
        await CopyJobs.EnqueueAsync(sample, rows: 0);
        Assert.Equal("sample copy failed", (await attempts.NextAsync(Cancellation)).Tags);
    }
}

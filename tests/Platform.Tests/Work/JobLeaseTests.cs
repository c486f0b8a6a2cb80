using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using Wave16.Platform.Work;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Work;

public sealed class JobLeaseTests(PostgresFixture postgres)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_silent_runners_job_resumes_elsewhere_and_what_the_first_writes_late_is_refused()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var held = new Held(rows: 1);
        await using var silent = await CopyJobs.StartAsync(database, held.RunAsync, clock);
        var id = await CopyJobs.EnqueueAsync(silent, rows: 1);
        var late = await held.EnteredAsync();
        await PassAsync(database, JobLeases.Duration);

        await using var other = await CopyJobs.StartAsync(database, (_, _, _) => Task.FromResult(CopyJobs.Done(2)));
        var resumed = await CopyJobs.UntilAsync(other, id, job => job.IsFinished);
        await Assert.ThrowsAsync<JobLeaseLostException>(() => late.ReportAsync(new Copied(1), TestJson.Default.Copied, Cancellation));
        held.GoOn();
        await silent.StopAsync();

        var job = await other.Jobs.FindAsync("acme", id, Cancellation);
        Assert.Equal(JobState.Succeeded, job?.State);
        Assert.Equal(2, job?.Result?.GetProperty("rows").GetInt32());
        Assert.Equal(2, job?.Attempts);
        Assert.Equal("{}", job?.Progress.GetRawText());
        Assert.Equal(resumed.FinishedAt, job?.FinishedAt);
    }

    [Fact]
    public async Task A_handler_whose_lease_has_passed_to_another_is_told_to_stop()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var held = new Held(rows: 1);
        await using var silent = await CopyJobs.StartAsync(database, held.RunAsync, clock);
        var id = await CopyJobs.EnqueueAsync(silent, rows: 1);
        await held.EnteredAsync();
        await PassAsync(database, JobLeases.Duration);
        await using var other = await CopyJobs.StartAsync(database, (_, _, _) => Task.FromResult(CopyJobs.Done(2)));
        await CopyJobs.UntilAsync(other, id, job => job.IsFinished);

        silent.Jobs.Wake();

        await held.CancelledAsync();
    }

    [Fact]
    public async Task A_handler_is_told_to_stop_when_its_runner_has_long_not_reached_the_database()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var held = new Held(rows: 1);
        await using var sample = await CopyJobs.StartAsync(database, held.RunAsync, clock);
        await CopyJobs.EnqueueAsync(sample, rows: 1);
        await held.EnteredAsync();

        await DatabaseOutage.BeginAsync(database);
        clock.Advance(JobLeases.Duration / 2);

        await held.CancelledAsync();
        await DatabaseOutage.EndAsync(database);
    }

    [Fact]
    public async Task A_job_that_runs_longer_than_its_lease_keeps_it()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var held = new Held(rows: 1);
        await using var sample = await CopyJobs.StartAsync(database, held.RunAsync, clock);
        var id = await CopyJobs.EnqueueAsync(sample, rows: 1);
        await held.EnteredAsync();

        for (var beat = 1; beat <= 4; beat++)
        {
            await PassAsync(database, TimeSpan.FromSeconds(10));
            await using var renewed = await TableChanges.ListenAsync(database, "platform.job", "select from platform.job where lease_until > now() + interval '25 seconds'");
            clock.Advance(TimeSpan.FromSeconds(10));
            sample.Jobs.Wake();
            await renewed.UntilAsync();
        }

        // It has surely looked for expired leases once it has run a job of its own.
        await using var other = await CopyJobs.StartAsync(database, (_, _, _) => Task.FromResult(CopyJobs.Done(2)));
        await CopyJobs.UntilAsync(other, await CopyJobs.EnqueueAsync(other, rows: 2), job => job.IsFinished);
        held.GoOn();

        var job = await CopyJobs.UntilAsync(sample, id, job => job.IsFinished);
        Assert.Equal(1, job.Attempts);
        Assert.Equal(1, job.Result?.GetProperty("rows").GetInt32());
    }

    [Fact]
    public async Task A_queued_job_is_cancelled_at_once_and_never_runs()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var ran = new ConcurrentBag<Guid>();
        await using var idle = CopyJobs.Build(database, (_, _, _) => Task.FromResult(CopyJobs.Done(1)));
        var cancelled = await CopyJobs.EnqueueAsync(idle, rows: 1);
        var other = await CopyJobs.EnqueueAsync(idle, rows: 1);

        var job = await idle.Jobs.CancelAsync("acme", cancelled, Cancellation);
        await using var runner = await CopyJobs.StartAsync(database, (context, _, _) =>
        {
            ran.Add(context.JobId);
            return Task.FromResult(CopyJobs.Done(1));
        });
        await runner.Jobs.WaitAsync("acme", other, CopyJobs.Long, Cancellation);

        Assert.Equal(JobState.Cancelled, job?.State);
        Assert.NotNull(job?.FinishedAt);
        Assert.Equal([other], ran);
    }

    [Fact]
    public async Task A_running_job_is_cancelled_from_another_replica_within_a_second()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var held = new Held(rows: 1);
        await using var sample = await CopyJobs.StartAsync(database, held.RunAsync, clock);
        var id = await CopyJobs.EnqueueAsync(sample, rows: 1);
        await held.EnteredAsync();
        await using var other = CopyJobs.Build(database, held.RunAsync);

        var asked = await other.Jobs.CancelAsync("acme", id, Cancellation);
        // Twice, since the first may fall between the runner's look and its wait.
        clock.Advance(TimeSpan.FromSeconds(1));
        sample.Jobs.Wake();
        await held.CancelledAsync();

        Assert.Equal(JobState.Running, asked?.State);
        Assert.True(asked?.CancelAsked);
        Assert.Equal(JobState.Cancelled, (await CopyJobs.UntilAsync(sample, id, job => job.IsFinished)).State);
    }

    [Fact]
    public async Task A_shutdown_gives_a_job_back_without_counting_the_attempt()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var held = new Held(rows: 1);
        await using var leaving = await CopyJobs.StartAsync(database, held.RunAsync);
        var id = await CopyJobs.EnqueueAsync(leaving, rows: 1);
        await held.EnteredAsync();

        await leaving.StopAsync();
        var released = await leaving.Jobs.FindAsync("acme", id, Cancellation);
        await using var other = await CopyJobs.StartAsync(database, (_, _, _) => Task.FromResult(CopyJobs.Done(2)));
        var done = await other.Jobs.WaitAsync("acme", id, CopyJobs.Long, Cancellation);

        Assert.Equal(JobState.Queued, released?.State);
        Assert.Equal(0, released?.Attempts);
        Assert.Equal(JobState.Succeeded, done?.State);
        Assert.Equal(1, done?.Attempts);
    }

    [Fact]
    public async Task A_shutdown_gives_a_job_back_at_once_even_if_its_handler_does_not_listen()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var held = new Held(rows: 1, listens: false);
        await using var leaving = await CopyJobs.StartAsync(database, held.RunAsync);
        var id = await CopyJobs.EnqueueAsync(leaving, rows: 1);
        await held.EnteredAsync();

        var stopped = leaving.StopAsync();
        await using var other = await CopyJobs.StartAsync(database, (_, _, _) => Task.FromResult(CopyJobs.Done(2)));
        var done = await other.Jobs.WaitAsync("acme", id, CopyJobs.Long, Cancellation);
        var waited = !stopped.IsCompleted;
        held.GoOn();
        await stopped;

        Assert.True(waited);
        Assert.Equal(2, done?.Result?.GetProperty("rows").GetInt32());
        Assert.Equal(2, (await other.Jobs.FindAsync("acme", id, Cancellation))?.Result?.GetProperty("rows").GetInt32());
    }

    [Fact]
    public async Task A_result_is_not_lost_when_the_database_goes_away_just_before_it_is_written()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        using var failed = new LogSignal("could not be written; trying again");
        var runs = 0;
        await using var sample = await CopyJobs.StartAsync(
            database,
            async (_, copy, _) =>
            {
                Interlocked.Increment(ref runs);
                await DatabaseOutage.BeginAsync(database);
                return CopyJobs.Done(copy.Rows);
            },
            services: services => services.AddLogging(log => log.AddProvider(failed)));
        var id = await CopyJobs.EnqueueAsync(sample, rows: 7);

        await failed.Seen;
        await DatabaseOutage.EndAsync(database);
        using var watch = sample.Get<JobBoard>().WatchFor("acme", id);
        await watch.Ended.WaitAsync(CopyJobs.Long, TimeProvider.System, Cancellation);

        var done = await sample.Jobs.FindAsync("acme", id, Cancellation);
        Assert.Equal(7, done?.Result?.GetProperty("rows").GetInt32());
        Assert.Equal(1, runs);
    }

    [Fact]
    public async Task A_tenant_with_many_jobs_does_not_keep_another_waiting()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var order = new ConcurrentQueue<string>();
        await using var idle = CopyJobs.Build(database, (_, _, _) => Task.FromResult(CopyJobs.Done(1)));
        for (var i = 0; i < 5; i++)
        {
            await CopyJobs.EnqueueAsync(idle, rows: 1, tenant: "many");
        }

        var few = await CopyJobs.EnqueueAsync(idle, rows: 1, tenant: "few");
        await using var runner = await CopyJobs.StartAsync(
            database,
            (job, _, _) =>
            {
                order.Enqueue(job.Tenant);
                return Task.FromResult(CopyJobs.Done(1));
            },
            limits: new JobLimits(Concurrency: 1, Attempts: 1));
        await runner.Jobs.WaitAsync("few", few, CopyJobs.Long, Cancellation);

        Assert.Equal(["many", "few"], order.Take(2));
    }

    [Fact]
    public async Task A_process_runs_as_many_of_a_kind_at_once_as_its_limit_says()
    {
        var (running, most) = (0, 0);
        var two = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var sample = await CopyJobs.StartAsync(
            postgres,
            async (_, copy, cancellation) =>
            {
                var now = Interlocked.Increment(ref running);
                InterlockedMax(ref most, now);
                if (now == 2)
                {
                    two.TrySetResult();
                }

                await two.Task.WaitAsync(cancellation);
                Interlocked.Decrement(ref running);
                return CopyJobs.Done(copy.Rows);
            },
            limits: new JobLimits(Concurrency: 2, Attempts: 1));

        var ids = await Task.WhenAll(Enumerable.Range(0, 7).Select(_ => CopyJobs.EnqueueAsync(sample, rows: 1)));
        await Task.WhenAll(ids.Select(id => sample.Jobs.WaitAsync("acme", id, CopyJobs.Long, Cancellation)));

        Assert.Equal(2, most);
    }

    [Fact]
    public async Task Three_replicas_run_each_of_many_jobs_once()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var runs = new ConcurrentDictionary<Guid, int>();
        Task<JobOutcome> RunAsync(JobContext job, Copy copy, CancellationToken cancellation)
        {
            runs.AddOrUpdate(job.JobId, 1, (_, n) => n + 1);
            return Task.FromResult(CopyJobs.Done(copy.Rows));
        }

        await using var idle = CopyJobs.Build(database, RunAsync);
        var ids = new List<(string Tenant, Guid Id)>();
        for (var i = 0; i < 150; i++)
        {
            var tenant = $"t{i % 7}";
            ids.Add((tenant, await CopyJobs.EnqueueAsync(idle, rows: i, tenant)));
        }

        var limits = new JobLimits(Concurrency: 4, Attempts: 1);
        await using var one = await CopyJobs.StartAsync(database, RunAsync, limits: limits);
        await using var two = await CopyJobs.StartAsync(database, RunAsync, limits: limits);
        await using var three = await CopyJobs.StartAsync(database, RunAsync, limits: limits);
        var done = await Task.WhenAll(ids.Select(job => one.Jobs.WaitAsync(job.Tenant, job.Id, CopyJobs.Long, Cancellation)));

        Assert.All(done, job => Assert.Equal(JobState.Succeeded, job?.State));
        Assert.Equal(150, runs.Count);
        Assert.All(runs.Values, count => Assert.Equal(1, count));
    }

    /// <summary>As if so much time had passed since the last beat. Leases go by the database's clock.</summary>
    private static async Task PassAsync(string database, TimeSpan time)
    {
        await using var source = NpgsqlDataSource.Create(database);
        await using var pass = source.CreateCommand("update platform.job set lease_until = lease_until - $1 where state = 'running'");
        pass.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = time });
        Assert.Equal(1, await pass.ExecuteNonQueryAsync(Cancellation));
    }

    private static void InterlockedMax(ref int target, int value)
    {
        for (var seen = target; seen < value;)
        {
            seen = Interlocked.CompareExchange(ref target, value, seen);
        }
    }

    /// <summary>A handler that stays inside until it is let go, or told to stop.</summary>
    private sealed class Held(int rows, bool listens = true)
    {
        private readonly TaskCompletionSource<JobContext> _entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public async Task<JobOutcome> RunAsync(JobContext job, Copy copy, CancellationToken cancellation)
        {
            _entered.TrySetResult(job);
            try
            {
                await _goOn.Task.WaitAsync(listens ? cancellation : CancellationToken.None);
                return CopyJobs.Done(rows);
            }
            catch (OperationCanceledException)
            {
                _cancelled.TrySetResult();
                throw;
            }
        }

        public Task<JobContext> EnteredAsync() => _entered.Task.WaitAsync(TestContext.Current.CancellationToken);

        public Task CancelledAsync() => _cancelled.Task.WaitAsync(TestContext.Current.CancellationToken);

        public void GoOn() => _goOn.TrySetResult();
    }
}

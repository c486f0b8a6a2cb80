using Microsoft.Extensions.Time.Testing;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Work;

/// <summary>Leases and fences without a runner: two that claim, by hand.</summary>
public sealed class JobFenceTests(PostgresFixture postgres)
{
    private const string Exhausted = """{"code":"job.failed","detail":"died"}""";

    private static readonly JobKind[] Kinds = [JobKind.Of<CopyHandler, Copy>("copy", TestJson.Default.Copy, new JobLimits(Concurrency: 1, Attempts: 3))];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_attempt_that_completes_in_its_own_transaction_ends_the_job_with_the_commit_and_not_before()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        var (context, id) = await jobs.ClaimAsync();

        await using (var connection = await jobs.Database.OpenAsync(Cancellation))
        {
            await using (await connection.BeginTransactionAsync(Cancellation))
            {
                await context.CompleteAsync(connection, new Copied(1), TestJson.Default.Copied, Cancellation);
            }

            Assert.Equal(JobState.Running, (await jobs.FindAsync(id))?.State);
            await using var transaction = await connection.BeginTransactionAsync(Cancellation);
            await context.CompleteAsync(connection, new Copied(2), TestJson.Default.Copied, Cancellation);
            await transaction.CommitAsync(Cancellation);
        }

        var done = await jobs.FindAsync(id);
        Assert.Equal(JobState.Succeeded, done?.State);
        Assert.Equal(2, done?.Result?.GetProperty("rows").GetInt32());
    }

    [Fact]
    public async Task An_attempt_that_was_taken_over_can_neither_guard_nor_complete_its_transaction()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        var (first, id) = await jobs.ClaimAsync();
        await jobs.ExpireAsync(JobLeases.Duration);
        await jobs.ReapAsync();
        var (second, _) = await jobs.ClaimAsync(enqueue: false);
        await using var connection = await jobs.Database.OpenAsync(Cancellation);

        await Assert.ThrowsAsync<JobLeaseLostException>(() => first.GuardAsync(connection, Cancellation));
        await Assert.ThrowsAsync<JobLeaseLostException>(() => first.CompleteAsync(connection, new Copied(1), TestJson.Default.Copied, Cancellation));
        await second.GuardAsync(connection, Cancellation);

        Assert.True(second.Fence > first.Fence);
        Assert.Equal(2, second.Attempt);
        Assert.Equal(JobState.Running, (await jobs.FindAsync(id))?.State);
    }

    [Fact]
    public async Task A_replica_whose_clock_is_ahead_or_behind_takes_no_job_that_runs_and_lengthens_no_lease()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        var (claimed, _) = await jobs.ClaimAsync();
        var ahead = new JobLeases(jobs.Database, new FakeTimeProvider(jobs.Clock.GetUtcNow().AddDays(1)), "ahead");
        var behind = new JobLeases(jobs.Database, new FakeTimeProvider(jobs.Clock.GetUtcNow().AddDays(-1)), "behind");

        await ahead.ReapAsync(Kinds, Exhausted, Cancellation);
        Assert.Contains(("acme", claimed.JobId), (await jobs.Leases.BeatAsync([claimed.Claim], Cancellation)).Keys);
        await behind.BeatAsync([claimed.Claim], Cancellation);
        Assert.Null(await ahead.ClaimAsync("copy", Cancellation));
        await ahead.BeatAsync([claimed.Claim], Cancellation);
        await jobs.ExpireAsync(JobLeases.Duration);
        await behind.ReapAsync(Kinds, Exhausted, Cancellation);

        Assert.Equal(JobState.Queued, (await jobs.FindAsync(claimed.JobId))?.State);
    }

    [Fact]
    public async Task A_job_whose_handler_is_inside_a_guarded_transaction_is_not_taken_over_even_when_its_lease_has_ended()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        var (context, id) = await jobs.ClaimAsync();
        await jobs.ExpireAsync(JobLeases.Duration * 2);
        await using var connection = await jobs.Database.OpenAsync(Cancellation);
        await using var transaction = await connection.BeginTransactionAsync(Cancellation);
        await context.GuardAsync(connection, Cancellation);

        await jobs.ReapAsync();
        var beat = await jobs.Leases.BeatAsync([context.Claim], Cancellation);
        var taken = await jobs.Leases.ClaimAsync("copy", Cancellation);
        await context.CompleteAsync(connection, new Copied(1), TestJson.Default.Copied, Cancellation);
        await transaction.CommitAsync(Cancellation);

        Assert.Null(taken);
        Assert.Contains(("acme", id), beat.Keys);
        Assert.Equal(JobState.Succeeded, (await jobs.FindAsync(id))?.State);
    }

    [Fact]
    public async Task A_job_that_kills_every_process_it_runs_in_fails_after_its_last_attempt()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        var (_, id) = await jobs.ClaimAsync();
        for (var attempt = 1; attempt < 3; attempt++)
        {
            await jobs.ExpireAsync(JobLeases.Duration);
            await jobs.ReapAsync();
            await jobs.ClaimAsync(enqueue: false);
        }

        await jobs.ExpireAsync(JobLeases.Duration);
        await jobs.ReapAsync();

        var failed = await jobs.FindAsync(id);
        Assert.Equal(JobState.Failed, failed?.State);
        Assert.Equal("job.failed", failed?.Problem?.Code);
        Assert.Equal(3, failed?.Attempts);
        Assert.Null(await jobs.Leases.ClaimAsync("copy", Cancellation));
    }

    [Fact]
    public async Task A_cancelled_job_whose_runner_died_is_cancelled_and_not_begun_again()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        var (_, id) = await jobs.ClaimAsync();
        await jobs.Host.Jobs.CancelAsync("acme", id, Cancellation);
        await jobs.ExpireAsync(JobLeases.Duration);

        await jobs.ReapAsync();

        Assert.Equal(JobState.Cancelled, (await jobs.FindAsync(id))?.State);
    }

    [Fact]
    public async Task Ended_jobs_are_removed_after_thirty_days_and_others_never()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        var (context, ended) = await jobs.ClaimAsync();
        await jobs.Store.EndAsync(context.Claim, JobState.Succeeded, "{}", problem: null, Cancellation);
        var queued = await CopyJobs.EnqueueAsync(jobs.Host, rows: 1);

        Assert.Equal(0, await jobs.Store.RemoveEndedAsync(10, Cancellation));
        jobs.Clock.Advance(JobStore.Kept + TimeSpan.FromSeconds(1));
        Assert.Equal(1, await jobs.Store.RemoveEndedAsync(10, Cancellation));

        Assert.Null(await jobs.FindAsync(ended));
        Assert.NotNull(await jobs.FindAsync(queued));
    }

    [Fact]
    public async Task Progress_and_results_may_hold_any_text()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        var (context, id) = await jobs.ClaimAsync();

        await jobs.Store.EndAsync(context.Claim, JobState.Succeeded, """{"text":"\u0000\ud800 '; --"}""", problem: null, Cancellation);

        Assert.Equal("""{"text":"\u0000\ud800 '; --"}""", (await jobs.FindAsync(id))?.Result?.GetRawText());
    }

    [Fact]
    public async Task A_claim_among_many_jobs_of_many_tenants_does_not_read_them_all()
    {
        await using var jobs = await Sample.StartAsync(postgres);
        await using (var fill = jobs.Database.DataSource.CreateCommand("""
            insert into platform.job (tenant, id, kind, state, arguments, created_at, created_by)
            select 't' || (n % 20), gen_random_uuid(), 'copy', 'queued', '{"rows":1}', now() - interval '1 day', 'ann' from generate_series(1, 20000) n;
            analyze platform.job
            """))
        {
            await fill.ExecuteNonQueryAsync(Cancellation);
        }

        var before = await RowsReadAsync(jobs.Database);
        for (var i = 0; i < 10; i++)
        {
            Assert.NotNull(await jobs.Leases.ClaimAsync("copy", Cancellation));
        }

        Assert.InRange(await RowsReadAsync(jobs.Database) - before, 1, 20_000);
    }

    // One at a time, so on one session, which the first statement makes tell its counts.
    private static async Task<long> RowsReadAsync(ModuleDatabase database)
    {
        await using (var flush = database.DataSource.CreateCommand("select pg_stat_force_next_flush()"))
        {
            await flush.ExecuteNonQueryAsync(Cancellation);
        }

        await using var read = database.DataSource.CreateCommand(
            "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relid = 'platform.job'::regclass");
        return (long)(await read.ExecuteScalarAsync(Cancellation) ?? 0L);
    }

    private sealed class Sample(SampleHost host, FakeTimeProvider clock) : IAsyncDisposable
    {
        public SampleHost Host { get; } = host;

        public FakeTimeProvider Clock { get; } = clock;

        public ModuleDatabase Database => Host.Database;

        public JobStore Store => Host.Get<JobStore>();

        public JobLeases Leases { get; } = new(host.Database, clock, "by hand");

        public static async Task<Sample> StartAsync(PostgresFixture postgres)
        {
            var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
            return new Sample(CopyJobs.Build(await SampleModule.DatabaseAsync(postgres), (_, _, _) => throw new InvalidOperationException("Nothing runs here."), clock), clock);
        }

        public async Task<(JobContext Context, Guid Id)> ClaimAsync(bool enqueue = true)
        {
            if (enqueue)
            {
                await CopyJobs.EnqueueAsync(Host, rows: 1);
            }

            var claim = await Leases.ClaimAsync("copy", Cancellation);
            Assert.NotNull(claim);
            return (new JobContext(Store, claim), claim.Id);
        }

        public Task ReapAsync() => Leases.ReapAsync(Kinds, Exhausted, Cancellation);

        /// <summary>As if so much time had passed since the last beat. Leases go by the database's clock.</summary>
        public async Task ExpireAsync(TimeSpan silence)
        {
            await using var pass = Database.DataSource.CreateCommand("update platform.job set lease_until = lease_until - $1");
            pass.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = silence });
            await pass.ExecuteNonQueryAsync(Cancellation);
        }

        public Task<Job?> FindAsync(Guid id) => Host.Jobs.FindAsync("acme", id, Cancellation);

        public ValueTask DisposeAsync() => Host.DisposeAsync();
    }
}

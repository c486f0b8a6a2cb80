using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.Platform.Work;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Work;

/// <summary>The loops that run jobs and sweep deadlines outlive what nobody thought of.</summary>
public sealed class LoopTests(PostgresFixture postgres)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_job_runner_that_fails_says_so_and_goes_on()
    {
        await using var sample = CopyJobs.Build(await SampleModule.DatabaseAsync(postgres), (_, copy, _) => Task.FromResult(CopyJobs.Done(copy.Rows)));
        await sample.Get<Migrator>().MigrateAsync(Cancellation);
        var kinds = new JobKinds();
        kinds.Add(JobKind.Of<CopyHandler, Copy>("copy", TestJson.Default.Copy, JobLimits.Default));
        var clock = new BrokenClock(times: 1);
        using var failed = new LogSignal("sample-jobs failed");
        using var logs = LoggerFactory.Create(builder => builder.AddProvider(failed));
        using var runner = new JobRunner(
            sample.Services, sample.Database, sample.Get<JobStore>(), new JobLeases(sample.Database, clock, "by hand"), sample.Get<JobBoard>(), kinds,
            new JobMetrics(sample.MeterFactory), sample.Health, clock, logs.CreateLogger<JobRunner>());
        var id = await CopyJobs.EnqueueAsync(sample, rows: 3);

        await runner.StartAsync(Cancellation);
        await failed.Seen;
        var done = await sample.Jobs.WaitAsync("acme", id, CopyJobs.Long, Cancellation);
        await runner.StopAsync(Cancellation);

        Assert.Equal(JobState.Succeeded, done?.State);
        Assert.Equal(DependencyState.Healthy, sample.Health.Reports.Single(report => report.Name == "sample-jobs").State);
    }

    [Fact]
    public async Task A_sweeper_that_fails_says_so_and_goes_on()
    {
        var due = new DueSample(await SampleModule.DatabaseAsync(postgres), new(TimeProvider.System.GetUtcNow()), (_, _) => Task.CompletedTask);
        await using var sample = due.Host;
        await sample.Get<Migrator>().MigrateAsync(Cancellation);
        await due.SetAsync("T-1", "warn", TimeSpan.Zero);
        var kinds = new DueKinds();
        kinds.Add<DueHandler>("warn");
        using var failed = new LogSignal("sample-deadlines failed");
        using var logs = LoggerFactory.Create(builder => builder.AddProvider(failed));
        using var sweeper = new DueSweeper(
            sample.Services, sample.Database, sample.Get<ModuleLocks>(), new DueStore(sample.Database), kinds, new WakeUp(), sample.Services.GetRequiredService<DueMetrics>(),
            sample.Health, new BrokenClock(times: 1), logs.CreateLogger<DueSweeper>());

        await sweeper.StartAsync(Cancellation);
        await failed.Seen;
        var item = await due.NextAsync();
        await due.EmptyAsync();
        await sweeper.StopAsync(Cancellation);

        Assert.Equal("T-1", item.Entity);
        Assert.Equal(DependencyState.Healthy, sample.Health.Reports.Single(report => report.Name == "sample-deadlines").State);
    }
}

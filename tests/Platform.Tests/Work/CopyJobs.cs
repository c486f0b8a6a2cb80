using System.Text.Json.Serialization;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Work;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Work;

internal delegate Task<JobOutcome> Run(JobContext job, Copy copy, CancellationToken cancellation);

internal sealed class CopyHandler(Run run) : IJobHandler<Copy>
{
    public Task<JobOutcome> RunAsync(JobContext job, Copy arguments, CancellationToken cancellation) => run(job, arguments, cancellation);
}

internal sealed record Copy(int Rows);

internal sealed record Copied(int Rows);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Copy))]
[JsonSerializable(typeof(Copied))]
internal sealed partial class TestJson : JsonSerializerContext;

/// <summary>Jobs of the kind <c>copy</c>, which do what the test says.</summary>
internal static class CopyJobs
{
    public static readonly TimeSpan Long = TimeSpan.FromMinutes(1);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static JobOutcome Done(int rows) => JobOutcome.Success(new Copied(rows), TestJson.Default.Copied);

    public static NewJob New(string tenant, Guid id, int rows) => NewJob.Of(tenant, id, "copy", new Copy(rows), TestJson.Default.Copy, "ann");

    public static async Task<Guid> EnqueueAsync(SampleHost sample, int rows, string tenant = "acme")
    {
        var id = Guid.NewGuid();
        Assert.True(await sample.Jobs.EnqueueAsync(New(tenant, id, rows), Cancellation));
        return id;
    }

    public static async Task<SampleHost> StartAsync(PostgresFixture postgres, Run run, TimeProvider? clock = null, JobLimits? limits = null) =>
        await StartAsync(await SampleModule.DatabaseAsync(postgres), run, clock, limits);

    public static async Task<SampleHost> StartAsync(string database, Run run, TimeProvider? clock = null, JobLimits? limits = null, Action<IServiceCollection>? services = null)
    {
        var sample = Build(database, run, clock, limits, services);
        await sample.StartAsync();
        return sample;
    }

    /// <summary>A replica that is not started: it enqueues and runs nothing.</summary>
    public static SampleHost Build(string database, Run run, TimeProvider? clock = null, JobLimits? limits = null, Action<IServiceCollection>? services = null) =>
        SampleHost.Build(database, clock ?? TimeProvider.System, module =>
        {
            module.Services.AddSingleton(run);
            module.AddJobHandler<CopyHandler, Copy>("copy", TestJson.Default.Copy, limits);
            services?.Invoke(module.Services);
        });

    /// <summary>Looks again whenever an attempt has ended in this replica, until the job is as expected.</summary>
    public static async Task<Job> UntilAsync(SampleHost sample, Guid id, Func<Job, bool> reached)
    {
        using var watch = sample.Get<JobBoard>().WatchFor("acme", id);
        while (true)
        {
            var job = await sample.Jobs.FindAsync("acme", id, Cancellation);
            Assert.NotNull(job);
            if (reached(job))
            {
                return job;
            }

            await watch.Ended.WaitAsync(Long, TimeProvider.System, Cancellation);
            Cancellation.ThrowIfCancellationRequested();
        }
    }
}

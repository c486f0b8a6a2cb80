using Wave16.Testing;
using Xunit.Sdk;

namespace Wave16.Distributed.Tests;

/// <summary>The application with two replicas of each module, a consumer of its events and teams at work, for something to happen to.</summary>
internal static class Scenario
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Starts them, lets what happens happen, and ends them. When it fails, the message names the folder with what the replicas wrote.</summary>
    /// <param name="tries">How often a request is sent before what it met counts as refused.</param>
    /// <param name="happens">And what must hold then.</param>
    /// <param name="teams">At work for some seconds when it happens.</param>
    /// <param name="startWithin">Until every replica is ready.</param>
    /// <param name="previous">The release to start with; null for this one.</param>
    public static async Task RunAsync(int tries, Func<Composition, Watch, Workload, Task> happens, int teams = 6, TimeSpan? startWithin = null, PreviousRelease? previous = null)
    {
        Assert.SkipWhen(RabbitMqServer.IsMissing, RabbitMqServer.MissingBecause ?? "");
        Assert.SkipWhen(RedisServer.IsMissing, "There is no redis-server here: apt-get install --no-install-recommends redis-server");
        await using var composition = new Composition(Composition.ReadManifest());
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            limit.CancelAfter(startWithin ?? Timeout.InfiniteTimeSpan);
            await composition.StartAsync(replicas: 2, previous, limit.Token);

            await using var watch = await Watch.StartAsync(composition, Cancellation);
            using var workload = new Workload(composition, tries);
            if (teams > 0)
            {
                await workload.PrepareAsync(Cancellation);
                workload.Start(teams);
                await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation);
            }

            await happens(composition, watch, workload);
        }
        catch (Exception failure)
        {
            throw new XunitException($"{failure.Message}\nWhat the replicas wrote is in {await composition.KeepOutputAsync()}.", failure);
        }
    }
}

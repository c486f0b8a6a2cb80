using System.Diagnostics;
using System.Net;
using Wave16.VulnCenter.Contracts;

namespace Wave16.Distributed.Tests;

/// <summary>Two replicas of each module, and what an operator's week does to them.</summary>
public sealed class ScenarioTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Two_replicas_of_each_module_are_healthy_within_a_minute()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(60));

        await using var composition = await Composition.StartAsync(replicas: 2, limit.Token);

        foreach (var replica in composition.All)
        {
            var health = await replica.HealthAsync(Cancellation);
            Assert.True(health.GetProperty("status").GetString() == "healthy", $"{replica.Name}: {health}");
        }
    }

    [Fact]
    public async Task Replicas_killed_twenty_times_under_load_lose_nothing_double_nothing_and_are_back_within_half_a_minute()
    {
        await using var composition = await Composition.StartAsync(replicas: 2, Cancellation);
        await using var watch = await Watch.StartAsync(composition, Cancellation);
        using var workload = new Workload(composition, tries: 300);
        await workload.PrepareAsync(Cancellation);
        workload.Start(teams: 6);
        await workload.RateAsync(TimeSpan.FromSeconds(5), Cancellation);
        var before = await workload.RateAsync(TimeSpan.FromSeconds(5), Cancellation);

        var random = new Random(20261128);
        var since = new Stopwatch();
        for (var kill = 1; kill <= 20; kill++)
        {
            await workload.RateAsync(TimeSpan.FromMilliseconds(random.Next(200, 3_000)), Cancellation);
            var replica = composition.All[random.Next(composition.All.Count)];
            await replica.KillAsync();
            since.Restart();
            replica.Start();
            // Now and then the next one dies before this one is back.
            if (kill % 3 > 0 && kill < 20)
            {
                await replica.WhenReadyAsync(Cancellation);
            }
        }

        // Half of the rate: the machine starts a process meanwhile, and has other tests to run.
        while (await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation) is var rate && rate < 0.5 * before)
        {
            Assert.True(since.Elapsed < TimeSpan.FromSeconds(30), $"{before:F0} requests a second before, {rate:F0} {since.Elapsed.TotalSeconds:F0} s after the last kill.");
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{workload.Findings} findings, {workload.Acknowledged} requests, {before:F0}/s before, back {since.Elapsed.TotalSeconds:F0} s after the last kill");
        await workload.StopAsync();
        await composition.WhenReadyAsync(Cancellation);
        await workload.VerifyAsync(Cancellation);
        await watch.HasAsync(VulnCenterEvents.GateRaised, workload.Subjects, Cancellation);
    }

    [Fact]
    public async Task A_replica_that_stands_still_for_twenty_seconds_does_no_harm_when_it_goes_on()
    {
        await using var composition = await Composition.StartAsync(replicas: 2, Cancellation);
        await using var watch = await Watch.StartAsync(composition, Cancellation);
        composition.StartAgainWhatEnds();
        using var workload = new Workload(composition, tries: 300);
        await workload.PrepareAsync(Cancellation);
        workload.Start(teams: 6);
        await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation);

        var still = composition.All[0];
        still.Pause();
        await workload.RateAsync(TimeSpan.FromSeconds(20), Cancellation);
        still.Resume();

        // The others have taken it for dead by now; it learns of that, ends, and is started again. Or it was quick enough.
        await workload.RateAsync(TimeSpan.FromSeconds(10), Cancellation);
        await composition.WhenReadyAsync(Cancellation);
        await IsBackAsync(workload);
        await workload.StopAsync();
        await workload.VerifyAsync(Cancellation);
        await watch.HasAsync(VulnCenterEvents.GateRaised, workload.Subjects, Cancellation);
    }

    [Fact]
    public async Task A_rolling_restart_fails_no_request_of_a_client_that_tries_once_more()
    {
        await using var composition = await Composition.StartAsync(replicas: 2, Cancellation);
        using var workload = new Workload(composition, tries: 2);
        await workload.PrepareAsync(Cancellation);
        workload.Start(teams: 6);
        await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation);

        foreach (var replica in composition.All)
        {
            Assert.Equal(0, await replica.TerminateAsync(Cancellation));
            replica.Start();
            await replica.WhenReadyAsync(Cancellation);
            await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation);
        }

        await workload.StopAsync();
        await workload.VerifyAsync(Cancellation);
    }

    [Fact]
    public async Task PostgreSQL_away_for_twenty_seconds_is_said_at_once_and_survived_without_loss()
    {
        await using var composition = await Composition.StartAsync(replicas: 2, Cancellation);
        using var workload = new Workload(composition, tries: 600);
        await workload.PrepareAsync(Cancellation);
        workload.Start(teams: 6);
        await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation);

        await composition.Postgres.StopAsync(Cancellation);
        var asked = Stopwatch.StartNew();
        using (var client = composition.ClientOf("vuln-center", "acme", "operator"))
        using (var answer = await client.SendAsync(() => new HttpRequestMessage(HttpMethod.Get, "/findings"), tries: 1, Cancellation))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.NotNull(answer.Headers.RetryAfter);
            Assert.True(asked.Elapsed < TimeSpan.FromSeconds(10), $"It took {asked.Elapsed.TotalSeconds:F0} s to say that it cannot.");
        }

        await workload.RateAsync(TimeSpan.FromSeconds(20), Cancellation);
        await composition.Postgres.StartAgainAsync(Cancellation);

        await IsBackAsync(workload);
        await workload.StopAsync();
        await workload.VerifyAsync(Cancellation);
    }

    [Fact]
    public async Task Redis_that_comes_back_empty_loses_the_cluster_and_nothing_else()
    {
        await using var composition = await Composition.StartAsync(replicas: 2, Cancellation);
        composition.StartAgainWhatEnds();
        using var workload = new Workload(composition, tries: 600);
        await workload.PrepareAsync(Cancellation);
        workload.Start(teams: 6);
        await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation);

        await composition.Redis.StopAsync();
        var without = await workload.RateAsync(TimeSpan.FromSeconds(10), Cancellation);
        await composition.Redis.StartAgainAsync(Cancellation);

        Assert.True(without > 0, "Redis holds membership only: work goes on without it.");
        await composition.HaveStartedAgainAsync(Cancellation);
        await IsBackAsync(workload);
        await workload.StopAsync();
        await workload.VerifyAsync(Cancellation);
    }

    [Fact]
    public async Task The_broker_away_for_twenty_seconds_delays_events_and_loses_none()
    {
        await using var composition = await Composition.StartAsync(replicas: 2, Cancellation);
        await using var watch = await Watch.StartAsync(composition, Cancellation);
        using var workload = new Workload(composition, tries: 2);
        await workload.PrepareAsync(Cancellation);
        workload.Start(teams: 6);
        await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation);

        await composition.Broker.StopAsync();
        var without = await workload.RateAsync(TimeSpan.FromSeconds(20), Cancellation);
        await composition.Broker.StartAsync(Cancellation);
        await workload.StopAsync();

        Assert.True(without > 0, "Events wait in the outbox: work goes on without a broker.");
        await workload.VerifyAsync(Cancellation);
        await watch.HasAsync(VulnCenterEvents.GateRaised, workload.Subjects, Cancellation);
    }

    [Fact]
    public async Task A_critical_finding_stands_at_the_gate_is_heard_of_by_other_modules_gets_its_ticket_and_leaves_when_it_is_fixed()
    {
        await using var composition = await Composition.StartAsync(replicas: 2, Cancellation);
        await using var watch = await Watch.StartAsync(composition, Cancellation);
        using var workload = new Workload(composition, tries: 2);

        var finding = await workload.FileAsync("shop-api", "critical");
        await watch.HasAsync(VulnCenterEvents.GateRaised, [finding], Cancellation);
        await workload.TicketAsync(finding);
        await workload.MoveAsync(finding, "triaged");
        await workload.MoveAsync(finding, "fixed");
        await watch.HasAsync(VulnCenterEvents.GateWithdrawn, [finding], Cancellation);

        await workload.VerifyAsync(Cancellation);
        Assert.All(watch.Events, heard => Assert.Equal(("acme", "vuln-center"), (heard.TenantId, heard.Source)));
    }

    [Fact]
    public async Task The_release_before_and_this_one_serve_side_by_side_forward_and_back_without_a_failed_request()
    {
        var manifest = Composition.ReadManifest();
        var previous = await PreviousRelease.BuildAsync(manifest.Projects.Select(manifest.ProjectFile), Cancellation);
        if (previous is null)
        {
            TestContext.Current.AddWarning("This clone has no history: the release before is played by this one.");
        }

        await using var composition = await Composition.StartAsync(replicas: 2, Cancellation, previous);
        using var workload = new Workload(composition, tries: 2);
        await workload.PrepareAsync(Cancellation);
        workload.Start(teams: 6);
        await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation);

        foreach (var replica in composition.All)
        {
            await ReplaceAsync(replica, replica.Upgrade);
            await ReplaceAsync(replica, replica.RollBack);
            await ReplaceAsync(replica, replica.Upgrade);
        }

        await workload.StopAsync();
        await workload.VerifyAsync(Cancellation);

        async Task ReplaceAsync(Replica replica, Action become)
        {
            Assert.Equal(0, await replica.TerminateAsync(Cancellation));
            become();
            replica.Start();
            await replica.WhenReadyAsync(Cancellation);
            Assert.True(await workload.RateAsync(TimeSpan.FromSeconds(3), Cancellation) > 0, "Nobody was served by the two together.");
        }
    }

    /// <summary>Within a minute somebody is served, also where other tests have the machine.</summary>
    private static async Task IsBackAsync(Workload workload)
    {
        var since = Stopwatch.StartNew();
        while (await workload.RateAsync(TimeSpan.FromSeconds(1), Cancellation) == 0)
        {
            Assert.True(since.Elapsed < TimeSpan.FromSeconds(60), "Nothing was served in a minute.");
        }
    }
}

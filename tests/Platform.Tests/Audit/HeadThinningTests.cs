using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Audit;

namespace Wave16.Platform.Tests.Audit;

[Collection(AuditCluster.Name)]
public sealed class HeadThinningTests(AuditCluster cluster)
{
    private static readonly DateTimeOffset Start = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Of_heads_older_than_a_day_the_last_of_each_hour_is_kept()
    {
        var clock = new FakeTimeProvider(Start);
        await using var sample = await AuditSample.StartAsync(cluster, clock);
        await SealEveryAsync(sample, clock, TimeSpan.FromMinutes(20), times: 3 * 26);

        var removed = await ThinAsync(sample);

        // It is 14:00 on the next day, an instant after the last head: 12:00 to 14:00 of the first day are over by a day.
        Assert.Equal(4, removed);
        Assert.Equal([3, 6, 7, 8, 9], (await HeadsAsync(sample)).Take(5));
        Assert.Equal(3 * 26, (await HeadsAsync(sample))[^1]);
        Assert.Equal(0, await ThinAsync(sample));
    }

    [Fact]
    public async Task An_hour_is_thinned_only_when_all_of_it_is_over_by_a_day()
    {
        var clock = new FakeTimeProvider(Start);
        await using var sample = await AuditSample.StartAsync(cluster, clock);
        await SealEveryAsync(sample, clock, TimeSpan.FromMinutes(20), times: 3);

        clock.SetUtcNow(Start.AddDays(1).AddMinutes(59));
        Assert.Equal(0, await ThinAsync(sample));
        clock.SetUtcNow(Start.AddDays(1).AddMinutes(60));
        Assert.Equal(2, await ThinAsync(sample));
    }

    [Fact]
    public async Task The_latest_head_stays_however_old_it_is_and_the_log_stays_intact()
    {
        var clock = new FakeTimeProvider(Start);
        await using var sample = await AuditSample.StartAsync(cluster, clock);
        await SealEveryAsync(sample, clock, TimeSpan.FromMinutes(7), times: 20);
        clock.Advance(TimeSpan.FromDays(400));

        await ThinAsync(sample);

        Assert.Equal([9, 18, 20], await HeadsAsync(sample));
        var report = await sample.VerifyAsync();
        Assert.True(report.Intact);
        Assert.Equal((20, 3), (report.TreeSize, report.HeadsChecked));
        // A change is still found, between the heads that are left.
        await sample.ExecuteAsync("update platform.audit_entry set hash = sha256('forged') where seq = 12");
        Assert.Contains(await FoundAsync(), found => found == (AuditProblemKind.RootMismatch, 9));

        async Task<IEnumerable<(AuditProblemKind, long?)>> FoundAsync() => (await sample.VerifyAsync()).Problems.Select(problem => (problem.Kind, problem.Seq));
    }

    [Fact]
    public async Task Whoever_kept_a_head_that_is_gone_can_still_have_it_compared()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        using var auditor = AuditWeb.Auditor();
        await web.FillAsync();
        var kept = auditor.Open((await web.GetAsync("/audit/sample/consistency?from=1&to=8")).Json.GetProperty("checkpoint").GetString() ?? "");
        web.Clock.Advance(TimeSpan.FromDays(2));

        // Or the server's own housekeeping was faster.
        await ThinAsync(web.Log);

        Assert.Equal([12], await HeadsAsync(web.Log));
        var consistency = (await web.GetAsync("/audit/sample/consistency?from=8")).Json;
        var now = auditor.Open(consistency.GetProperty("checkpoint").GetString() ?? "");
        Assert.NotNull(kept);
        Assert.NotNull(now);
        Assert.Equal(12, now.Size);
        Assert.True(OfflineAuditor.Extends(kept, now, VerifyHttpTests.Hashes(consistency, "proof")));
    }

    [Fact]
    public async Task The_housekeeping_thins_heads()
    {
        var clock = new FakeTimeProvider(Start);
        await using var before = await AuditSample.StartAsync(cluster, clock);
        await SealEveryAsync(before, clock, TimeSpan.FromMinutes(20), times: 3);
        clock.Advance(TimeSpan.FromDays(2));
        await using var heads = await TableChanges.ListenAsync(before.ConnectionString, "platform.audit_head", "select where (select count(*) from platform.audit_head) = 1");

        await using var sample = await SampleHost.StartAsync(before.ConnectionString, clock, _ => { });

        await heads.UntilAsync();
    }

    private static async Task SealEveryAsync(AuditSample sample, FakeTimeProvider clock, TimeSpan interval, int times)
    {
        for (var i = 0; i < times; i++)
        {
            await sample.InsertLeavesAsync(i, i);
            await sample.SealAsync();
            clock.Advance(interval);
        }
    }

    private static Task<int> ThinAsync(AuditSample sample) => sample.Host.Get<HeadThinning>().RemoveSupersededAsync(1000, Cancellation);

    private static async Task<List<long>> HeadsAsync(AuditSample sample) =>
        [.. (await sample.ScalarAsync<long[]>("select array_agg(tree_size order by tree_size) from platform.audit_head"))];
}

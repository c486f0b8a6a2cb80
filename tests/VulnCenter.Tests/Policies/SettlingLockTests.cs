using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Tests.Dedup;
using Wave16.VulnCenter.Tests.Groups;

namespace Wave16.VulnCenter.Tests.Policies;

/// <summary>
/// Who judges everything anew after a change of what findings are settled by, does so when all have ended who may have read what
/// was before: each of the ways to settle findings is stopped between reading that and committing.
/// </summary>
public sealed class SettlingLockTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    // History is written after policies and feeds were read, and the row is changed after its lock was taken.
    private const string History = "lock table vuln_center.transition in share mode";
    private const string Rows = "select from vuln_center.finding where tenant = $1 for update";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("import", History)]
    [InlineData("status", History)]
    [InlineData("unmerge", History)]
    [InlineData("recomputation", History)]
    [InlineData("feed", Rows)]
    public async Task A_recomputation_waits_for_what_settles_findings(string act, string stop)
    {
        var tenant = $"settling-{act}";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(DedupCalls.Sca("1.0.0", "critical", more: Named), DedupCalls.Sca("2.0.0", "critical", more: Named));
        var finding = await client.OnlyFindingAsync();
        await using var blocker = new NpgsqlConnection(host.Database);
        await blocker.OpenAsync(Cancellation);
        await using var stopped = await blocker.BeginTransactionAsync(Cancellation);
        await ExecuteAsync(blocker, stop, tenant);
        var acting = ActAsync(client, act, finding);
        await UntilSomebodyWaitsForAsync(blocker);

        var clock = new Standstill();
        var waiting = new SettlingLock(host.Module.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName), clock).WaitAsync(tenant, Cancellation);

        Assert.Same(clock.Asked, await Task.WhenAny(clock.Asked, waiting));
        await stopped.RollbackAsync(Cancellation);
        await acting;
        clock.Pass();
        await waiting;
    }

    [Fact]
    public async Task What_an_import_settles_by_the_policy_before_is_settled_by_the_one_that_came_meanwhile()
    {
        const string tenant = "settling-policy";
        using var client = await host.OperatorAsync(tenant);
        await using var blocker = new NpgsqlConnection(host.Database);
        await blocker.OpenAsync(Cancellation);
        await using var stopped = await blocker.BeginTransactionAsync(Cancellation);
        await ExecuteAsync(blocker, History, tenant);
        var importing = client.ImportOneAsync("shop", "critical");
        await UntilSomebodyWaitsForAsync(blocker);

        var changed = await PutPolicyAsync(client);
        var clock = new Standstill();
        var waiting = new SettlingLock(host.Module.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName), clock).WaitAsync(tenant, Cancellation);
        // Without the lock the recomputation finds nothing, and has ended before the finding is there.
        if (await Task.WhenAny(clock.Asked, waiting) == waiting)
        {
            await EndedAsync(client, changed);
        }

        await stopped.RollbackAsync(Cancellation);
        await importing;

        Assert.Equal((1L, 1L), await EndedAsync(client, changed) is var ended ? (ended.Seen, ended.Changed) : default);
        Assert.Equal("ours", (await client.OnlyFindingAsync()).Sla.Policy);
        clock.Pass();
        await waiting;
    }

    private const string Named = """{"identifiers":["CVE-2024-0001"]}""";

    private static async Task ActAsync(HttpClient client, string act, Finding finding)
    {
        switch (act)
        {
            case "import":
                await client.ShowAsync(DedupCalls.Sca("3.0.0", "critical", "other.json"));
                break;
            case "status":
                using (var moved = await client.MoveAsync(finding.Id, new { status = "triaged" }, "*"))
                {
                    moved.EnsureSuccessStatusCode();
                }

                break;
            case "unmerge":
                await client.UnmergeAsync(finding.Id, identity => identity.ComponentVersion == "2.0.0");
                break;
            case "recomputation":
                await EndedAsync(client, await PutPolicyAsync(client));
                break;
            case "feed":
                await client.FeedAsync("epss", GroupCalls.Epss("2026-01-02", ("CVE-2024-0001", 0.5)));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(act));
        }
    }

    private static async Task<Recomputation?> PutPolicyAsync(HttpClient client)
    {
        using var answer = await client.SendAsync(
            HttpMethod.Put, "/findings/policies/sla", new SlaPolicies("ours", Policies: [new SlaPolicy("ours", [new SlaRule(2)])]), "*");
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(Cancellation));
        return (await answer.ReadAsync<PolicyView<SlaPolicies>>()).Recomputation;
    }

    private static async Task<Recomputation> EndedAsync(HttpClient client, Recomputation? started)
    {
        while (await client.GetFromJsonAsync<Recomputation>($"/findings/recomputations/{started?.Id}", VulnCenterCalls.Json, Cancellation) is { } now)
        {
            if (now.State is not ("queued" or "running"))
            {
                Assert.Equal("succeeded", now.State);
                return now;
            }
        }

        throw new InvalidOperationException("No recomputation.");
    }

    private static async Task UntilSomebodyWaitsForAsync(NpgsqlConnection blocker)
    {
        await using var look = new NpgsqlCommand("select exists (select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid)))", blocker);
        while (await look.ExecuteScalarAsync(Cancellation) is not true)
        {
            Cancellation.ThrowIfCancellationRequested();
        }
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, string tenant)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        if (sql.Contains("$1", StringComparison.Ordinal))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        }

        await command.ExecuteNonQueryAsync(Cancellation);
    }

    /// <summary>A clock on which nothing comes due until it is let pass, and which says when somebody begins to wait by it.</summary>
    private sealed class Standstill : TimeProvider
    {
        private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _passed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Asked => _asked.Task;

        public void Pass() => _passed.TrySetResult();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _ = _passed.Task.ContinueWith(_ => timer.Change(TimeSpan.Zero, Timeout.InfiniteTimeSpan), TaskScheduler.Default);
            _asked.TrySetResult();
            return timer;
        }
    }
}

using System.Security.Cryptography;
using System.Text.Json;
using Npgsql;
using Wave16.Platform.Audit;

namespace Wave16.Platform.Tests.Audit;

/// <summary><c>GET /audit/{module}/verify</c>: the report over HTTP. What each check finds is in <see cref="VerifyTests"/>.</summary>
[Collection(AuditCluster.Name)]
public sealed class VerifyHttpTests(AuditCluster cluster)
{
    private const string Verify = "/audit/sample/verify";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_untouched_log_is_intact_and_its_checkpoint_is_signed()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();

        var report = (await web.GetAsync(Verify)).Json;

        Assert.True(report.GetProperty("intact").GetBoolean());
        Assert.Equal(
            ("sample", 12, 12, 3, 0, 0),
            (report.GetProperty("module").GetString(), Number(report, "treeSize"), Number(report, "leavesChecked"), Number(report, "headsChecked"),
                Number(report, "problemCount"), report.GetProperty("problems").GetArrayLength()));
        using var auditor = AuditWeb.Auditor();
        var head = auditor.Open(report.GetProperty("checkpoint").GetString() ?? "");
        Assert.NotNull(head);
        Assert.Equal(report.GetProperty("rootHash").GetString(), Convert.ToHexStringLower(head.Root));
    }

    [Fact]
    public async Task The_unsealed_tails_age_grows_until_it_is_sealed()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        await web.Log.SaveAsync("T-4", versions: 2);

        Assert.Equal((2, 30), Tail((await web.GetAsync(Verify)).Json));
        web.Clock.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal((2, 90), Tail((await web.GetAsync(Verify)).Json));
        await web.Log.SealAsync();
        Assert.Equal((0, 0), Tail((await web.GetAsync(Verify)).Json));

        static (long, double) Tail(JsonElement report) => (Number(report.GetProperty("unsealed"), "count"), report.GetProperty("unsealed").GetProperty("ageSeconds").GetDouble());
    }

    public static TheoryData<string, string, string> Tampering => new()
    {
        { "a leaf's content", """update platform.audit_leaf set canonical = replace(canonical, 'ann', 'bob') where id = (select leaf_id from platform.audit_entry where seq = 5)""", "content-changed 5, column-changed 5" },
        { "an entry", "update platform.audit_entry set hash = sha256('forged') where seq = 5", "hash-changed 5, root-mismatch 4, sealer-state-changed " },
        { "a leaf that is removed", "delete from platform.audit_leaf where id = (select leaf_id from platform.audit_entry where seq = 5)", "leaf-missing 5, chain-broken 6" },
        {
            "a tail that is cut off with its head", "delete from platform.audit_entry where seq >= 8; delete from platform.audit_head where tree_size > 8",
            "sealer-state-changed , head-missing 8, leaf-not-in-log , leaf-not-in-log , leaf-not-in-log , leaf-not-in-log "
        },
        { "a tail that is cut off below its head", "delete from platform.audit_entry where seq >= 8; delete from platform.audit_leaf where entity = 'ticket/T-3'", "entry-missing 8, sealer-state-changed " },
        { "a head of a key that is not ours", "update platform.audit_head set key_id = repeat('ab', 32) where tree_size = 8", "key-unknown " },
        { "a head whose signature is another's", "update platform.audit_head h set signature = o.signature from platform.audit_head o where h.tree_size = 8 and o.tree_size = 4", "signature-invalid " },
    };

    [Theory]
    [MemberData(nameof(Tampering))]
    public async Task Tampering_is_found_and_named(string with, string sql, string found)
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        await web.Log.ExecuteAsync(sql);

        var report = (await web.GetAsync(Verify)).Json;

        Assert.False(report.GetProperty("intact").GetBoolean(), with);
        Assert.Equal(found, string.Join(", ", report.GetProperty("problems").EnumerateArray().Select(problem =>
            $"{problem.GetProperty("kind").GetString()} {(problem.TryGetProperty("seq", out var seq) ? seq.ToString() : "")}")));
    }

    [Fact]
    public async Task A_forked_head_that_our_own_key_signed_is_found_by_its_root()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        await SignHeadAsync(web, size: 8, root: SHA256.HashData("another history"u8));

        var report = (await web.GetAsync(Verify)).Json;

        var problem = Assert.Single(report.GetProperty("problems").EnumerateArray());
        Assert.Equal(("root-mismatch", 4), (problem.GetProperty("kind").GetString(), Number(problem, "seq")));
    }

    /// <summary>Who has the database and the key can write another history that is intact; whoever kept a head of the first one sees it.</summary>
    [Fact]
    public async Task A_history_rewritten_with_our_own_key_does_not_extend_the_head_that_an_auditor_kept()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        using var auditor = AuditWeb.Auditor();
        var kept = auditor.Open((await web.GetAsync("/audit/sample/checkpoint")).Text);
        Assert.NotNull(kept);
        await web.Log.ExecuteAsync("""
            truncate platform.audit_leaf, platform.audit_entry, platform.audit_node, platform.audit_head;
            update platform.audit_sealer set xid = '0', leaf_id = 0, tree_size = 0, frontier = '{}';
            delete from sample.ticket;
            """);
        await web.Log.SaveAsync("T-0", versions: 13);
        await web.Log.SealAsync();

        Assert.True((await web.GetAsync(Verify)).Json.GetProperty("intact").GetBoolean());
        var consistency = (await web.GetAsync("/audit/sample/consistency?from=12")).Json;
        var now = auditor.Open(consistency.GetProperty("checkpoint").GetString() ?? "");
        Assert.NotNull(now);
        Assert.False(OfflineAuditor.Extends(kept, now, Hashes(consistency, "proof")));
    }

    [Fact]
    public async Task A_log_cut_off_without_a_trace_is_shorter_than_the_head_that_an_auditor_kept()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.Log.SaveAsync("T-1", versions: 4);
        await web.Log.SealAsync();
        var (frontier, leaf, xid) = (
            await web.Log.ScalarAsync<string>("select frontier::text from platform.audit_sealer"), await web.Log.ScalarAsync<long>("select leaf_id from platform.audit_sealer"),
            await web.Log.ScalarAsync<string>("select xid::text from platform.audit_sealer"));
        await web.Log.SaveAsync("T-2", versions: 4);
        await web.Log.SealAsync();
        await web.Log.ExecuteAsync($"""
            delete from platform.audit_entry where seq >= 4; delete from platform.audit_head where tree_size > 4;
            delete from platform.audit_leaf where entity = 'ticket/T-2'; delete from sample.ticket where id = 'T-2';
            update platform.audit_sealer set xid = '{xid}', leaf_id = {leaf}, tree_size = 4, frontier = '{frontier}';
            """);

        Assert.True((await web.GetAsync(Verify)).Json.GetProperty("intact").GetBoolean());
        var consistency = await web.GetAsync("/audit/sample/consistency?from=8");
        Assert.Equal((409, "audit.log-shorter"), (consistency.Status, consistency.Code));
    }

    [Fact]
    public async Task One_verification_runs_at_a_time_and_one_that_is_given_up_makes_room()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        await using var blocker = new NpgsqlConnection(web.Log.ConnectionString);
        await blocker.OpenAsync(Cancellation);
        await using var blocking = await blocker.BeginTransactionAsync(Cancellation);
        await using (var block = new NpgsqlCommand("lock table platform.audit_entry in access exclusive mode", blocker))
            await block.ExecuteNonQueryAsync(Cancellation);

        using var impatience = new CancellationTokenSource();
        var first = web.SendAsync(Verify, impatience.Token);
        await BlockedAsync(blocker, waiting: true);
        var second = await web.GetAsync(Verify);
        await impatience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        // The server has told PostgreSQL to stop, although nothing has come of it yet that could be read.
        await BlockedAsync(blocker, waiting: false);
        await blocking.RollbackAsync(Cancellation);
        var third = await web.GetAsync(Verify);
        while (third.Status == 429)
            third = await web.GetAsync(Verify);

        Assert.Equal((429, "audit.verify-running", 10), (second.Status, second.Code, second.RetryAfter?.TotalSeconds));
        Assert.True(third.Json.GetProperty("intact").GetBoolean());
    }

    // Asks the server until a session waits for this one, or none does; each question is a round trip.
    private static async Task BlockedAsync(NpgsqlConnection blocker, bool waiting)
    {
        await using var look = new NpgsqlCommand("select exists (select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid)))", blocker);
        while (await look.ExecuteScalarAsync(Cancellation) as bool? != waiting)
            Cancellation.ThrowIfCancellationRequested();
    }

    private static async Task SignHeadAsync(AuditWeb web, long size, byte[] root)
    {
        using var key = ECDsa.Create();
        key.ImportFromPem(SampleHost.AuditKey);
        var at = DateTimeOffset.FromUnixTimeMilliseconds(1_772_366_400_000);
        var head = new Checkpoint(Checkpoint.OriginOf("sample", web.Log.Database.Epoch.Token), size, root, at);
        await web.Log.ExecuteAsync($"""
            update platform.audit_head set root_hash = '\x{Convert.ToHexString(root)}', signed_at = '{at:O}', signature = '\x{Convert.ToHexString(AuditKeys.Sign(key, head.SignedBytes))}'
            where tree_size = {size}
            """);
    }

    private static long Number(JsonElement json, string member) => json.GetProperty(member).GetInt64();

    internal static List<byte[]> Hashes(JsonElement json, string member) => [.. json.GetProperty(member).EnumerateArray().Select(hash => Convert.FromHexString(hash.GetString() ?? ""))];
}

using System.Text.Json;
using Wave16.Platform.Audit;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Store;

namespace Wave16.Platform.Tests.Audit;

[Collection(AuditCluster.Name)]
public sealed class VerifyTests(AuditCluster cluster)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_untouched_log_is_intact()
    {
        await using var sample = await LogAsync();

        var report = await sample.VerifyAsync();

        Assert.True(report.Intact);
        Assert.Empty(report.Problems);
        Assert.Equal((12, 12, 3), (report.TreeSize, report.LeavesChecked, report.HeadsChecked));
        Assert.Equal(new UnsealedLeaves(0, OldestAt: null, AgeSeconds: 0), report.Unsealed);
    }

    [Fact]
    public async Task An_empty_log_is_intact()
    {
        await using var sample = await AuditSample.StartAsync(cluster);

        var report = await sample.VerifyAsync();

        Assert.True(report.Intact);
        Assert.Equal((0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", null), (report.TreeSize, report.RootHash, report.Checkpoint));
    }

    [Fact]
    public async Task Changed_content_is_found()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync($"update platform.audit_leaf set canonical = replace(canonical, '\"actor\":\"ann\"', '\"actor\":\"bob\"') where id = {await LeafAsync(sample, 5)}");

        var report = await sample.VerifyAsync();

        Assert.False(report.Intact);
        Assert.Equal([(AuditProblemKind.ContentChanged, 5), (AuditProblemKind.ColumnChanged, 5)], Found(report));
        Assert.All(report.Problems, problem => Assert.Equal("ticket/T-2", problem.Entity));
    }

    [Theory]
    [InlineData("actor = 'bob'", "actor")]
    [InlineData("action = 'ticket.close'", "action")]
    [InlineData("at = at + interval '1 second'", "at")]
    [InlineData("covers = 'ticket'", "covers")]
    [InlineData("tenant = 'other'", "tenant")]
    public async Task A_column_that_is_searched_and_says_something_else_than_the_content_is_found(string change, string column)
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync($"update platform.audit_leaf set {change} where id = {await LeafAsync(sample, 11)}");

        var report = await sample.VerifyAsync(column == "tenant" ? "other" : "acme");

        Assert.Contains(report.Problems, problem => (problem.Kind, problem.Seq) == (AuditProblemKind.ColumnChanged, 11) && problem.Detail.Contains(column, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Content_changed_together_with_its_hash_is_found_in_the_log_and_in_the_entitys_chain()
    {
        await using var sample = await LogAsync();
        await ForgeAsync(sample, 5);

        Assert.Equal([(AuditProblemKind.HashChanged, 5), (AuditProblemKind.ChainBroken, 6)], Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task Content_changed_together_with_its_hash_here_and_in_the_log_is_found_between_two_signed_heads()
    {
        await using var sample = await LogAsync();
        await ForgeAsync(sample, 5);
        await sample.ExecuteAsync($"update platform.audit_entry e set hash = l.hash from platform.audit_leaf l where l.id = e.leaf_id and e.seq = 5");

        var report = await sample.VerifyAsync();

        Assert.Equal([(AuditProblemKind.RootMismatch, 4), (AuditProblemKind.ChainBroken, 6), (AuditProblemKind.SealerStateChanged, null)], Found(report));
        Assert.Contains("Entries 4 to 7 do not hash", Assert.Single(report.Problems, problem => problem.Kind is AuditProblemKind.RootMismatch).Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_log_rewritten_to_the_last_hash_and_root_is_found_by_its_signature()
    {
        await using var sample = await LogAsync();
        await ForgeAsync(sample, 11);
        await sample.ExecuteAsync("update platform.audit_entry e set hash = l.hash from platform.audit_leaf l where l.id = e.leaf_id and e.seq = 11");
        var tree = new MerkleFrontier();
        foreach (var hash in await sample.HashesAsync())
            tree.Append(hash);
        await sample.ExecuteAsync($"update platform.audit_head set root_hash = '\\x{Convert.ToHexString(tree.Root())}' where tree_size = 12");
        await sample.ExecuteAsync($"update platform.audit_sealer set frontier = array['{string.Join("','", tree.Subtrees.Select(hash => "\\x" + Convert.ToHexString(hash)))}']::bytea[]");

        var report = await sample.VerifyAsync();

        var problem = Assert.Single(report.Problems);
        Assert.Equal(AuditProblemKind.SignatureInvalid, problem.Kind);
        Assert.Contains("12 leaves", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_head_signed_with_a_key_that_is_not_ours_is_found()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync("update platform.audit_head set key_id = repeat('ab', 32) where tree_size = 8");

        Assert.Equal([(AuditProblemKind.KeyUnknown, null)], Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task A_deleted_leaf_is_found_in_the_log_and_in_the_entitys_chain()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync($"delete from platform.audit_leaf where id = {await LeafAsync(sample, 5)}");

        Assert.Equal([(AuditProblemKind.LeafMissing, 5), (AuditProblemKind.ChainBroken, 6)], Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task A_leaf_deleted_together_with_its_entry_is_found()
    {
        await using var sample = await LogAsync();
        var leaf = await LeafAsync(sample, 5);
        await sample.ExecuteAsync($"delete from platform.audit_entry where seq = 5; delete from platform.audit_leaf where id = {leaf}");

        Assert.Equal([(AuditProblemKind.EntryMissing, 5), (AuditProblemKind.ChainBroken, 6)], Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task The_last_entries_deleted_with_their_head_are_found_and_their_leaves_named()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync("delete from platform.audit_entry where seq >= 8; delete from platform.audit_head where tree_size > 8");

        var report = await sample.VerifyAsync();

        Assert.Equal(4, report.Problems.Count(problem => problem.Kind is AuditProblemKind.LeafNotInLog && problem.Entity == "ticket/T-3"));
        Assert.Equal(
            [AuditProblemKind.SealerStateChanged, AuditProblemKind.HeadMissing],
            report.Problems.Select(problem => problem.Kind).Where(kind => kind is not AuditProblemKind.LeafNotInLog));
    }

    [Fact]
    public async Task The_last_entries_deleted_without_their_head_are_found()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync("delete from platform.audit_entry where seq >= 8; delete from platform.audit_leaf where entity = 'ticket/T-3'");

        Assert.Contains((AuditProblemKind.EntryMissing, 8), Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task Two_entries_that_changed_places_are_found_and_named()
    {
        await using var sample = await LogAsync();
        foreach (var (from, to) in new[] { (5, 1005), (6, 5), (1005, 6) })
            await sample.ExecuteAsync($"update platform.audit_entry set seq = {to} where seq = {from}");

        var report = await sample.VerifyAsync();

        Assert.Contains((AuditProblemKind.OutOfOrder, 6), Found(report));
        Assert.Contains((AuditProblemKind.RootMismatch, 4), Found(report));
    }

    [Fact]
    public async Task Two_leaves_that_changed_places_behind_their_entries_are_found()
    {
        await using var sample = await LogAsync();
        var (first, second) = (await LeafAsync(sample, 5), await LeafAsync(sample, 6));
        await sample.ExecuteAsync($"delete from platform.audit_entry where seq in (5, 6)");
        await sample.ExecuteAsync($"insert into platform.audit_entry select 5, id, hash from platform.audit_leaf where id = {second}");
        await sample.ExecuteAsync($"insert into platform.audit_entry select 6, id, hash from platform.audit_leaf where id = {first}");

        Assert.Contains((AuditProblemKind.OutOfOrder, 6), Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task A_forged_entry_at_the_end_is_found()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync("insert into platform.audit_entry (seq, leaf_id, hash) values (12, 4711, sha256('forged'))");

        Assert.Equal(
            [(AuditProblemKind.LeafMissing, 12), (AuditProblemKind.EntryUnsigned, 12), (AuditProblemKind.SealerStateChanged, null)],
            Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task A_forged_entry_far_beyond_the_end_is_found_without_counting_up_to_it()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync("insert into platform.audit_entry (seq, leaf_id, hash) values (9000000000000000, 4711, sha256('forged'))");

        Assert.Contains((AuditProblemKind.EntryMissing, 12), Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task A_forged_leaf_that_claims_to_be_older_than_the_log_is_found()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync("""
            insert into platform.audit_leaf (epoch, xid, tenant, entity, entity_version, at, actor, action, canonical, hash)
            select epoch, xid, tenant, 'ticket/T-9', entity_version, at, actor, action, canonical, hash from platform.audit_leaf where entity = 'ticket/T-1' and entity_version = 1
            """);

        var report = await sample.VerifyAsync();

        Assert.Equal([(AuditProblemKind.LeafNotInLog, null)], Found(report));
        Assert.Equal("ticket/T-9", Assert.Single(report.Problems).Entity);
    }

    [Fact]
    public async Task A_forged_leaf_at_the_end_that_leaves_the_entitys_chain_is_found_before_and_after_it_is_sealed()
    {
        await using var sample = await LogAsync();
        var forged = TicketStore.Change("T-1", 5) with { PreviousAuditHash = new byte[32] };
        var canonical = AuditLeaf.Canonical(forged);
        await sample.ExecuteAsync($"""
            insert into platform.audit_leaf (epoch, tenant, entity, entity_version, at, actor, action, canonical, hash)
            values (1, 'acme', 'ticket/T-1', 5, '2026-03-01T12:00:00Z', 'ann', 'ticket.rename', '{canonical}', '\x{Convert.ToHexString(AuditLeaf.Hash(canonical))}')
            """);

        Assert.Equal([(AuditProblemKind.ChainBroken, null)], Found(await sample.VerifyAsync()));
        await sample.SealAsync();
        Assert.Equal([(AuditProblemKind.ChainBroken, 12)], Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task A_second_leaf_of_one_version_is_found()
    {
        await using var sample = await LogAsync();
        await sample.ExecuteAsync("""
            insert into platform.audit_leaf (epoch, tenant, entity, entity_version, at, actor, action, canonical, hash)
            select epoch, tenant, entity, entity_version, at, actor, action, canonical, hash from platform.audit_leaf where entity = 'ticket/T-1' and entity_version = 4
            """);

        Assert.Equal([(AuditProblemKind.ChainForked, 3), (AuditProblemKind.ChainForked, null)], Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task A_chain_that_starts_anew_is_found()
    {
        await using var sample = await LogAsync();
        await sample.Tickets.SaveAsync("again", TicketStore.Change("T-1", 5), Cancellation);

        Assert.Equal([(AuditProblemKind.ChainBroken, null)], Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task A_changed_subtree_hash_is_found()
    {
        await using var sample = await AuditSample.StartAsync(cluster);
        await sample.InsertLeavesAsync(1, 600);
        await sample.SealAsync();
        await sample.ExecuteAsync("update platform.audit_node set hash = sha256('forged') where level = 8 and index = 1");

        Assert.Equal([(AuditProblemKind.SubtreeChanged, 256)], Found(await sample.VerifyAsync()));
    }

    [Fact]
    public async Task Leaves_of_another_tenant_are_counted_and_not_shown()
    {
        await using var sample = await LogAsync();
        await ForgeAsync(sample, 5);

        var report = await sample.VerifyAsync("other");

        Assert.False(report.Intact);
        Assert.Equal(2, report.ProblemCount);
        Assert.All(report.Problems, problem => Assert.Equal((null, "A leaf of another tenant."), (problem.Entity, problem.Detail)));
    }

    [Fact]
    public async Task The_unsealed_tail_is_checked_and_told()
    {
        await using var sample = await LogAsync();
        await sample.SaveAsync("T-4", versions: 2);

        var report = await sample.VerifyAsync();

        Assert.True(report.Intact);
        Assert.Equal((12, 14, 2), (report.TreeSize, report.LeavesChecked, report.Unsealed.Count));
        Assert.Equal(TicketStore.Change("T-4", 1).At, report.Unsealed.OldestAt);
        Assert.True(report.Unsealed.AgeSeconds > 0);
    }

    [Fact]
    public async Task An_entity_changed_by_a_set_based_write_goes_on_from_the_covering_leaf()
    {
        await using var sample = await LogAsync();
        var covering = await CoverAsync(sample, "ticket");

        await sample.Tickets.SaveAsync("after", TicketStore.Change("T-1", 6) with { PreviousAuditHash = covering }, Cancellation);
        await sample.SealAsync();

        Assert.Empty((await sample.VerifyAsync()).Problems);
    }

    [Fact]
    public async Task A_covering_leaf_of_another_kind_covers_nothing()
    {
        await using var sample = await LogAsync();
        var covering = await CoverAsync(sample, "finding");

        await sample.Tickets.SaveAsync("after", TicketStore.Change("T-1", 6) with { PreviousAuditHash = covering }, Cancellation);

        Assert.Equal([(AuditProblemKind.ChainBroken, null)], Found(await sample.VerifyAsync()));
    }

    /// <summary>Three tickets of four versions each, a signed head after each ticket.</summary>
    private async Task<AuditSample> LogAsync()
    {
        var sample = await AuditSample.StartAsync(cluster);
        foreach (var ticket in new[] { "T-1", "T-2", "T-3" })
        {
            await sample.SaveAsync(ticket, versions: 4);
            await sample.SealAsync();
        }

        return sample;
    }

    private static async Task<byte[]> CoverAsync(AuditSample sample, string kind)
    {
        await using var connection = await sample.Database.OpenAsync(Cancellation);
        await using var transaction = await connection.BeginTransactionAsync(Cancellation);
        var covering = new EntityChange
        {
            Tenant = "acme",
            Kind = "scan",
            Id = "S-1",
            Version = 1,
            At = TicketStore.Change("T-1", 1).At,
            Actor = "ann",
            Action = "scan.import",
            Covers = kind,
            Details = JsonSerializer.SerializeToElement(new { digest = "of T-1 at 5" }),
        };
        var hash = await sample.Host.Get<SetSave>().WriteAsync(connection, covering, Cancellation);
        await using var update = new Npgsql.NpgsqlCommand("update sample.ticket set version = 5, audit_hash = $1 where id = 'T-1'", connection);
        update.Parameters.Add(new() { Value = hash });
        await update.ExecuteNonQueryAsync(Cancellation);
        await transaction.CommitAsync(Cancellation);
        return hash;
    }

    private static Task<long> LeafAsync(AuditSample sample, int seq) => sample.ScalarAsync<long>($"select leaf_id from platform.audit_entry where seq = {seq}");

    /// <summary>Rewrites what a leaf says of who did it, in content, column and hash.</summary>
    private static async Task ForgeAsync(AuditSample sample, int seq) => await sample.ExecuteAsync($"""
        update platform.audit_leaf l set actor = 'bob', canonical = f.canonical, hash = sha256('\x00'::bytea || convert_to(f.canonical, 'UTF8'))
        from (select replace(canonical, '"actor":"ann"', '"actor":"bob"') as canonical from platform.audit_leaf where id = {await LeafAsync(sample, seq)}) f
        where id = {await LeafAsync(sample, seq)}
        """);

    private static IEnumerable<(AuditProblemKind, long?)> Found(AuditReport report) => report.Problems.Select(problem => (problem.Kind, problem.Seq));
}

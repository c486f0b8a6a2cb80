using System.Text.Json;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.Audit;

/// <summary><c>GET /audit/{module}</c> as auditors read it.</summary>
[Collection(AuditCluster.Name)]
public sealed class AuditHttpTests(AuditCluster cluster)
{
    private static readonly DateTimeOffset Noon = TicketStore.Change("T-1", 1).At;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_leaf_is_listed_with_its_place_and_the_content_that_hashes_to_it()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        await web.Log.SaveAsync("T-4", versions: 1);

        var items = (await web.GetAsync("/audit/sample")).Items;

        Assert.Equal(13, items.Length);
        Assert.Equal(JsonValueKind.Null, items[0].GetProperty("seq").ValueKind);
        var leaf = items[1];
        Assert.Equal((11, "ticket/T-3", 4, "ann", "ticket.rename"), (
            leaf.GetProperty("seq").GetInt64(), leaf.GetProperty("entity").GetString(), leaf.GetProperty("version").GetInt64(),
            leaf.GetProperty("actor").GetString(), leaf.GetProperty("action").GetString()));
        Assert.Equal(Noon, leaf.GetProperty("at").GetDateTimeOffset());
        Assert.Equal(4, leaf.GetProperty("details").GetProperty("version").GetInt32());
        Assert.Equal(Convert.ToHexStringLower(OfflineAuditor.LeafHash(leaf.GetProperty("canonical").GetString() ?? "")), leaf.GetProperty("hash").GetString());
    }

    [Fact]
    public async Task Pages_go_through_all_leaves_once_while_others_are_written()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        var expected = (await web.GetAsync("/audit/sample")).Items.Select(Id).ToList();
        List<long> seen = [];
        var next = "";
        for (var page = 0; ; page++)
        {
            var reply = await web.GetAsync($"/audit/sample?limit=5{(page == 0 ? "" : "&cursor=" + next)}");
            seen.AddRange(reply.Items.Select(Id));
            await web.Log.SaveAsync($"later-{page}", versions: 1);
            if (reply.Json.GetProperty("next").GetString() is not { } cursor)
                break;
            next = cursor;
        }

        Assert.Equal(12, expected.Count);
        Assert.Equal(expected, seen);
    }

    [Theory]
    [InlineData("?entity=ticket/b", "b2 b1")]
    [InlineData("?actor=ben", "b2 a2")]
    [InlineData("?action=ticket.open", "b1 a1")]
    [InlineData("?actor=ben&action=ticket.rename&entity=ticket/a", "a2")]
    [InlineData("?from=2026-03-01T12:01:00Z", "b2 b1 a2")]
    [InlineData("?from=2026-03-01T12:01:00Z&to=2026-03-01T12:03:00Z", "b1 a2")]
    [InlineData("?from=2026-03-01T13:01:00%2B01:00&to=2026-03-01T13:03:00%2B01:00", "b1 a2")]
    [InlineData("?to=2026-03-01T12:01:00Z", "a1")]
    [InlineData("?from=2026-03-01T12:03:00Z&to=2026-03-01T12:01:00Z", "")]
    [InlineData("?entity=ticket/c", "")]
    public async Task Filters_narrow_the_list(string query, string leaves)
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        foreach (var (id, version, actor, minute) in new[] { ("a", 1, "ann", 0), ("a", 2, "ben", 1), ("b", 1, "ann", 2), ("b", 2, "ben", 3) })
        {
            var change = TicketStore.Change(id, version) with { Actor = actor, At = Noon.AddMinutes(minute) };
            Assert.IsType<SaveOutcome.Saved>(await web.Log.Tickets.SaveAsync("title", change, Cancellation));
        }

        var reply = await web.GetAsync("/audit/sample" + query);

        Assert.Equal(leaves, string.Join(' ', reply.Items.Select(item => item.GetProperty("entity").GetString()?["ticket/".Length..] + item.GetProperty("version"))));
    }

    [Theory]
    [InlineData("?from=2026-03-01T12:01:00")]
    [InlineData("?to=yesterday")]
    [InlineData("?limit=0")]
    [InlineData("?limit=501")]
    [InlineData("?cursor=AAAA")]
    [InlineData("?actor=a%00b")]
    [InlineData("?entity=%00")]
    [InlineData("?action=%00")]
    [InlineData("?actr=ann")]
    public async Task A_parameter_that_cannot_be_is_named(string query)
    {
        await using var web = await AuditWeb.StartAsync(cluster);

        var reply = await web.GetAsync("/audit/sample" + query);

        Assert.Equal(400, reply.Status);
        Assert.Equal(query[..query.IndexOf('=', StringComparison.Ordinal)], reply.Json.GetProperty("errors")[0].GetProperty("pointer").GetString());
    }

    [Fact]
    public async Task Another_tenants_auditor_sees_nothing_of_ours()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        await web.Log.SaveAsync("T-1", versions: 1, tenant: "other");
        await web.Log.SealAsync();
        var ours = await web.GetAsync("/audit/sample?limit=2");

        var theirs = await web.GetAsync("/audit/sample", "other");
        var byEntity = await web.GetAsync("/audit/sample?entity=ticket/T-2", "other");
        var withOurCursor = await web.GetAsync("/audit/sample?limit=2&cursor=" + ours.Json.GetProperty("next").GetString(), "other");
        var ourProof = await web.GetAsync($"/audit/sample/leaves/{Id(ours.Items[0])}/proof", "other");

        Assert.Equal("other", JsonElement.Parse(Assert.Single(theirs.Items).GetProperty("canonical").GetString() ?? "").GetProperty("tenant").GetString());
        Assert.Empty(byEntity.Items);
        Assert.Equal((400, "cursor.filters-changed"), (withOurCursor.Status, withOurCursor.Code));
        Assert.Equal((404, "not-found"), (ourProof.Status, ourProof.Code));
    }

    [Theory]
    [InlineData("/audit/sample")]
    [InlineData("/audit/sample/verify")]
    [InlineData("/audit/sample/checkpoint")]
    [InlineData("/audit/sample/keys")]
    [InlineData("/audit/sample/leaves/1/proof")]
    [InlineData("/audit/sample/consistency?from=1")]
    public async Task Only_auditors_read_it(string path)
    {
        await using var web = await AuditWeb.StartAsync(cluster);

        Assert.Equal(401, (await web.GetAnonymouslyAsync(path)).Status);
        Assert.Equal((403, "forbidden"), ((await web.GetAsync(path, role: Access.Operator)).Status, (await web.GetAsync(path, role: Access.Operator)).Code));
        Assert.NotEqual(403, (await web.GetAsync(path)).Status);
    }

    [Theory]
    [InlineData("/audit/no-such-module")]
    [InlineData("/audit/no-such-module/verify")]
    [InlineData("/audit")]
    public async Task A_module_that_is_not_there_has_no_log(string path)
    {
        await using var web = await AuditWeb.StartAsync(cluster);

        var reply = await web.GetAsync(path);

        Assert.Equal((404, "not-found", "application/problem+json"), (reply.Status, reply.Code, reply.MediaType));
    }

    [Fact]
    public async Task A_leaf_that_was_tampered_with_is_listed_as_it_is()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.Log.SaveAsync("T-1", versions: 1);
        await web.Log.ExecuteAsync("update platform.audit_leaf set canonical = 'not JSON'");

        var leaf = Assert.Single((await web.GetAsync("/audit/sample")).Items);

        Assert.Equal("not JSON", leaf.GetProperty("canonical").GetString());
        Assert.False(leaf.TryGetProperty("details", out var details) && details.ValueKind is not JsonValueKind.Null);
    }

    private static long Id(JsonElement item) => item.GetProperty("id").GetInt64();
}

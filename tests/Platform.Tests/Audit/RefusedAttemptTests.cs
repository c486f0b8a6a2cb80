using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Audit;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Audit;

public sealed class RefusedAttemptTests(PostgresFixture postgres)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_403_is_in_the_log_with_actor_and_route_before_it_is_answered()
    {
        await using var web = await StartAsync(await SampleModule.DatabaseAsync(postgres));
        var reader = await web.TokenAsync(new { tenant = "acme", subject = "rea", roles = new[] { Access.Reader } });

        using var refused = await web.SendAsync(HttpMethod.Delete, "/tickets/4711?reason=curious", token: reader);

        Assert.Equal(403, (int)refused.StatusCode);
        var leaf = Assert.Single(await LeavesAsync(web));
        Assert.Equal(("acme", "DELETE /tickets/{id}", 0, "rea", "DELETE /tickets/{id}"), (leaf.Tenant, leaf.Entity, leaf.Version, leaf.Actor, leaf.Action));
        Assert.Equal("forbidden", leaf.Details.GetProperty("refused").GetString());
        Assert.DoesNotContain("4711", leaf.Canonical, StringComparison.Ordinal);
        Assert.DoesNotContain("curious", leaf.Canonical, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_is_in_the_list_of_its_own_tenant_and_verified_like_any_leaf()
    {
        await using var web = await StartAsync(await SampleModule.DatabaseAsync(postgres));
        using var refused = await web.SendAsync(HttpMethod.Delete, "/tickets/1", token: await web.TokenAsync(new { tenant = "acme", subject = "rea", roles = new[] { Access.Reader } }));

        var ours = await GetAsync(web, "acme", "/audit/sample");
        var theirs = await GetAsync(web, "other", "/audit/sample");
        var report = await GetAsync(web, "acme", "/audit/sample/verify");

        Assert.Equal("rea", Assert.Single(ours.Items).GetProperty("actor").GetString());
        Assert.Empty(theirs.Items);
        Assert.True(report.Json.GetProperty("intact").GetBoolean());
        Assert.Equal(1, report.Json.GetProperty("leavesChecked").GetInt64());
    }

    /// <summary>Who may do nothing of that kind anywhere is refused; whoever asks for what is not in his tenant is told that it is not there.</summary>
    [Fact]
    public async Task What_is_not_there_and_what_needs_a_token_are_not_in_the_log()
    {
        await using var web = await StartAsync(await SampleModule.DatabaseAsync(postgres));
        var writer = await web.TokenAsync("acme", "ann");

        using var foreign = await web.SendAsync(HttpMethod.Delete, "/tickets/of-another-tenant", token: writer);
        using var noRoute = await web.SendAsync(HttpMethod.Get, "/nothing", token: writer);
        using var anonymous = await web.SendAsync(HttpMethod.Delete, "/tickets/1");
        using var forged = await web.SendAsync(HttpMethod.Delete, "/tickets/1", token: writer[..^6] + "AAAAAA");

        Assert.Equal([404, 404, 401, 401], new[] { foreign, noRoute, anonymous, forged }.Select(answer => (int)answer.StatusCode));
        Assert.Empty(await LeavesAsync(web));
    }

    [Fact]
    public async Task A_million_refusals_of_one_caller_are_twenty_leaves_and_a_number()
    {
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var sample = await OpenAsync(clock);
        var attempts = sample.Get<RefusedAttempts>();
        for (var i = 0; i < 1_000_000; i++)
            await attempts.RecordAsync("acme", "eve", "ticket.delete", "ticket/1", "forbidden", Cancellation);

        Assert.Equal(RefusedAttempts.PerPeriod, await CountAsync(sample));
        clock.Advance(RefusedAttempts.Period);
        await attempts.FlushAsync(all: false, Cancellation);

        Assert.Equal(RefusedAttempts.PerPeriod + 1, await CountAsync(sample));
        Assert.Equal(1_000_000 - RefusedAttempts.PerPeriod, await SuppressedAsync(sample));
        // A new minute: the caller is heard again.
        await attempts.RecordAsync("acme", "eve", "ticket.delete", "ticket/1", "forbidden", Cancellation);
        Assert.Equal(RefusedAttempts.PerPeriod + 2, await CountAsync(sample));
    }

    [Fact]
    public async Task A_million_callers_of_one_tenant_are_bounded_too_and_leave_room_for_another_tenant()
    {
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var sample = await OpenAsync(clock);
        var attempts = sample.Get<RefusedAttempts>();
        for (var i = 0; i < 1_000_000; i++)
            await attempts.RecordAsync("acme", "eve-" + i, "ticket.delete", "ticket/1", "forbidden", Cancellation);
        await attempts.RecordAsync("other", "bob", "ticket.delete", "ticket/1", "forbidden", Cancellation);

        Assert.Equal(RefusedAttempts.PerTenant + 1, await CountAsync(sample));
        await attempts.FlushAsync(all: true, Cancellation);

        // The rest in one leaf.
        Assert.Equal(RefusedAttempts.PerTenant + 2, await CountAsync(sample));
        Assert.Equal(1_000_000 - RefusedAttempts.PerTenant, await SuppressedAsync(sample));
    }

    [Fact]
    public async Task With_the_store_away_a_403_is_still_a_403_and_is_counted_when_it_is_back()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await using var web = await StartAsync(database);
        var reader = await web.TokenAsync(new { tenant = "acme", subject = "rea", roles = new[] { Access.Reader } });
        await DatabaseOutage.BeginAsync(database);
        for (var i = 0; i < 3; i++)
        {
            using var refused = await web.SendAsync(HttpMethod.Delete, "/tickets/1", token: reader);
            Assert.Equal(403, (int)refused.StatusCode);
        }

        var attempts = web.Services.GetRequiredKeyedService<RefusedAttempts>(SampleModule.ModuleName);
        await attempts.FlushAsync(all: true, Cancellation);
        await DatabaseOutage.EndAsync(database);
        await attempts.FlushAsync(all: true, Cancellation);

        var leaf = Assert.Single(await LeavesAsync(web));
        Assert.Equal(("attempts.suppressed", "attempts/rea", 3), (leaf.Action, leaf.Entity, leaf.Details.GetProperty("suppressed").GetInt64()));
    }

    [Fact]
    public async Task What_is_left_to_count_is_written_when_the_host_stops()
    {
        var connectionString = await SampleModule.DatabaseAsync(postgres);
        await using (var sample = await SampleHost.StartAsync(connectionString, TimeProvider.System, _ => { }))
        {
            for (var i = 0; i < RefusedAttempts.PerPeriod + 5; i++)
                await sample.Get<RefusedAttempts>().RecordAsync("acme", "eve", "ticket.delete", "ticket/1", "forbidden", Cancellation);
        }

        await using var after = SampleHost.Build(connectionString, TimeProvider.System, _ => { });
        Assert.Equal(5, await SuppressedAsync(after));
    }

    [Fact]
    public async Task What_a_caller_makes_up_is_cut_short_and_made_harmless()
    {
        await using var sample = await OpenAsync(TimeProvider.System);
        await sample.Get<RefusedAttempts>().RecordAsync("acme", "eve\0\u001b[2J\ud800", "ticket.delete", new string('x', 10_000), "forbidden", Cancellation);

        await using var command = sample.Database.DataSource.CreateCommand("select actor, length(entity) from platform.audit_leaf");
        await using var reader = await command.ExecuteReaderAsync(Cancellation);
        Assert.True(await reader.ReadAsync(Cancellation));
        Assert.Equal(("eve\ufffd\ufffd[2J\ufffd", 200), (reader.GetString(0), reader.GetInt32(1)));
    }

    private static async Task<WebSample> StartAsync(string database) => await (await WebSample.StartAsync(
        database, TimeProvider.System, app => app.MapDelete("/tickets/{id}", (string id) => TypedResults.NotFound()))).ReadyAsync();

    private async Task<SampleHost> OpenAsync(TimeProvider clock)
    {
        var sample = SampleHost.Build(await SampleModule.DatabaseAsync(postgres), clock, _ => { });
        await sample.Get<Wave16.Platform.Store.Migrator>().MigrateAsync(Cancellation);
        return sample;
    }

    private static async Task<Reply> GetAsync(WebSample web, string tenant, string path) =>
        await Reply.OfAsync(await web.SendAsync(HttpMethod.Get, path, token: await web.TokenAsync(new { tenant, roles = new[] { Access.Auditor } })));

    private static async Task<long> CountAsync(SampleHost sample)
    {
        await using var command = sample.Database.DataSource.CreateCommand("select count(*) from platform.audit_leaf");
        return await command.ExecuteScalarAsync(Cancellation) as long? ?? 0;
    }

    private static async Task<long> SuppressedAsync(SampleHost sample)
    {
        await using var command = sample.Database.DataSource.CreateCommand(
            "select sum((canonical::json->'details'->>'suppressed')::bigint)::bigint from platform.audit_leaf where action = 'attempts.suppressed'");
        return await command.ExecuteScalarAsync(Cancellation) as long? ?? 0;
    }

    private static async Task<List<Leaf>> LeavesAsync(WebSample web)
    {
        var leaves = new List<Leaf>();
        await using var command = web.Database.DataSource.CreateCommand("select tenant, entity, entity_version, actor, action, canonical from platform.audit_leaf order by id");
        await using var reader = await command.ExecuteReaderAsync(Cancellation);
        while (await reader.ReadAsync(Cancellation))
            leaves.Add(new(reader.GetString(0), reader.GetString(1), reader.GetInt64(2), reader.GetString(3), reader.GetString(4), reader.GetString(5)));
        return leaves;
    }

    private sealed record Leaf(string Tenant, string Entity, long Version, string Actor, string Action, string Canonical)
    {
        public JsonElement Details => JsonElement.Parse(Canonical).GetProperty("details");
    }
}

using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Audit;

public sealed class BreakGlassTests(PostgresFixture postgres)
{
    [Fact]
    public async Task What_is_done_by_break_glass_is_in_the_log_of_the_tenant_that_was_entered_with_the_reason()
    {
        await using var web = await StartAsync(await SampleModule.DatabaseAsync(postgres));
        using var read = await web.SendAsync(HttpMethod.Get, "/audit/sample?actor=ann", token: await AdministratorAsync(web, "incident 4711"));

        var seen = await ListAsync(web, "acme");

        Assert.Equal(200, (int)read.StatusCode);
        var leaf = Assert.Single(seen);
        Assert.Equal(("ada", "break-glass", "GET /audit/sample", 0, "incident 4711"), (
            leaf.GetProperty("actor").GetString(), leaf.GetProperty("action").GetString(), leaf.GetProperty("entity").GetString(),
            leaf.GetProperty("version").GetInt64(), leaf.GetProperty("details").GetProperty("reason").GetString()));
        Assert.Empty(await ListAsync(web, "other"));
    }

    [Fact]
    public async Task Who_breaks_no_glass_leaves_no_entry()
    {
        await using var web = await StartAsync(await SampleModule.DatabaseAsync(postgres));
        // A reader cannot give himself the reason's power, and an auditor needs none.
        using var auditor = await web.SendAsync(HttpMethod.Get, "/audit/sample", token: await web.TokenAsync(new { tenant = "acme", roles = new[] { Access.Auditor }, breakGlass = "curious" }));

        Assert.Equal(200, (int)auditor.StatusCode);
        Assert.Empty(await ListAsync(web, "acme"));
    }

    [Fact]
    public async Task Without_a_reason_the_administrator_is_refused_and_that_is_in_the_log()
    {
        await using var web = await StartAsync(await SampleModule.DatabaseAsync(postgres));
        using var refused = await web.SendAsync(HttpMethod.Get, "/audit/sample", token: await AdministratorAsync(web, reason: null));

        Assert.Equal(403, (int)refused.StatusCode);
        Assert.Equal("forbidden", Assert.Single(await ListAsync(web, "acme")).GetProperty("details").GetProperty("refused").GetString());
    }

    [Fact]
    public async Task What_cannot_be_recorded_is_not_served()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var served = 0;
        await using var web = await StartAsync(database, () => served++);
        var administrator = await AdministratorAsync(web, "incident 4711");
        await DatabaseOutage.BeginAsync(database);
        using var refused = await web.SendAsync(HttpMethod.Get, "/looked-at", token: administrator);
        await DatabaseOutage.EndAsync(database);
        using var after = await web.SendAsync(HttpMethod.Get, "/looked-at", token: administrator);

        Assert.Equal((503, "unavailable"), ((int)refused.StatusCode, (await Reply.OfAsync(refused)).Code));
        Assert.Equal((200, 1), ((int)after.StatusCode, served));
    }

    private static async Task<WebSample> StartAsync(string database, Action? served = null) => await (await WebSample.StartAsync(
        database, TimeProvider.System, app => app.MapGet("/looked-at", () => served?.Invoke()))).ReadyAsync();

    private static Task<string> AdministratorAsync(WebSample web, string? reason) =>
        web.TokenAsync(new { tenant = "acme", subject = "ada", roles = new[] { Access.CrossTenantAdministrator, Access.Operator }, breakGlass = reason });

    private static async Task<JsonElement[]> ListAsync(WebSample web, string tenant) =>
        (await Reply.OfAsync(await web.SendAsync(HttpMethod.Get, "/audit/sample", token: await web.TokenAsync(new { tenant, roles = new[] { Access.Auditor } })))).Items;
}

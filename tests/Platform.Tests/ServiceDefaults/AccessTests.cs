using Microsoft.AspNetCore.Builder;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class AccessTests
{
    private static readonly AccessCatalogue Catalogue = new(
    [
        new("things.write", "sample", "write things", Access.Operator),
        new("things.read", "sample", "read things", Access.Reader, Access.Operator, Access.CrossTenantAdministrator),
    ]);

    [Theory]
    [InlineData("", "reader", false, "things.read")]
    [InlineData("", "reader operator", false, "dashboard.read dead-letters.read dead-letters.replay things.read things.write")]
    [InlineData("things.write", "reader", false, "")]
    [InlineData("things.read", "operator", false, "things.read")]
    [InlineData("openid profile", "reader", false, "things.read")]
    [InlineData("openid things.write", "operator", false, "things.write")]
    [InlineData("consent.read", "operator", false, "")]
    [InlineData("things.write x", "", false, "things.write x")]
    [InlineData("", "", false, "")]
    [InlineData("", "root", false, "")]
    [InlineData("", "cross-tenant-administrator", false, "")]
    [InlineData("", "cross-tenant-administrator", true, "audit.read dashboard.read dead-letters.read dead-letters.replay things.read")]
    [InlineData("", "reader", true, "things.read")]
    public void A_token_may_do_what_its_scopes_and_roles_both_allow(string scopes, string roles, bool breakGlass, string allowed) =>
        Assert.Equal(allowed, string.Join(' ', Catalogue.Allowed(Split(scopes), Split(roles), breakGlass).Order(StringComparer.Ordinal)));

    private static string[] Split(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    [Fact]
    public void The_catalogue_reads_as_Markdown()
    {
        var markdown = Catalogue.ToMarkdown();

        Assert.StartsWith("# Roles and scopes\n\n", markdown, StringComparison.Ordinal);
        foreach (var role in Access.Roles)
            Assert.Contains($"| `{role.Name}` | {role.Description} |\n", markdown, StringComparison.Ordinal);
        Assert.EndsWith(
            """
            ### sample

            | Scope | Allows to | Held by |
            |---|---|---|
            | `things.read` | read things | `reader`, `operator`, `cross-tenant-administrator` |
            | `things.write` | write things | `operator` |

            """,
            markdown, StringComparison.Ordinal);
        Assert.DoesNotContain("\r", markdown, StringComparison.Ordinal);
    }

    [Fact]
    public void A_catalogue_with_a_mistake_is_not_built()
    {
        Assert.Throws<ArgumentException>(() => new AccessCatalogue([new("audit.read", "sample", "again")]));
        Assert.Throws<ArgumentException>(() => new AccessCatalogue([new("two words", "sample", "x")]));
        Assert.Throws<ArgumentException>(() => new AccessCatalogue([new("", "sample", "x")]));
        Assert.Throws<ArgumentException>(() => new AccessCatalogue([new("x", "sample", "x", "no-such-role")]));
    }

    [Fact]
    public async Task A_host_with_an_endpoint_that_states_no_policy_does_not_start()
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => Service.Start(app => app.MapGet("/forgotten", () => "secret")));

        Assert.Contains("HTTP: GET /forgotten", error.Message, StringComparison.Ordinal);
        Assert.Contains("states no policy", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_host_that_requires_an_undeclared_scope_does_not_start()
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => Service.Start(app => app.MapGet("/things", () => "").RequireScope("thigns.read")));

        Assert.Contains("undeclared scope 'thigns.read'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_host_that_would_accept_a_time_without_offset_does_not_start()
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() =>
            Service.Start(app => app.MapGet("/things", (DateTimeOffset? since) => $"{since}").AllowAnonymous()));

        Assert.Contains("parameter 'since'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_endpoint_added_after_start_without_a_policy_still_denies()
    {
        await using var service = await Service.Start();
        service.App.MapGet("/late", () => "secret");

        Assert.Equal(401, (await service.Get("/late")).Status);
    }

    [Fact]
    public async Task Metrics_are_served_only_when_asked_for_and_only_to_who_may_read_them()
    {
        await using var without = await Service.Start();
        await using var with = await Service.Start(settings: [("Metrics:Prometheus", "true")]);

        Assert.Equal(404, (await without.Get("/metrics", await without.Token("acme", "metrics.read"))).Status);
        Assert.Equal(401, (await with.Get("/metrics")).Status);
        Assert.Equal(403, (await with.Get("/metrics", await with.Token("acme", "things.read"))).Status);
        Assert.Equal(200, (await with.Get("/metrics", await with.Token("acme", "metrics.read"))).Status);
    }
}

using System.Diagnostics;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Wave16.Neighbours.Tests;

public sealed class HostingTests
{
    [Theory]
    [InlineData("")]
    [InlineData("/neighbours")]
    public async Task Every_system_is_listed_with_links_that_lead_somewhere(string prefix)
    {
        await using var host = await NeighbourHost.StartAsync(prefix);

        var items = (await host.Get("/neighbours")).Items;

        Assert.Equal(NeighboursExtensions.Names, items.Select(item => item.GetProperty("name").GetString()));
        foreach (var item in items)
        {
            var links = item.GetProperty("links");
            Assert.Equal($"{prefix}/{item.GetProperty("name").GetString()}", links.GetProperty("self").GetString());
            Assert.Equal(200, (await host.Get(links.GetProperty("faults").GetString() ?? "")).Status);
            Assert.Equal(200, (await host.Get(links.GetProperty("received").GetString() ?? "")).Status);
        }
    }

    [Fact]
    public async Task The_list_shows_the_faults_that_are_set()
    {
        await using var host = await NeighbourHost.StartAsync();
        await host.Put("/neighbours/audit-trail/faults", """{"down":true}""");

        Assert.Equal(
            ["audit-trail"],
            (await host.Get("/neighbours")).Items.Where(item => item.GetProperty("faults").GetProperty("down").GetBoolean()).Select(item => item.GetProperty("name").GetString()));
    }

    [Theory]
    [InlineData("", "/safety-console/gates")]
    [InlineData("/neighbours", "/neighbours/safety-console/gates")]
    [InlineData("/a/b", "/a/b/safety-console/gates")]
    public async Task A_systems_own_paths_stand_below_the_prefix_and_are_recorded_without_it(string prefix, string path)
    {
        await using var host = await NeighbourHost.StartAsync(prefix);

        Assert.Equal(200, (await host.Get(path)).Status);
        var page = await host.Received("safety-console");
        Assert.Equal("/gates", page.GetProperty("items")[0].GetProperty("path").GetString());
    }

    [Fact]
    public async Task Links_in_answers_stand_below_the_prefix()
    {
        await using var host = await NeighbourHost.StartAsync("/neighbours");

        var ticket = await host.Post("/neighbours/integration-hub/connectors/jira/tickets", """{"title":"t"}""", "acme", "k");

        Assert.Equal(200, (await host.Get(ticket.Text("link") ?? "")).Status);
        Assert.Contains("/neighbours/integration-hub/", ticket.Text("link"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("neighbours")]
    [InlineData("/neighbours/")]
    [InlineData("/")]
    public async Task A_prefix_of_another_shape_stops_the_start(string prefix)
    {
        await Assert.ThrowsAsync<ArgumentException>(() => NeighbourHost.StartAsync(prefix));
    }

    [Fact]
    public async Task A_host_that_denies_by_default_leaves_the_neighbours_open()
    {
        await using var host = await NeighbourHost.StartAsync(
            "/neighbours",
            services: services =>
            {
                services.AddAuthentication("none").AddCookie("none");
                services.AddAuthorizationBuilder().SetFallbackPolicy(new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build());
            },
            app: app =>
            {
                app.UseAuthentication();
                app.UseAuthorization();
                app.MapGet("/closed", () => "open");
            });

        Assert.NotEqual(200, (await host.Get("/closed")).Status);
        Assert.Equal(200, (await host.Get("/neighbours")).Status);
        Assert.Equal(200, (await host.Get("/neighbours/safety-console/faults")).Status);
        Assert.Equal(200, (await host.Get("/neighbours/safety-console/gates")).Status);
    }

    [Fact]
    public async Task The_neighbours_are_not_in_the_hosts_OpenAPI_document()
    {
        await using var host = await NeighbourHost.StartAsync(
            "/neighbours", services: services => services.AddOpenApi(), app: app =>
            {
                app.MapOpenApi().AllowAnonymous();
                app.MapGet("/own", () => "");
            });

        var paths = (await host.Get("/openapi/v1.json")).Json.GetProperty("paths");

        Assert.Equal(["/own"], paths.EnumerateObject().Select(path => path.Name));
    }

    [Fact]
    public async Task Two_hosts_in_one_process_share_nothing()
    {
        await using var one = await NeighbourHost.StartAsync();
        await using var other = await NeighbourHost.StartAsync();
        await one.Put("/neighbours/safety-console/faults", """{"status":500}""");

        Assert.Equal(200, (await other.Get("/safety-console/gates")).Status);
        Assert.Equal(0, (await one.Received("safety-console")).GetProperty("last").GetInt64());
    }

    [Fact]
    public async Task The_program_serves_the_systems_at_its_root_and_reports_its_health()
    {
        using var program = Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Wave16.Neighbours.dll"), "--urls", "http://127.0.0.1:0"])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        }) ?? throw new InvalidOperationException("dotnet did not start.");
        try
        {
            using var client = new HttpClient { BaseAddress = await Address(program) };

            Assert.Equal("Healthy", await client.GetStringAsync("/health", TestContext.Current.CancellationToken));
            Assert.Equal("Healthy", await client.GetStringAsync("/alive", TestContext.Current.CancellationToken));
            Assert.Equal("""{"items":[],"next":null}""", await client.GetStringAsync("/safety-console/gates", TestContext.Current.CancellationToken));
        }
        finally
        {
            program.Kill(entireProcessTree: true);
            await program.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
    }

    static async Task<Uri> Address(Process program)
    {
        const string Listening = "Now listening on: ";
        while (await program.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
        {
            if (line.IndexOf(Listening, StringComparison.Ordinal) is >= 0 and var start)
                return new(line[(start + Listening.Length)..]);
        }
        throw new InvalidOperationException("The program ended before it listened.");
    }
}

using System.Diagnostics;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Wave16.ServiceDefaults;

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
    public async Task A_host_that_denies_by_default_and_limits_leaves_the_neighbours_open()
    {
        await using var host = await NeighbourHost.StartAsync(
            "/neighbours",
            builder: builder => builder.AddServiceDefaults("neighbours"),
            app: app =>
            {
                app.UseServiceDefaults();
                app.MapServiceDefaults();
                app.MapGet("/closed", () => "open").RequireAuthorization();
            },
            settings: [new("Limits:AnonymousRequestsPerSecond", "10"), new("Limits:BodyBytes", "1024")]);

        Assert.Equal(200, (await host.Put("/neighbours/safety-console/faults", "{}")).Status);
        var calls = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => host.Get("/neighbours/safety-console/gates")));
        Assert.All(calls, call => Assert.Equal(200, call.Status));
        var large = $$"""{"schemaVersion":"1","asOf":"2025-01-01T00:00:00Z","items":["{{new string('x', 2 << 20)}}"]}""";
        Assert.Equal(201, (await host.Put("/neighbours/control-plane/tenants/acme/exports/v", large)).Status);
        Assert.Equal(401, (await host.Get("/closed")).Status);
    }

    [Fact]
    public async Task Refusals_are_the_neighbours_own_in_a_host_with_problem_details()
    {
        await using var host = await NeighbourHost.StartAsync(
            "/neighbours", builder: builder => builder.AddServiceDefaults("neighbours"), app: app => app.UseServiceDefaults());

        Assert.Equal((404, "not-found"), await StatusAndCode(host.Get("/neighbours/safety-console/nothing")));
        Assert.Equal((405, "method-not-allowed"), await StatusAndCode(host.Post("/neighbours/safety-console/gates", "{}")));
        Assert.Equal((415, "content-type"), await StatusAndCode(host.Send(HttpMethod.Put, "/neighbours/safety-console/gates/vuln:a:b", "{}", "acme", "text/plain")));
    }

    static async Task<(int, string?)> StatusAndCode(Task<Answer> sending) => await sending is var answer ? (answer.Status, answer.Code) : default;

    [Fact]
    public async Task The_neighbours_are_not_in_the_hosts_OpenAPI_document()
    {
        await using var host = await NeighbourHost.StartAsync(
            "/neighbours", builder: builder => builder.Services.AddOpenApi(), app: app =>
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

            Assert.Contains("\"status\":\"healthy\"", await client.GetStringAsync("/health", TestContext.Current.CancellationToken), StringComparison.Ordinal);
            Assert.Contains("\"status\":\"alive\"", await client.GetStringAsync("/alive", TestContext.Current.CancellationToken), StringComparison.Ordinal);
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

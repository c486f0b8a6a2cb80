using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Modules;

public sealed class StartupTests(PostgresFixture postgres)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Without_its_database_a_module_stays_up_says_why_and_answers_503_until_it_is_there()
    {
        var database = await postgres.CreateDatabaseAsync(Cancellation);
        await DatabaseOutage.BeginAsync(database);
        using var refused = new LogSignal("not ready");
        await using var sample = await StartAsync(database, refused);
        var token = await sample.TokenAsync("acme", "ann");
        await refused.Seen;

        using var request = await sample.SendAsync(HttpMethod.Get, "/hello", token: token);
        using var health = await sample.SendAsync(HttpMethod.Get, "/health");
        using var alive = await sample.SendAsync(HttpMethod.Get, "/alive");
        await DatabaseOutage.EndAsync(database);
        await sample.ReadyAsync();
        using var after = await sample.SendAsync(HttpMethod.Get, "/hello", token: token);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, request.StatusCode);
        Assert.NotNull(request.Headers.RetryAfter);
        Assert.Equal("unavailable", (await request.Content.ReadFromJsonAsync<JsonElement>(Cancellation)).GetProperty("code").GetString());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        Assert.Contains("sample-schema", await health.Content.ReadAsStringAsync(Cancellation), StringComparison.Ordinal);
        Assert.Contains("the database refuses (55000)", await health.Content.ReadAsStringAsync(Cancellation), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, alive.StatusCode);
        Assert.Equal(HttpStatusCode.OK, after.StatusCode);
    }

    [Fact]
    public async Task Without_a_server_health_says_so_and_names_no_host()
    {
        using var refused = new LogSignal("the database cannot be reached");
        await using var sample = await StartAsync("Host=127.0.0.1;Port=1;Username=nobody;Password=secret;Database=sample", refused);
        await refused.Seen;

        using var health = await sample.SendAsync(HttpMethod.Get, "/health");

        var text = await health.Content.ReadAsStringAsync(Cancellation);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        Assert.Contains("the database cannot be reached", text, StringComparison.Ordinal);
        Assert.DoesNotContain("127.0.0.1", text, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task With_a_server_whose_name_is_unknown_yet_the_process_stays_and_says_so()
    {
        using var refused = new LogSignal("not ready, the database cannot be reached");
        await using var sample = await StartAsync("Host=wave16.invalid;Username=nobody;Password=secret;Database=sample", refused);
        await refused.Seen;

        using var health = await sample.SendAsync(HttpMethod.Get, "/health");

        Assert.Contains("the database cannot be reached", await health.Content.ReadAsStringAsync(Cancellation), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_start_up_that_fails_in_a_way_nobody_thought_of_is_tried_again()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        using var failed = new LogSignal("not ready, it failed (InvalidCastException)");
        await using var sample = SampleHost.Build(database, TimeProvider.System, module => module.Services.AddLogging(log => log.AddProvider(failed)));
        await using var empty = NpgsqlDataSource.Create(database);
        await ExecuteAsync(empty, "alter table platform.epoch alter column token drop not null; update platform.epoch set token = null");

        await sample.BeginAsync();
        await failed.Seen;
        await ExecuteAsync(empty, "update platform.epoch set token = 'again'");
        await sample.Database.WhenReadyAsync(Cancellation);

        Assert.Equal("again", sample.Database.Epoch.Token);
    }

    [Fact]
    public async Task An_unauthenticated_request_learns_nothing_of_readiness()
    {
        await using var sample = await StartAsync("Host=127.0.0.1;Port=1;Database=sample");

        using var answer = await sample.SendAsync(HttpMethod.Get, "/hello");

        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
    }

    [Fact]
    public async Task A_database_lost_later_is_a_degraded_dependency_and_takes_no_replica_out()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        using var lost = new LogSignal("sample: the database cannot be reached");
        await using var sample = await (await StartAsync(database, lost, clock)).ReadyAsync();
        await DatabaseOutage.BeginAsync(database);
        clock.Advance(TimeSpan.FromSeconds(5));
        await lost.Seen;

        using var health = await sample.SendAsync(HttpMethod.Get, "/health");

        var report = await health.Content.ReadFromJsonAsync<JsonElement>(Cancellation);
        Assert.Equal(HttpStatusCode.OK, health.StatusCode);
        Assert.Equal("degraded", report.GetProperty("status").GetString());
        Assert.Contains(report.GetProperty("dependencies").EnumerateArray(), dependency => dependency.GetProperty("name").GetString() == "sample-db" && dependency.GetProperty("state").GetString() == "degraded");
        await DatabaseOutage.EndAsync(database);
    }

    [Fact]
    public async Task A_pool_that_is_exhausted_is_not_a_database_that_is_away()
    {
        using var busy = new LogSignal("sample: every connection is in use");
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var sample = await (await StartAsync(await SampleModule.DatabaseAsync(postgres), busy, clock)).ReadyAsync();
        var taken = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => sample.Database.OpenAsync(Cancellation).AsTask()));
        clock.Advance(TimeSpan.FromSeconds(5));
        await busy.Seen;

        using var health = await sample.SendAsync(HttpMethod.Get, "/health");

        var report = await health.Content.ReadFromJsonAsync<JsonElement>(Cancellation);
        Assert.Contains(report.GetProperty("dependencies").EnumerateArray(), dependency => dependency.GetProperty("name").GetString() == "sample-db" && dependency.GetProperty("state").GetString() == "healthy");
        await Task.WhenAll(taken.Select(connection => connection.DisposeAsync().AsTask()));
    }

    [Fact]
    public async Task A_failed_script_is_why_a_module_is_not_ready()
    {
        using var failed = new LogSignal("not ready, migration broken/0002_half.sql failed");
        await using var broken = SampleHost.Build(
            await postgres.CreateDatabaseAsync(Cancellation), TimeProvider.System, module => module.Services.AddLogging(log => log.AddProvider(failed)), "broken");

        await broken.BeginAsync();
        await failed.Seen;

        Assert.False(broken.Database.IsReady);
    }

    [Fact]
    public async Task A_host_asked_only_to_migrate_brings_the_schema_up_and_says_what_went_wrong()
    {
        var database = await postgres.CreateDatabaseAsync(Cancellation);
        await using var app = Host(database);
        await using var unreachable = Host(new NpgsqlConnectionStringBuilder(database) { Port = 1, Timeout = 1 }.ConnectionString);
        await using var unknown = Host(new NpgsqlConnectionStringBuilder(database) { Host = "wave16.invalid" }.ConnectionString);

        Assert.Equal(0, await ModuleHost.MigrateAsync(app));
        Assert.Equal(1, await ModuleHost.MigrateAsync(unreachable));
        Assert.Equal(1, await ModuleHost.MigrateAsync(unknown));

        Assert.True(app.Services.GetRequiredKeyedService<ModuleDatabase>(SampleModule.ModuleName).IsReady);
    }

    private static async Task ExecuteAsync(NpgsqlDataSource source, string sql)
    {
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(Cancellation);
    }

    private static WebApplication Host(string database)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Development" });
        builder.Logging.ClearProviders();
        builder.Configuration[$"ConnectionStrings:{SampleModule.ModuleName}-db"] = database;
        builder.AddModules([new SampleModule()]);
        return builder.Build();
    }

    private static Task<WebSample> StartAsync(string database, LogSignal? log = null, TimeProvider? clock = null) => WebSample.StartAsync(
        database,
        clock ?? TimeProvider.System,
        app => app.MapGet("/hello", () => TypedResults.Ok("hello")),
        module =>
        {
            if (log is not null)
            {
                module.Services.AddLogging(logging => logging.AddProvider(log));
            }
        });
}

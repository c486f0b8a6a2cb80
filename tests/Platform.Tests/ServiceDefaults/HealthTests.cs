using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class HealthTests
{
    private sealed class Readiness(string name) : IReadiness
    {
        public string Name => name;

        public string? NotReadyBecause { get; set; }
    }

    [Theory]
    [InlineData("Development")]
    [InlineData("Production")]
    public async Task A_host_without_trouble_is_healthy_in_every_environment(string environment)
    {
        await using var service = await Service.Start(environment: environment, settings: [("Authentication:Authority", "https://authority.example")]);

        var health = await service.Get("/health");

        Assert.Equal((200, """{"status":"healthy","waitingFor":[],"dependencies":[]}"""), (health.Status, health.Body));
        Assert.Equal((200, """{"status":"alive"}"""), ((await service.Get("/alive")).Status, (await service.Get("/alive")).Body));
    }

    [Fact]
    public async Task A_dependency_that_is_down_is_told_with_its_time_and_does_not_take_the_replica_out()
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero));
        await using var service = await Service.Start(add: builder => builder.Services.AddSingleton<TimeProvider>(time));
        var dependencies = service.App.Services.GetRequiredService<DependencyHealth>();

        dependencies.Report("safety-console", DependencyState.NotConfigured);
        dependencies.Report("postgres", DependencyState.Degraded, "connection refused");
        time.Advance(TimeSpan.FromMinutes(1));
        dependencies.Report("postgres", DependencyState.Degraded, "timeout");
        var down = await service.Get("/health");
        dependencies.Report("postgres", DependencyState.Healthy);
        var up = await service.Get("/health");

        Assert.Equal(200, down.Status);
        Assert.Equal(
            """{"status":"degraded","waitingFor":[],"dependencies":[{"name":"postgres","state":"degraded","since":"2026-03-01T12:00:00+00:00","detail":"timeout"},{"name":"safety-console","state":"not-configured","since":"2026-03-01T12:00:00+00:00","detail":null}]}""",
            down.Body);
        Assert.StartsWith("""{"status":"healthy","waitingFor":[],"dependencies":[{"name":"postgres","state":"healthy","since":"2026-03-01T12:01:00+00:00",""", up.Body, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_what_several_saw_of_one_dependency_the_worst_is_told_until_who_saw_it_no_longer_looks()
    {
        var health = new DependencyHealth(TimeProvider.System);
        health.Report("audit-trail", DependencyState.Degraded, "unavailable", "vuln-center");
        health.Report("audit-trail", DependencyState.Healthy, reporter: "incident-cmd");

        var both = Assert.Single(health.Reports);
        health.Forget("audit-trail", "vuln-center");
        var one = Assert.Single(health.Reports);

        Assert.Equal((DependencyState.Degraded, "unavailable"), (both.State, both.Detail));
        Assert.Equal((DependencyState.Healthy, null), (one.State, one.Detail));
    }

    [Fact]
    public async Task A_replica_is_not_ready_until_everything_it_waits_for_is_there()
    {
        var schema = new Readiness("schema") { NotReadyBecause = "at 3, needs 4" };
        await using var service = await Service.Start(add: builder =>
            builder.Services.AddSingleton<IReadiness>(schema).AddSingleton<IReadiness>(new Readiness("silo")));

        var waiting = await service.Get("/health");
        var alive = await service.Get("/alive");
        schema.NotReadyBecause = null;
        var ready = await service.Get("/health");

        Assert.Equal((503, """{"status":"not-ready","waitingFor":[{"name":"schema","reason":"at 3, needs 4"}],"dependencies":[]}"""), (waiting.Status, waiting.Body));
        Assert.Equal((200, 200), (alive.Status, ready.Status));
    }

    [Fact]
    public async Task A_replica_that_is_stopping_says_so_before_it_stops_listening()
    {
        await using var service = await Service.Start();
        var stopping = new TaskCompletionSource<Task<Answer>>();
        await using var registration = service.App.Lifetime.ApplicationStopping.Register(() => stopping.SetResult(service.Get("/health")));

        service.App.Lifetime.StopApplication();
        var health = await await stopping.Task.WaitAsync(TestContext.Current.CancellationToken);

        Assert.Equal((503, """{"status":"not-ready","waitingFor":[{"name":"host","reason":"stopping"}],"dependencies":[]}"""), (health.Status, health.Body));
    }

    [Fact]
    public void Reports_from_many_threads_keep_one_entry_each()
    {
        var dependencies = new DependencyHealth(TimeProvider.System);

        Parallel.For(0, 10_000, i => dependencies.Report($"d{i % 5}", (DependencyState)(i % 3), null));

        Assert.Equal(["d0", "d1", "d2", "d3", "d4"], dependencies.Reports.Select(r => r.Name));
    }
}

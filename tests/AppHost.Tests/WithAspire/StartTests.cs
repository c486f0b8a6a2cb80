using System.Net;
using Aspire.Hosting;
using Aspire.Hosting.Testing;
using Wave16.Testing;

[assembly: AssemblyFixture(typeof(PostgresFixture))]

namespace Wave16.AppHost.Tests.WithAspire;

/// <summary>The whole application, started by Aspire's orchestrator as <c>dotnet run</c> starts it, without the dashboard.</summary>
public sealed class StartTests(PostgresFixture postgres)
{
    // Images are pulled on the first start.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    [Theory, MemberData(nameof(Starts.Possible), MemberType = typeof(Starts))]
    public async Task Every_module_becomes_healthy(Start start)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(Patience);
        await using var redis = start == Start.OnGivenServers ? await RedisServer.StartAsync("wave16", patience.Token) : null;
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.Wave16_AppHost>(
            redis is null ? [] : await Given(redis, patience.Token), patience.Token);
        Assert.Equal(start == Start.OnContainers, builder.Resources.Any(resource => resource.IsContainer()));

        await using var app = await builder.BuildAsync(patience.Token);
        await app.StartAsync(patience.Token);

        foreach (var module in ModelTests.Modules.Select(module => module.Data))
        {
            await app.ResourceNotifications.WaitForResourceHealthyAsync(module, patience.Token);
            using var client = app.CreateHttpClient(module, "http");
            // Healthy is what one replica says; every one of them takes its turn at answering.
            for (var served = 0; served < 6;)
            {
                using var response = await client.GetAsync("/health", patience.Token);
                served = response.StatusCode == HttpStatusCode.OK ? served + 1 : 0;
            }
        }
    }

    private async Task<string[]> Given(RedisServer redis, CancellationToken cancellationToken)
    {
        var server = await postgres.ServerAsync();
        foreach (var module in ModelTests.Modules.Select(module => module.Data))
            await server.EnsureDatabaseAsync(module.Replace('-', '_'), cancellationToken);
        return
        [
            $"ConnectionStrings:postgres={server.ConnectionString}",
            $"ConnectionStrings:redis={redis.ConnectionString}",
            // Nobody listens on port 1.
            "ConnectionStrings:messaging=amqp://guest:guest@127.0.0.1:1",
        ];
    }
}

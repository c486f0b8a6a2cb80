using System.Text.Json;

namespace Wave16.Distributed.Tests;

public sealed class ScenarioTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Two_replicas_of_each_module_are_healthy_within_a_minute()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(60));

        await using var composition = await Composition.StartAsync(replicas: 2, limit.Token);

        foreach (var replica in composition.All)
        {
            var health = await replica.HealthAsync(Cancellation);
            Assert.True(health.GetProperty("status").GetString() == "healthy", $"{replica.Name}: {health}");
        }
    }
}

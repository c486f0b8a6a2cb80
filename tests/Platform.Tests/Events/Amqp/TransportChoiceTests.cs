using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Events;
using Wave16.Platform.Events.Amqp;

namespace Wave16.Platform.Tests.Events.Amqp;

public sealed class TransportChoiceTests
{
    private const string NoDatabase = "Host=127.0.0.1;Port=1;Database=none";
    private const string Setting = "ConnectionStrings:messaging";

    [Fact]
    public async Task Without_a_broker_events_stay_in_the_process()
    {
        await using var host = SampleHost.Build(NoDatabase, TimeProvider.System, _ => { });

        Assert.IsType<InProcessTransport>(host.Services.GetRequiredService<IEventTransport>());
    }

    [Fact]
    public async Task With_a_broker_they_go_there_and_its_absence_ends_no_start()
    {
        await using var host = SampleHost.Build(NoDatabase, TimeProvider.System, _ => { }, settings: (Setting, "amqp://user:password@127.0.0.1:1"));
        var transport = Assert.IsType<AmqpTransport>(host.Services.GetRequiredService<IEventTransport>());

        await using var subscription = await transport.SubscribeAsync(new EventSubscription("sample/a", ["wave16.tests.x.v1"], (_, _) => Task.CompletedTask), TestContext.Current.CancellationToken);
        Assert.Equal(
            new DeliveryOutcome.Unavailable("the broker is away: no connection"),
            await transport.PublishAsync(EventMessageTests.Sample, TestContext.Current.CancellationToken).Soon());
    }

    [Fact]
    public async Task A_connection_string_that_cannot_be_used_ends_the_start_and_is_not_told()
    {
        // A host whose start has failed cannot be stopped.
        var host = SampleHost.Build(NoDatabase, TimeProvider.System, _ => { }, settings: (Setting, "amqp://hunter2@127.0.0.1"));

        var refused = await Assert.ThrowsAsync<FormatException>(host.BeginAsync);

        Assert.StartsWith("ConnectionStrings:messaging cannot be used: it has a user without a password", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", refused.ToString(), StringComparison.Ordinal);
    }
}

using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

public sealed class OutboxLaneTests(PostgresFixture postgres) : OutboxTest(postgres)
{
    [Fact]
    public async Task A_committed_event_reaches_its_destination_with_all_its_attributes_and_leaves_the_outbox()
    {
        await using var store = await OpenStoreAsync("hub");
        var hub = new Recorder("hub");
        await using var lane = StartLane(store, hub);

        await store.CountAsync("tenant-a", "c1", 1, data: """{"n":1}""");

        var envelope = await hub.NextAsync();
        Assert.Equal((TestStore.Module, TestStore.Counted, "c1", "tenant-a", 1, """{"n":1}"""),
            (envelope.Source, envelope.Type, envelope.Subject, envelope.TenantId, envelope.EntityVersion, envelope.Data));
        Assert.Equal($"{store.Database.Epoch.Token}:tenant-a/counter/c1:1:0", envelope.Id);
        await lane.StopAsync();
        Assert.Equal(0, await store.PendingAsync());
    }
}

using Wave16.Platform.Work;

namespace Wave16.Platform.Tests.Work;

public sealed class DueQueueTests
{
    private readonly DueQueue _queue = new(parallel: 4, perTenant: 2, batch: 8);

    [Fact]
    public void Tenants_take_turns_and_one_has_at_most_its_share_under_way()
    {
        _queue.Add([Item("a", 1), Item("a", 2), Item("a", 3), Item("b", 1), Item("b", 2), Item("c", 1)]);

        Assert.Equal(["a1", "b1", "c1", "a2", null], Take(5));
        _queue.Complete(new DueOutcome(Item("c", 1)));
        Assert.Equal(["b2", null], Take(2));
        _queue.Complete(new DueOutcome(Item("a", 2)));
        Assert.Equal(["a3", null], Take(2));
    }

    [Fact]
    public void A_tenant_that_takes_its_whole_share_leaves_the_rest_to_others()
    {
        _queue.Add([Item("a", 1), Item("a", 2), Item("a", 3)]);
        Assert.Equal(["a1", "a2", null], Take(3));

        var fetch = _queue.NextFetch();
        _queue.Add([Item("b", 1)]);

        Assert.NotNull(fetch);
        Assert.Equal(["b1", null], Take(2));
    }

    [Fact]
    public void An_entity_stays_in_hand_until_what_was_tried_is_settled()
    {
        _queue.Add([Item("a", 1), Item("a", 1)]);
        Assert.Equal(["a1", null], Take(2));
        _queue.Complete(new DueOutcome(Item("a", 1)));
        Assert.Equal(["1"], _queue.NextFetch()?.Entities ?? []);

        _queue.Settled(_queue.Tried());

        Assert.Empty(_queue.NextFetch()?.Entities ?? ["none"]);
        _queue.Add([Item("a", 1)]);
        Assert.Equal(["a1"], Take(1));
    }

    [Fact]
    public void Nothing_is_read_while_there_is_enough_to_begin_and_nothing_of_a_tenant_that_has_plenty()
    {
        _queue.Add([Item("a", 1), Item("a", 2), Item("a", 3), Item("a", 4)]);
        Assert.Equal(["a"], _queue.NextFetch()?.Enough ?? []);

        _queue.Add([Item("b", 1), Item("b", 2)]);

        Assert.Null(_queue.NextFetch());
    }

    private List<string?> Take(int count) => [.. Enumerable.Range(0, count).Select(_ => _queue.Take() is { } item ? item.Tenant + item.Entity : null)];

    private static DueItem Item(string tenant, int entity) => new(tenant, "warn", $"{entity}", Generation: 1, DateTimeOffset.UnixEpoch, Attempt: 1);
}

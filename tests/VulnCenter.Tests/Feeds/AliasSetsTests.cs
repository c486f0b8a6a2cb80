using Wave16.VulnCenter.Feeds;

namespace Wave16.VulnCenter.Tests.Feeds;

public sealed class AliasSetsTests
{
    [Fact]
    public void A_statement_joins_up_to_the_limit_and_with_one_more_nothing_of_it()
    {
        AliasSets fits = new(5, most: 5), tooMuch = new(6, most: 5);
        fits.State([(1, 2), (2, 3), (3, 4), (4, 5)]);
        tooMuch.State([(1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]);
        Assert.Equal([1, 1, 1, 1, 1], Of(fits, 5));
        Assert.Equal([1, 2, 3, 4, 5, 6], Of(tooMuch, 6));
    }

    [Fact]
    public void A_statement_that_is_too_large_leaves_what_was_said_before_and_what_it_says_elsewhere()
    {
        AliasSets sets = new(9, most: 3);
        sets.State([(1, 2), (3, 4)]);
        sets.State([(2, 3), (4, 5), (6, 7), (7, 8)]);
        Assert.Equal([1, 1, 3, 3, 5, 6, 6, 6, 9], Of(sets, 9));
    }

    [Fact]
    public void The_order_within_a_statement_means_nothing()
    {
        var random = new Random(16);
        for (var round = 0; round < 300; round++)
        {
            List<List<(int, int)>> statements = [.. Enumerable.Range(0, 4).Select(_ => Enumerable.Range(0, random.Next(1, 9)).Select(_ => (random.Next(1, 21), random.Next(1, 21))).ToList())];
            AliasSets one = new(20, most: 4), other = new(20, most: 4);
            foreach (var statement in statements)
            {
                one.State(statement);
                var shuffled = statement.Select(edge => random.Next(2) == 0 ? edge : (edge.Item2, edge.Item1)).ToArray();
                random.Shuffle(shuffled);
                other.State(shuffled);
            }

            Assert.Equal(Of(one, 20), Of(other, 20));
            Assert.All(Of(one, 20).GroupBy(root => root), set => Assert.InRange(set.Count(), 1, 4));
        }
    }

    private static int[] Of(AliasSets sets, int count) => [.. Enumerable.Range(1, count).Select(sets.Of)];
}

using Wave16.VulnCenter.Dedup;

namespace Wave16.VulnCenter.Tests.Dedup;

public sealed class PairingTests
{
    [Theory]
    [InlineData("50", "10 50", "- 0")]
    [InlineData("10 50", "50", "1")]
    [InlineData("10 50", "12 52", "0 1")]
    [InlineData("10 20", "20 30", "0 1")]
    [InlineData("10 11 12", "11 12 13", "0 1 2")]
    [InlineData("10 11 12", "10 11 12 13", "0 1 2 -")]
    [InlineData("10 20 30", "5 11 21 31", "- 0 1 2")]
    [InlineData("10 11 12 40", "11 12 13 43", "0 1 2 3")]
    [InlineData("10 50 90", "10 52 92", "0 1 2")]
    [InlineData("10 50 90", "5 10 50", "- 0 1")]
    [InlineData("10", "12", "0")]
    [InlineData("10 20 30", "10 20 30", "0 1 2")]
    public void A_place_is_the_one_that_did_not_move_or_moved_as_far_as_its_neighbours(string before, string now, string pairs) =>
        Assert.Equal(pairs, Paired(before, now));

    [Theory]
    [InlineData("10 50", "12", "-")]
    [InlineData("50", "10 51", "- -")]
    [InlineData("10", "12 52", "- -")]
    public void What_fits_in_two_ways_fits_in_none(string before, string now, string pairs) => Assert.Equal(pairs, Paired(before, now));

    [Fact]
    public void An_enclosing_scope_says_more_than_a_line()
    {
        int[] pairs = Pairing.Pair([new Place(20, Scope: "bar")], [new Place(20, Scope: "foo"), new Place(30, Scope: "bar")]);

        Assert.Equal([-1, 0], pairs);
    }

    [Fact]
    public void Places_without_a_line_are_told_by_what_people_read()
    {
        Place A = new(null, Label: "in a"), B = new(null, Label: "in b"), C = new(null, Label: "in c");

        Assert.Equal([1], Pairing.Pair([A, B], [B]));
        Assert.Equal([1, -1], Pairing.Pair([A, B], [B, C]));
        Assert.Equal([1, 0], Pairing.Pair([A, B], [B, A]));
        Assert.Equal([0], Pairing.Pair([A], [C]));
        Assert.Equal([-1], Pairing.Pair([A, B], [C]));
    }

    [Fact]
    public void A_column_decides_between_places_of_one_line()
    {
        Place first = new(10, 5), second = new(10, 9);

        Assert.Equal([1], Pairing.Pair([first, second], [second]));
        Assert.Equal([-1], Pairing.Pair([first, second], [new Place(10, 7)]));
    }

    [Fact]
    public void A_finding_that_was_fixed_long_ago_makes_nothing_ambiguous()
    {
        Assert.Equal([0], Pairing.Pair([new Place(10), new Place(50, IsLive: false)], [new Place(12)]));
        Assert.Equal([1], Pairing.Pair([new Place(10), new Place(50, IsLive: false)], [new Place(50)]));
    }

    [Fact]
    public void Thousands_of_equal_lines_are_paired_by_place_alone()
    {
        List<Place> before = [.. Enumerable.Range(1, 5_000).Select(line => new Place(line))];

        Assert.Equal(Enumerable.Range(1, 4_999), Pairing.Pair(before, [.. before.Skip(1)]));
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Nothing_is_paired_twice_and_what_did_not_change_or_only_shifted_is_paired_with_itself(int seed)
    {
        var random = new Random(seed);
        List<Place> before = [.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => random.Next(1, 60)).Distinct().Order().Select(line => new Place(line))];
        var shift = random.Next(1, 5);

        Assert.Equal(Enumerable.Range(0, before.Count), Pairing.Pair(before, before));
        Assert.Equal(Enumerable.Range(0, before.Count), Pairing.Pair(before, [.. before.Select(place => place with { Line = place.Line + shift })]));
        List<Place> other = [.. before.Where(_ => random.Next(3) > 0), .. Enumerable.Range(0, random.Next(3)).Select(_ => new Place(random.Next(1, 60)))];
        var pairs = Pairing.Pair(before, other).Where(pair => pair >= 0).ToList();
        Assert.Equal(pairs.Distinct(), pairs);
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 200)];

    private static string Paired(string before, string now) =>
        string.Join(' ', Pairing.Pair(Places(before), Places(now)).Select(pair => pair < 0 ? "-" : pair.ToString(System.Globalization.CultureInfo.InvariantCulture)));

    private static List<Place> Places(string lines) => [.. lines.Split(' ').Select(line => new Place(int.Parse(line, System.Globalization.CultureInfo.InvariantCulture)))];
}

namespace Wave16.VulnCenter.Dedup;

/// <summary>Where one of several results stands that have the same rule, file and code.</summary>
/// <param name="Label">What else people tell it by; never part of a key.</param>
/// <param name="IsLive">Of a finding: open or triaged.</param>
internal sealed record Place(int? Line, int? Column = null, string? Scope = null, string? Label = null, bool IsLive = true);

/// <summary>
/// Which place of before is which place of now, among places that share everything but where they stand. Code keeps its order
/// when lines are added and removed, so the two lists are aligned: a place that did not move counts most, then one that moved
/// as far as the one before it; each other distance needs a reason. What fits in two ways equally well fits in none.
/// </summary>
internal static class Pairing
{
    // Larger groups are paired by exact place only.
    private const int MaxCells = 250_000;

    private const int Match = 400;
    private const int AnotherDistance = 300;
    private const int SameScope = 60;
    private const int AnotherScope = -300;
    private const int Live = 20;
    private const int SameColumn = 4;
    private const int SameLabel = 2;

    /// <returns>For each place of now the index of the place of before, or -1.</returns>
    public static int[] Pair(IReadOnlyList<Place> before, IReadOnlyList<Place> now)
    {
        var (old, fresh) = (Ordered(before), Ordered(now));
        var pairs = new int[now.Count];
        Array.Fill(pairs, -1);
        var isInLine = before.Any(place => place.Line is not null) || now.Any(place => place.Line is not null);
        foreach (var (o, f) in !isInLine || (long)old.Length * fresh.Length > MaxCells
            ? Exact([.. old.Select(i => before[i])], [.. fresh.Select(i => now[i])])
            : Aligned([.. old.Select(i => before[i])], [.. fresh.Select(i => now[i])]))
        {
            pairs[fresh[f]] = old[o];
        }

        if (old.Length == fresh.Length && Array.TrueForAll(pairs, pair => pair < 0))
        {
            foreach (var (o, f) in old.Zip(fresh))
            {
                pairs[f] = o;
            }
        }

        return pairs;
    }

    private static int[] Ordered(IReadOnlyList<Place> places) =>
        [.. Enumerable.Range(0, places.Count).OrderBy(i => places[i].Line).ThenBy(i => places[i].Column).ThenBy(i => places[i].Label, StringComparer.Ordinal)];

    private static IEnumerable<(int Old, int Fresh)> Exact(Place[] old, Place[] fresh)
    {
        var waiting = Enumerable.Range(0, old.Length).GroupBy(i => Key(old[i])).ToDictionary(group => group.Key, group => new Queue<int>(group));
        for (var f = 0; f < fresh.Length; f++)
        {
            if (waiting.TryGetValue(Key(fresh[f]), out var same) && same.TryDequeue(out var o))
            {
                yield return (o, f);
            }
        }

        static Place Key(Place place) => place with { IsLive = true };
    }

    private static List<(int Old, int Fresh)> Aligned(Place[] old, Place[] fresh)
    {
        var forward = Best(old, fresh, startsAtNought: true);
        var backward = Best([.. Enumerable.Reverse(old)], [.. Enumerable.Reverse(fresh)], startsAtNought: false);
        var best = 0;
        foreach (var score in forward)
        {
            best = Math.Max(best, score);
        }

        List<(int Old, int Fresh)> optimal = [];
        for (var o = 0; o < old.Length && best > 0; o++)
        {
            for (var f = 0; f < fresh.Length; f++)
            {
                if (forward[o, f] + backward[old.Length - 1 - o, fresh.Length - 1 - f] - Score(old[o], fresh[f]) == best)
                {
                    optimal.Add((o, f));
                }
            }
        }

        var (ofOld, ofFresh) = (optimal.CountBy(pair => pair.Old).ToDictionary(), optimal.CountBy(pair => pair.Fresh).ToDictionary());
        List<(int Old, int Fresh)> certain = [.. optimal.Where(pair => ofOld[pair.Old] == 1 && ofFresh[pair.Fresh] == 1)];

        // Parts of two alignments that exclude each other.
        return [.. certain.Where(pair => !certain.Exists(other => (other.Old < pair.Old) != (other.Fresh < pair.Fresh) && other != pair))];
    }

    /// <summary>The best alignment that ends with each pair, in time linear in their number.</summary>
    /// <param name="startsAtNought">The first pair is expected not to have moved.</param>
    private static int[,] Best(Place[] old, Place[] fresh, bool startsAtNought)
    {
        var best = new int[old.Length, fresh.Length];

        // Over all pairs of earlier places (before row), by distance those of earlier lines (far), and of this line (near).
        var before = new int[fresh.Length];
        Dictionary<int, int> far = [];
        var near = new int[fresh.Length];
        Array.Fill(before, int.MinValue / 2);
        Array.Fill(near, int.MinValue / 2);
        List<(int Distance, int Score)> ended = [];
        for (var o = 0; o < old.Length; o++)
        {
            if (o > 0 && Line(old[o]) != Line(old[o - 1]))
            {
                foreach (var (distance, score) in ended)
                {
                    far[distance] = Math.Max(score, far.GetValueOrDefault(distance, int.MinValue / 2));
                }

                ended.Clear();
                Array.Fill(near, int.MinValue / 2);
            }

            var (anyBefore, nearBefore) = (int.MinValue / 2, int.MinValue / 2);
            for (var f = 0; f < fresh.Length; f++)
            {
                nearBefore = f > 0 && Line(fresh[f]) == Line(fresh[f - 1]) ? Math.Max(nearBefore, near[f - 1]) : int.MinValue / 2;
                anyBefore = f > 0 ? Math.Max(anyBefore, before[f - 1]) : anyBefore;
                var distance = Line(fresh[f]) - Line(old[o]);
                var start = startsAtNought && distance != 0 ? -AnotherDistance : 0;
                best[o, f] = Score(old[o], fresh[f]) + Math.Max(
                    Math.Max(start, anyBefore - AnotherDistance), Math.Max(far.GetValueOrDefault(distance, int.MinValue / 2), nearBefore));
            }

            for (var f = 0; f < fresh.Length; f++)
            {
                ended.Add((Line(fresh[f]) - Line(old[o]), best[o, f]));
                near[f] = Math.Max(near[f], best[o, f]);
                before[f] = Math.Max(before[f], best[o, f]);
            }
        }

        return best;
    }

    private static int Line(Place place) => place.Line ?? 0;

    private static int Score(Place old, Place fresh) => Match
        + ((old.Scope, fresh.Scope) switch
        {
            (null, _) or (_, null) => 0,
            var (then, now) => then == now ? SameScope : AnotherScope,
        })
        + (old.IsLive ? Live : 0)
        + (old.Column == fresh.Column ? SameColumn : 0)
        + (old.Label == fresh.Label ? SameLabel : 0);
}

using Wave16.VulnCenter.Cvss;

namespace Wave16.VulnCenter.Tests.Cvss;

/// <summary>
/// CVSS v4.0 §8.2 in the style of the specification: binary fractions and the epsilon, words for values, and the highest severity vectors and depths of
/// all levels found by going through every combination instead of taking them from a table.
/// </summary>
internal static class Reference4
{
    private static readonly Dictionary<string, string> Worse = new(StringComparer.Ordinal)
    {
        ["AV"] = "NALP",
        ["PR"] = "NLH",
        ["UI"] = "NPA",
        ["AC"] = "LH",
        ["AT"] = "NP",
        ["VC"] = "HLN",
        ["VI"] = "HLN",
        ["VA"] = "HLN",
        ["SC"] = "HLN",
        ["SI"] = "SHLN",
        ["SA"] = "SHLN",
        ["CR"] = "HML",
        ["IR"] = "HML",
        ["AR"] = "HML",
        ["E"] = "APU",
    };

    private static readonly Set[] Sets =
    [
        new(["AV", "PR", "UI"], v =>
            Is(v, "AV:N PR:N UI:N") == 3 ? "0" : Is(v, "AV:N PR:N UI:N") > 0 && v["AV"] != 'P' ? "1" : "2"),
        new(["AC", "AT"], v => Is(v, "AC:L AT:N") == 2 ? "0" : "1"),
        new(["VC", "VI", "VA", "CR", "IR", "AR"], v =>
            (Is(v, "VC:H VI:H") == 2 ? "0" : Is(v, "VC:H VI:H VA:H") > 0 ? "1" : "2")
            + (Is(v, "CR:H VC:H") == 2 || Is(v, "IR:H VI:H") == 2 || Is(v, "AR:H VA:H") == 2 ? "0" : "1")),
        new(["SC", "SI", "SA"], v => Is(v, "SI:S SA:S") > 0 ? "0" : Is(v, "SC:H SI:H SA:H") > 0 ? "1" : "2"),
        new(["E"], v => v["E"] == 'A' ? "0" : v["E"] == 'P' ? "1" : "2"),
    ];

    /// <summary>By the digits of EQ1 to EQ6.</summary>
    public static readonly SortedDictionary<string, double> MacroVectors = new(Enumerate(), StringComparer.Ordinal);

    /// <summary>The highest severity vectors of a MacroVector, as effective values.</summary>
    public static IEnumerable<Dictionary<string, char>> Highest(string macro)
    {
        var levels = LevelsOf(macro);
        IEnumerable<Dictionary<string, char>> vectors = [[]];
        for (var i = 0; i < Sets.Length; i++)
        {
            var highest = Sets[i].Highest[levels[i]];
            vectors = vectors.SelectMany(vector => highest.Select(more => new Dictionary<string, char>(vector.Concat(more))));
        }

        return vectors;
    }

    public static string MacroVectorOf(Dictionary<string, char> vector) => DigitsOf([.. Sets.Select(set => set.LevelOf(vector))]);

    public static double Score(Dictionary<string, char> vector) => Math.Floor((Exact(vector) + 1e-6) * 10 + 0.5) / 10;

    /// <summary>Before it is rounded.</summary>
    public static double Exact(Dictionary<string, char> vector)
    {
        if (Is(vector, "VC:N VI:N VA:N SC:N SI:N SA:N") == 6)
            return 0;
        var levels = Sets.Select(set => set.LevelOf(vector)).ToArray();
        var value = MacroVectors[DigitsOf(levels)];
        List<double> distances = [];
        for (var i = 0; i < Sets.Length; i++)
        {
            var lower = LowerThan(levels, i);
            if (lower.Count > 0)
            {
                var highest = Sets[i].Highest[levels[i]].First(top => Sets[i].Metrics.All(metric => Rank(metric, top) <= Rank(metric, vector)));
                var distance = Sets[i].Metrics.Sum(metric => Rank(metric, vector) - Rank(metric, highest)) * 0.1;
                distances.Add((value - lower.Max()) * (distance / (Sets[i].Depth[levels[i]] * 0.1)));
            }
        }

        return distances.Count == 0 ? value : value - distances.Average();
    }

    /// <summary>What a vector's metrics amount to: modified ones in place of base ones, the worst for what is not defined.</summary>
    /// <param name="groups">Which of the optional metrics count.</param>
    public static Dictionary<string, char> Effective(Grammar.Sample vector, bool threat, bool environment) => Worse.Keys.ToDictionary(metric => metric, metric => metric switch
    {
        "E" => threat && vector["E"] != "X" ? vector["E"][0] : 'A',
        "CR" or "IR" or "AR" => environment && vector[metric] != "X" ? vector[metric][0] : 'H',
        _ => environment && vector["M" + metric] != "X" ? vector["M" + metric][0] : vector[metric][0],
    });

    private static List<double> LowerThan(string[] levels, int set)
    {
        List<double> lower = [];
        for (var digit = 0; digit < levels[set].Length; digit++)
        {
            var next = levels.ToArray();
            next[set] = string.Concat(levels[set].Select((c, i) => i == digit ? (char)(c + 1) : c));
            if (MacroVectors.TryGetValue(DigitsOf(next), out var score))
                lower.Add(score);
        }

        return lower;
    }

    private static string DigitsOf(string[] levels) => $"{levels[0]}{levels[1]}{levels[2][0]}{levels[3]}{levels[4]}{levels[2][1]}";

    private static string[] LevelsOf(string digits) => [digits[..1], digits[1..2], $"{digits[2]}{digits[5]}", digits[3..4], digits[4..5]];

    private static int Is(Dictionary<string, char> vector, string wanted) => wanted.Split(' ').Count(metric => vector[metric[..2]] == metric[3]);

    private static int Rank(string metric, Dictionary<string, char> vector) => Worse[metric].IndexOf(vector[metric], StringComparison.Ordinal);

    private static Dictionary<string, double> Enumerate()
    {
        Dictionary<string, double> scores = new(StringComparer.Ordinal);
        string[] together = ["00", "01", "10", "11", "21"];
        for (var i = 0; i < 270; i++)
        {
            var (one, two, three, four, five) = (i / 90, i / 45 % 2, i / 9 % 5, i / 3 % 3, i % 3);
            scores[$"{one}{two}{together[three][0]}{four}{five}{together[three][1]}"] = Cvss4MacroVectors.TenthsOf(one, two, three, four, five) / 10.0;
        }

        return scores;
    }

    /// <summary>Metrics that are looked at together.</summary>
    private sealed class Set
    {
        public Set(string[] metrics, Func<Dictionary<string, char>, string> levelOf)
        {
            (Metrics, LevelOf) = (metrics, levelOf);
            foreach (var level in Combinations(metrics).GroupBy(levelOf))
            {
                var members = level.ToList();
                Highest[level.Key] = [.. members.Where(top => !members.Any(other => other != top && metrics.All(metric => Rank(metric, other) <= Rank(metric, top))))];
                Depth[level.Key] = 1 + members.Max(member => Highest[level.Key]
                    .Where(top => metrics.All(metric => Rank(metric, top) <= Rank(metric, member)))
                    .Max(top => metrics.Sum(metric => Rank(metric, member) - Rank(metric, top))));
            }
        }

        public string[] Metrics { get; }

        public Func<Dictionary<string, char>, string> LevelOf { get; }

        public Dictionary<string, List<Dictionary<string, char>>> Highest { get; } = new(StringComparer.Ordinal);

        public Dictionary<string, int> Depth { get; } = new(StringComparer.Ordinal);

        private static IEnumerable<Dictionary<string, char>> Combinations(IEnumerable<string> metrics) => metrics.FirstOrDefault() is { } metric
            ? Combinations(metrics.Skip(1)).SelectMany(rest => Worse[metric].Select(value => new Dictionary<string, char>(rest) { [metric] = value }))
            : [new(StringComparer.Ordinal)];
    }
}

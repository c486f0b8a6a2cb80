using CsCheck;

namespace Wave16.VulnCenter.Tests.Cvss;

/// <summary>The metrics of a version as its specification's table lists them, for making vectors: all with base metrics only, or any.</summary>
internal sealed record Grammar(string Prefix, string NotDefined, IReadOnlyList<Grammar.Metric> Base, IReadOnlyList<Grammar.Metric> Optional)
{
    public static readonly Grammar V2 = new("", "ND",
        Metrics("AV:L,A,N AC:H,M,L Au:M,S,N C:N,P,C I:N,P,C A:N,P,C"),
        Metrics("E:U,POC,F,H RL:OF,TF,W,U RC:UC,UR,C CDP:N,L,LM,MH,H TD:N,L,M,H CR:L,M,H IR:L,M,H AR:L,M,H"));

    public static readonly Grammar V30 = new("CVSS:3.0/", "X",
        Metrics("AV:N,A,L,P AC:L,H PR:N,L,H UI:N,R S:U,C C:H,L,N I:H,L,N A:H,L,N"),
        Metrics("E:H,F,P,U RL:U,W,T,O RC:C,R,U CR:H,M,L IR:H,M,L AR:H,M,L MAV:N,A,L,P MAC:L,H MPR:N,L,H MUI:N,R MS:U,C MC:H,L,N MI:H,L,N MA:H,L,N"));

    public static readonly Grammar V31 = V30 with { Prefix = "CVSS:3.1/" };

    public static readonly Grammar V4 = new("CVSS:4.0/", "X",
        Metrics("AV:N,A,L,P AC:L,H AT:N,P PR:N,L,H UI:N,P,A VC:H,L,N VI:H,L,N VA:H,L,N SC:H,L,N SI:H,L,N SA:H,L,N"),
        Metrics(
            "E:A,P,U CR:H,M,L IR:H,M,L AR:H,M,L MAV:N,A,L,P MAC:L,H MAT:N,P MPR:N,L,H MUI:N,P,A MVC:H,L,N MVI:H,L,N MVA:H,L,N MSC:H,L,N MSI:S,H,L,N MSA:S,H,L,N " +
            "S:N,P AU:N,Y R:A,U,I V:D,C RE:L,M,H U:Clear,Green,Amber,Red"));

    /// <summary>Metrics and values in the specification's order; optional ones now and then not given, now and then given as not defined.</summary>
    public static readonly Gen<Sample> Any = Gen.OneOf(Of(V2), Of(V30), Of(V31), Of(V4));

    /// <summary>All vectors with base metrics only; the last metric changes fastest.</summary>
    public IEnumerable<string> AllBase()
    {
        IEnumerable<string> vectors = [""];
        foreach (var metric in Base)
        {
            vectors = vectors.SelectMany(vector => metric.Values.Select(value => $"{vector}/{metric.Name}:{value}"));
        }

        return vectors.Select(vector => Prefix + vector[1..]);
    }

    public static Gen<Sample> Of(Grammar grammar) =>
        Gen.Select(Gen.Int[0, 1 << 20].Array[grammar.Base.Count + grammar.Optional.Count], Gen.Int[0, 3]).Select((numbers, density) =>
        {
            List<(string Name, string Value)> metrics = [];
            for (var i = 0; i < numbers.Length; i++)
            {
                if (i < grammar.Base.Count)
                {
                    metrics.Add((grammar.Base[i].Name, grammar.Base[i].Values[numbers[i] % grammar.Base[i].Values.Count]));
                }
                else if (numbers[i] % 4 < density)
                {
                    var metric = grammar.Optional[i - grammar.Base.Count];
                    metrics.Add((metric.Name, (numbers[i] >> 2) % (metric.Values.Count + 1) is var value && value < metric.Values.Count ? metric.Values[value] : grammar.NotDefined));
                }
            }

            return new Sample(grammar, metrics);
        });

    private static List<Metric> Metrics(string table) =>
        [.. table.Split(' ').Select(row => row.Split(':')).Select(row => new Metric(row[0], row[1].Split(',')))];

    internal sealed record Metric(string Name, IReadOnlyList<string> Values);

    internal sealed record Sample(Grammar Grammar, IReadOnlyList<(string Name, string Value)> Metrics)
    {
        public string Text => Written(Metrics);

        public string Written(IEnumerable<(string Name, string Value)> metrics) =>
            Grammar.Prefix + string.Join('/', metrics.Select(metric => $"{metric.Name}:{metric.Value}"));

        /// <summary>The value; "not defined" for one that is not given.</summary>
        public string this[string metric] => Metrics.FirstOrDefault(given => given.Name == metric).Value ?? Grammar.NotDefined;

        public override string ToString() => Text;
    }
}

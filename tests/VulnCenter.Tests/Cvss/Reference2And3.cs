using System.Numerics;

namespace Wave16.VulnCenter.Tests.Cvss;

/// <summary>The equations of the guide of version 2 (§3.2) and of the specifications of 3.0 (§8) and 3.1 (§7), with names instead of numbers and exact fractions.</summary>
internal static class Reference2And3
{
    private static readonly Dictionary<string, string> Weights2 = Table(
        "AV L=0.395 A=0.646 N=1.0", "AC H=0.35 M=0.61 L=0.71", "Au M=0.45 S=0.56 N=0.704", "C N=0.0 P=0.275 C=0.660", "I N=0.0 P=0.275 C=0.660", "A N=0.0 P=0.275 C=0.660",
        "E U=0.85 POC=0.9 F=0.95 H=1.0", "RL OF=0.87 TF=0.90 W=0.95 U=1.0", "RC UC=0.90 UR=0.95 C=1.0",
        "CDP N=0 L=0.1 LM=0.3 MH=0.4 H=0.5", "TD N=0 L=0.25 M=0.75 H=1.0", "CR L=0.5 M=1.0 H=1.51", "IR L=0.5 M=1.0 H=1.51", "AR L=0.5 M=1.0 H=1.51");

    private static readonly Dictionary<string, string> Weights3 = Table(
        "AV N=0.85 A=0.62 L=0.55 P=0.2", "AC L=0.77 H=0.44", "PR.U N=0.85 L=0.62 H=0.27", "PR.C N=0.85 L=0.68 H=0.5", "UI N=0.85 R=0.62",
        "C H=0.56 L=0.22 N=0", "I H=0.56 L=0.22 N=0", "A H=0.56 L=0.22 N=0",
        "E H=1 F=0.97 P=0.94 U=0.91", "RL U=1 W=0.97 T=0.96 O=0.95", "RC C=1 R=0.96 U=0.92", "CR H=1.5 M=1 L=0.5", "IR H=1.5 M=1 L=0.5", "AR H=1.5 M=1 L=0.5");

    /// <summary>In tenths; a score whose metrics are not there is null.</summary>
    public static (int Base, int? Temporal, int? Environmental) Score(Grammar.Sample vector) => vector.Grammar == Grammar.V2 ? Score2(vector) : Score3(vector);

    private static (int, int?, int?) Score2(Grammar.Sample v)
    {
        Fraction Weight(string metric) => Weights2.GetValueOrDefault($"{metric}:{v[metric]}") ?? (metric == "CDP" ? "0" : "1");

        Fraction Base(Fraction impact)
        {
            var exploitability = 20 * Weight("AV") * Weight("AC") * Weight("Au");
            Fraction f = impact.Numerator.IsZero ? 0 : "1.176";
            return Tenths((("0.6" * impact) + ("0.4" * exploitability) - "1.5") * f);
        }

        var impact = "10.41" * (1 - (1 - Weight("C")) * (1 - Weight("I")) * (1 - Weight("A")));
        Fraction Temporal(Fraction score) => Tenths(score * Weight("E") * Weight("RL") * Weight("RC"));

        var adjusted = Fraction.Least(10, "10.41" * (1 - (1 - Weight("C") * Weight("CR")) * (1 - Weight("I") * Weight("IR")) * (1 - Weight("A") * Weight("AR"))));
        var adjustedTemporal = Temporal(Base(adjusted));
        var environmental = Tenths((adjustedTemporal + (10 - adjustedTemporal) * Weight("CDP")) * Weight("TD"));
        return (
            InTenths(Base(impact)),
            Given(v, "E", "RL", "RC") ? InTenths(Temporal(Base(impact))) : null,
            Given(v, "CDP", "TD", "CR", "IR", "AR") ? InTenths(environmental) : null);

        static Fraction Tenths(Fraction score) => new((score * 10).Round(), 10);
    }

    private static (int, int?, int?) Score3(Grammar.Sample v)
    {
        var is31 = v.Grammar == Grammar.V31;
        string Modified(string metric) => v["M" + metric] == "X" ? v[metric] : v["M" + metric];

        Fraction Weight(string metric, string value, string scope) =>
            Weights3.GetValueOrDefault($"{metric}.{scope}:{value}") ?? Weights3.GetValueOrDefault($"{metric}:{value}") ?? "1";

        Fraction RoundUp(Fraction score)
        {
            if (!is31)
                return new Fraction((score * 10).Ceiling(), 10);
            var input = (score * 100_000).Round();
            return input % 10_000 == 0 ? new Fraction(input, 100_000) : new Fraction(input / 10_000 + 1, 10);
        }

        Fraction Combined(Fraction impact, Func<string, string> value)
        {
            var scope = value("S");
            var exploitability = "8.22" * Weight("AV", value("AV"), scope) * Weight("AC", value("AC"), scope) * Weight("PR", value("PR"), scope) * Weight("UI", value("UI"), scope);
            return impact.Numerator.Sign <= 0 ? 0 : RoundUp(Fraction.Least(10, (scope == "C" ? "1.08" : "1") * (impact + exploitability)));
        }

        Fraction Temporal(Fraction score) => RoundUp(score * Weight("E", v["E"], "") * Weight("RL", v["RL"], "") * Weight("RC", v["RC"], ""));

        var iss = 1 - (1 - Weight("C", v["C"], "")) * (1 - Weight("I", v["I"], "")) * (1 - Weight("A", v["A"], ""));
        var score = Combined(
            v["S"] == "C" ? "7.52" * (iss - "0.029") - "3.25" * (iss - "0.02").ToThe(15) : "6.42" * iss,
            metric => v[metric]);

        var miss = Fraction.Least("0.915", 1
            - (1 - Weight("CR", v["CR"], "") * Weight("C", Modified("C"), ""))
            * (1 - Weight("IR", v["IR"], "") * Weight("I", Modified("I"), ""))
            * (1 - Weight("AR", v["AR"], "") * Weight("A", Modified("A"), "")));
        var impact = (Modified("S"), is31) switch
        {
            ("U", _) => "6.42" * miss,
            (_, true) => "7.52" * (miss - "0.029") - "3.25" * (miss * "0.9731" - "0.02").ToThe(13),
            _ => "7.52" * (miss - "0.029") - "3.25" * (miss - "0.02").ToThe(15),
        };
        return (
            InTenths(score),
            Given(v, "E", "RL", "RC") ? InTenths(Temporal(score)) : null,
            Given(v, "CR", "IR", "AR", "MAV", "MAC", "MPR", "MUI", "MS", "MC", "MI", "MA") ? InTenths(Temporal(Combined(impact, Modified))) : null);
    }

    private static Dictionary<string, string> Table(params string[] rows) => rows.Select(row => row.Split(' '))
        .SelectMany(row => row.Skip(1).Select(cell => cell.Split('=')), (row, cell) => (Key: $"{row[0]}:{cell[0]}", Weight: cell[1]))
        .ToDictionary(cell => cell.Key, cell => cell.Weight, StringComparer.Ordinal);

    private static bool Given(Grammar.Sample vector, params string[] metrics) => metrics.Any(metric => vector[metric] != vector.Grammar.NotDefined);

    private static int InTenths(Fraction score) => (int)BigInteger.Max(0, (score * 10).Round());
}

using System.Numerics;

namespace Wave16.VulnCenter.Tests.Cvss;

/// <summary>The equations of the guide of version 2 (§3.2) and of the specifications of 3.0 (§8) and 3.1 (§7), with names instead of numbers and exact fractions.</summary>
internal static class Reference2And3
{
    /// <summary>In tenths; a score whose metrics are not there is null.</summary>
    public static (int Base, int? Temporal, int? Environmental) Score(Grammar.Sample vector) => vector.Grammar == Grammar.V2 ? Score2(vector) : Score3(vector);

    private static (int, int?, int?) Score2(Grammar.Sample v)
    {
        Fraction Weight(string metric) => (metric, v[metric]) switch
        {
            ("AV", "L") => "0.395", ("AV", "A") => "0.646", ("AV", _) => 1,
            ("AC", "H") => "0.35", ("AC", "M") => "0.61", ("AC", _) => "0.71",
            ("Au", "M") => "0.45", ("Au", "S") => "0.56", ("Au", _) => "0.704",
            ("C" or "I" or "A", "N") => 0, ("C" or "I" or "A", "P") => "0.275", ("C" or "I" or "A", _) => "0.660",
            ("E", "U") => "0.85", ("E", "POC") => "0.9", ("E", "F") => "0.95",
            ("RL", "OF") => "0.87", ("RL", "TF") => "0.90", ("RL", "W") => "0.95",
            ("RC", "UC") => "0.90", ("RC", "UR") => "0.95",
            ("CDP", "L") => "0.1", ("CDP", "LM") => "0.3", ("CDP", "MH") => "0.4", ("CDP", "H") => "0.5", ("CDP", _) => 0,
            ("TD", "N") => 0, ("TD", "L") => "0.25", ("TD", "M") => "0.75",
            ("CR" or "IR" or "AR", "L") => "0.5", ("CR" or "IR" or "AR", "H") => "1.51",
            _ => 1,
        };

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

        Fraction Weight(string metric, string value, string scope) => (metric, value, scope) switch
        {
            ("AV", "N", _) => "0.85", ("AV", "A", _) => "0.62", ("AV", "L", _) => "0.55", ("AV", _, _) => "0.2",
            ("AC", "L", _) => "0.77", ("AC", _, _) => "0.44",
            ("PR", "N", _) => "0.85", ("PR", "L", "U") => "0.62", ("PR", "L", _) => "0.68", ("PR", _, "U") => "0.27", ("PR", _, _) => "0.5",
            ("UI", "N", _) => "0.85", ("UI", _, _) => "0.62",
            ("C" or "I" or "A", "H", _) => "0.56", ("C" or "I" or "A", "L", _) => "0.22", ("C" or "I" or "A", _, _) => 0,
            ("E", "F", _) => "0.97", ("E", "P", _) => "0.94", ("E", "U", _) => "0.91",
            ("RL", "W", _) => "0.97", ("RL", "T", _) => "0.96", ("RL", "O", _) => "0.95",
            ("RC", "R", _) => "0.96", ("RC", "U", _) => "0.92",
            ("CR" or "IR" or "AR", "H", _) => "1.5", ("CR" or "IR" or "AR", "L", _) => "0.5",
            _ => 1,
        };

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

    private static bool Given(Grammar.Sample vector, params string[] metrics) => metrics.Any(metric => vector[metric] != vector.Grammar.NotDefined);

    private static int InTenths(Fraction score) => (int)BigInteger.Max(0, (score * 10).Round());
}

using System.Runtime.InteropServices;

namespace Wave16.VulnCenter.Cvss;

/// <summary>
/// CVSS version 4.0: the specification's §8.2. A vector belongs to a MacroVector whose score is a table's (<see cref="Cvss4MacroVectors"/>);
/// from that the vector's distance to the worst of its MacroVector is taken, in proportion.
/// </summary>
internal static class Cvss4
{
    // Positions in CvssScheme.V40. A modified metric stands Modified after its base metric, from MAV to MSA.
    private const int AV = 0, AC = 1, AT = 2, PR = 3, UI = 4, VC = 5, VI = 6, VA = 7, SC = 8, SI = 9, SA = 10, E = 11, CR = 12, IR = 13, AR = 14, Modified = 15;

    // The number of the value S of MSI and MSA.
    private const int Safety = 4;

    // A multiple of all depths: proportions of them are whole numbers of it.
    private const int Whole = 840;

    /// <summary>
    /// Depths of the equivalence sets' levels, in steps and how far their highest severity vectors are from the worst
    /// values there are. A level may have several; they are all equally far, so it does not matter against which the distance is taken.
    /// </summary>
    private static readonly Level[] Eq1 = [new(1, 0), new(4, 1), new(5, 3)];
    private static readonly Level[] Eq2 = [new(1, 0), new(2, 1)];
    private static readonly Level[] Eq3And6 = [new(7, 0), new(6, 3), new(8, 1), new(8, 3), new(10, 3)];
    private static readonly Level[] Eq4 = [new(6, 1), new(5, 3), new(4, 6)];

    public static CvssScores Score(CvssVector vector)
    {
        var threat = vector.Has(CvssGroup.Temporal);
        var environment = vector.Has(CvssGroup.Environmental);
        return new CvssScores(
            vector.Version,
            Score(vector, withThreat: false, withEnvironment: false),
            threat ? Score(vector, withThreat: true, withEnvironment: false) : null,
            environment ? Score(vector, withThreat: true, withEnvironment: true) : null);
    }

    /// <summary>Of everything that is defined: the digits of EQ1 to EQ6, <c>002120</c> as 2120.</summary>
    public static int MacroVectorOf(CvssVector vector) => MacroVector.Of(new Distances(vector, withThreat: true, withEnvironment: true)).Digits;

    private static decimal Score(CvssVector vector, bool withThreat, bool withEnvironment)
    {
        var at = new Distances(vector, withThreat, withEnvironment);
        if (at.NoImpact)
            return CvssScores.OfTenths(0);

        var macro = MacroVector.Of(at);
        var score = macro.Score;
        var (sets, mean) = (0, 0);
        Lower(macro with { One = macro.One + 1 }, Eq1[macro.One], at.Av + at.Pr + at.Ui);
        Lower(macro with { Two = macro.Two + 1 }, Eq2[macro.Two], at.Ac + at.At);
        Lower(macro.LowerInThreeAndSix, Eq3And6[macro.ThreeAndSix], at.Vc + at.Vi + at.Va + at.Cr + at.Ir + at.Ar);
        Lower(macro with { Four = macro.Four + 1 }, Eq4[macro.Four], at.Sc + at.Si + at.Sa);
        // EQ5 has one metric, so nothing in it is below its worst; it counts among the sets all the same.
        Lower(macro with { Five = macro.Five + 1 }, new Level(1, 0), 0);
        return CvssScores.OfTenths(sets == 0 ? score : RoundHalfUp(score * Whole * sets - mean, Whole * sets));

        // The part of the way to the next lower MacroVector; where there is none, the set does not count.
        void Lower(MacroVector? lower, Level level, int distance)
        {
            if (lower is { Exists: true } next)
            {
                sets++;
                mean += (score - next.Score) * (distance - level.Worst) * (Whole / level.Depth);
            }
        }
    }

    /// <summary>
    /// Math.round of the specification's calculator, halves upwards, without its epsilon of 1e-6: that is there for binary fractions, and a
    /// fraction of at most 4,200 parts is either a half or further from it than that.
    /// </summary>
    private static int RoundHalfUp(int numerator, int denominator) => (2 * numerator + denominator) / (2 * denominator);

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Level(int Depth, int Worst);

    /// <summary>How far each metric is from its worst value, in steps. What is not defined is taken as the worst.</summary>
    [StructLayout(LayoutKind.Auto)]
    private readonly struct Distances
    {
        public Distances(CvssVector vector, bool withThreat, bool withEnvironment)
        {
            int Base(int metric) => (withEnvironment && vector[metric + Modified] is > 0 and var modified ? modified : vector[metric]) - 1;
            int Requirement(int metric) => withEnvironment ? Math.Max(vector[metric] - 1, 0) : 0;
            // Safety is above high, and only a modified metric can be it: the last value is the worst.
            int Subsequent(int metric) => (Base(metric) + 1) % Safety;

            (Av, Ac, At, Pr, Ui) = (Base(AV), Base(AC), Base(AT), Base(PR), Base(UI));
            (Vc, Vi, Va) = (Base(VC), Base(VI), Base(VA));
            (Sc, Si, Sa) = (Subsequent(SC), Subsequent(SI), Subsequent(SA));
            (Cr, Ir, Ar) = (Requirement(CR), Requirement(IR), Requirement(AR));
            Exploit = withThreat ? Math.Max(vector[E] - 1, 0) : 0;
        }

        public readonly int Av, Ac, At, Pr, Ui, Vc, Vi, Va, Sc, Si, Sa, Cr, Ir, Ar, Exploit;

        public bool NoImpact => (Vc, Vi, Va, Sc, Si, Sa) == (2, 2, 2, 3, 3, 3);
    }

    /// <summary>Levels of the equivalence sets, 0 the worst. EQ3 and EQ6 are one: 00, 01, 10, 11, 21 are 0 to 4.</summary>
    [StructLayout(LayoutKind.Auto)]
    private readonly record struct MacroVector(int One, int Two, int ThreeAndSix, int Four, int Five)
    {
        public bool Exists => One <= 2 && Two <= 1 && ThreeAndSix <= 4 && Four <= 2 && Five <= 2;

        public int Score => Cvss4MacroVectors.TenthsOf(One, Two, ThreeAndSix, Four, Five);

        /// <summary>00 has two neighbours below it, of which the one that scores higher counts; below 21 there is none.</summary>
        public MacroVector? LowerInThreeAndSix => ThreeAndSix switch
        {
            0 => Higher(this with { ThreeAndSix = 1 }, this with { ThreeAndSix = 2 }),
            1 or 2 => this with { ThreeAndSix = 3 },
            3 => this with { ThreeAndSix = 4 },
            _ => null,
        };

        public int Digits
        {
            get
            {
                var (three, six) = ThreeAndSix switch { 0 => (0, 0), 1 => (0, 1), 2 => (1, 0), 3 => (1, 1), _ => (2, 1) };
                return One * 100_000 + Two * 10_000 + three * 1_000 + Four * 100 + Five * 10 + six;
            }
        }

        private static MacroVector Higher(MacroVector left, MacroVector right) => left.Score > right.Score ? left : right;

        public static MacroVector Of(in Distances at)
        {
            var one = (at.Av, at.Pr, at.Ui) switch { (0, 0, 0) => 0, (3, _, _) => 2, (0, _, _) or (_, 0, _) or (_, _, 0) => 1, _ => 2 };
            var two = (at.Ac, at.At) == (0, 0) ? 0 : 1;
            var three = (at.Vc, at.Vi, at.Va) switch { (0, 0, _) => 0, (0, _, _) or (_, 0, _) or (_, _, 0) => 1, _ => 2 };
            var six = (at.Vc, at.Cr) == (0, 0) || (at.Vi, at.Ir) == (0, 0) || (at.Va, at.Ar) == (0, 0) ? 0 : 1;
            var four = (at.Sc, at.Si, at.Sa) switch { (_, 0, _) or (_, _, 0) => 0, (1, _, _) or (_, 1, _) or (_, _, 1) => 1, _ => 2 };
            return new MacroVector(one, two, three == 2 ? 4 : three * 2 + six, four, at.Exploit);
        }
    }
}

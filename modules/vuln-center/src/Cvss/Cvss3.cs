namespace Wave16.VulnCenter.Cvss;

/// <summary>
/// CVSS versions 3.0 (specification §8) and 3.1 (§7; the paragraphs named below are its). They differ in the roundup and in the modified impact of
/// a changed scope.
/// </summary>
internal static class Cvss3
{
    // Positions in CvssScheme.V30 and V31. A modified metric stands MAV - AV after its base metric, from MAV to MA.
    private const int AV = 0, AC = 1, PR = 2, UI = 3, S = 4, C = 5, I = 6, A = 7, E = 8, RL = 9, RC = 10, CR = 11, IR = 12, AR = 13, Modified = 14;

    // Scope: the number of the value C.
    private const int Changed = 2;

    // By the number of the value, 0 being "not defined".
    private static readonly decimal[] AttackVector = [0, 0.85m, 0.62m, 0.55m, 0.2m];
    private static readonly decimal[] AttackComplexity = [0, 0.77m, 0.44m];
    private static readonly decimal[] Privileges = [0, 0.85m, 0.62m, 0.27m];
    private static readonly decimal[] PrivilegesScopeChanged = [0, 0.85m, 0.68m, 0.5m];
    private static readonly decimal[] UserInteraction = [0, 0.85m, 0.62m];
    private static readonly decimal[] Impact = [0, 0.56m, 0.22m, 0.0m];
    private static readonly decimal[] ExploitCodeMaturity = [1.0m, 1.0m, 0.97m, 0.94m, 0.91m];
    private static readonly decimal[] RemediationLevel = [1.0m, 1.0m, 0.97m, 0.96m, 0.95m];
    private static readonly decimal[] ReportConfidence = [1.0m, 1.0m, 0.96m, 0.92m];
    private static readonly decimal[] Requirement = [1.0m, 1.5m, 1.0m, 0.5m];

    public static CvssScores Score(CvssVector vector)
    {
        var score = BaseOf(vector);
        return new CvssScores(
            vector.Version,
            score,
            vector.Has(CvssGroup.Temporal) ? TemporalOf(vector, score) : null,
            vector.Has(CvssGroup.Environmental) ? EnvironmentalOf(vector) : null);
    }

    // §7.1
    private static decimal BaseOf(CvssVector vector)
    {
        var sub = 1 - (1 - Impact[vector[C]]) * (1 - Impact[vector[I]]) * (1 - Impact[vector[A]]);
        var changed = vector[S] == Changed;
        var impact = changed ? 7.52m * (sub - 0.029m) - 3.25m * Power(sub - 0.02m, 15) : 6.42m * sub;
        return Combined(vector.Version, impact, ExploitabilityOf(vector[AV], vector[AC], vector[PR], vector[UI], changed), changed);
    }

    // §7.2
    private static decimal TemporalOf(CvssVector vector, decimal score) =>
        RoundUp(vector.Version, score * ExploitCodeMaturity[vector[E]] * RemediationLevel[vector[RL]] * ReportConfidence[vector[RC]]);

    // §7.3
    private static decimal EnvironmentalOf(CvssVector vector)
    {
        var sub = Math.Min(0.915m, 1
            - (1 - Requirement[vector[CR]] * Impact[Effective(vector, C)])
            * (1 - Requirement[vector[IR]] * Impact[Effective(vector, I)])
            * (1 - Requirement[vector[AR]] * Impact[Effective(vector, A)]));
        var changed = Effective(vector, S) == Changed;
        var impact = (changed, vector.Version) switch
        {
            (false, _) => 6.42m * sub,
            (true, CvssVersion.V30) => 7.52m * (sub - 0.029m) - 3.25m * Power(sub - 0.02m, 15),
            _ => 7.52m * (sub - 0.029m) - 3.25m * Power(sub * 0.9731m - 0.02m, 13),
        };
        var exploitability = ExploitabilityOf(Effective(vector, AV), Effective(vector, AC), Effective(vector, PR), Effective(vector, UI), changed);
        return TemporalOf(vector, Combined(vector.Version, impact, exploitability, changed));
    }

    private static decimal Combined(CvssVersion version, decimal impact, decimal exploitability, bool scopeChanged) => impact <= 0
        ? CvssScores.OfTenths(0)
        : RoundUp(version, Math.Min(10, (scopeChanged ? 1.08m : 1) * (impact + exploitability)));

    private static decimal ExploitabilityOf(int attackVector, int attackComplexity, int privileges, int userInteraction, bool scopeChanged) =>
        8.22m * AttackVector[attackVector] * AttackComplexity[attackComplexity] * (scopeChanged ? PrivilegesScopeChanged : Privileges)[privileges] * UserInteraction[userInteraction];

    private static int Effective(CvssVector vector, int metric) => vector[Modified + metric] is > 0 and var modified ? modified : vector[metric];

    /// <summary>
    /// v3.0 §8: the smallest number with one decimal that is not below the score. v3.1 appendix A: the same after rounding to five decimals, so that
    /// what binary fractions add to a whole tenth does not lift it by one; a score a hair above a tenth therefore differs between the versions.
    /// </summary>
    private static decimal RoundUp(CvssVersion version, decimal score)
    {
        if (version == CvssVersion.V30)
            return CvssScores.OfTenths((int)decimal.Ceiling(score * 10));
        var hundredThousandths = (int)decimal.Round(score * 100_000, 0, MidpointRounding.AwayFromZero);
        return CvssScores.OfTenths(hundredThousandths / 10_000 + (hundredThousandths % 10_000 == 0 ? 0 : 1));
    }

    private static decimal Power(decimal number, int exponent)
    {
        var power = 1m;
        for (; exponent > 0; exponent >>= 1)
        {
            if ((exponent & 1) != 0)
                power *= number;
            number *= number;
        }

        return power;
    }
}

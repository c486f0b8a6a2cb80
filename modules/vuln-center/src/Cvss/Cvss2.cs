namespace Wave16.VulnCenter.Cvss;

/// <summary>
/// CVSS version 2.0: A Complete Guide to the Common Vulnerability Scoring System Version 2.0, §3.2. All of it is exact in <see cref="decimal"/>;
/// round_to_1_decimal takes halves away from zero, as NVD does.
/// </summary>
internal static class Cvss2
{
    // Positions in CvssScheme.V20.
    private const int AV = 0, AC = 1, Au = 2, C = 3, I = 4, A = 5, E = 6, RL = 7, RC = 8, CDP = 9, TD = 10, CR = 11, IR = 12, AR = 13;

    // By the number of the value, 0 being "not defined".
    private static readonly decimal[] AccessVector = [0, 0.395m, 0.646m, 1.0m];
    private static readonly decimal[] AccessComplexity = [0, 0.35m, 0.61m, 0.71m];
    private static readonly decimal[] Authentication = [0, 0.45m, 0.56m, 0.704m];
    private static readonly decimal[] Impact = [0, 0.0m, 0.275m, 0.660m];
    private static readonly decimal[] Exploitability = [1.0m, 0.85m, 0.9m, 0.95m, 1.0m];
    private static readonly decimal[] RemediationLevel = [1.0m, 0.87m, 0.90m, 0.95m, 1.0m];
    private static readonly decimal[] ReportConfidence = [1.0m, 0.90m, 0.95m, 1.0m];
    private static readonly decimal[] CollateralDamage = [0.0m, 0.0m, 0.1m, 0.3m, 0.4m, 0.5m];
    private static readonly decimal[] TargetDistribution = [1.0m, 0.0m, 0.25m, 0.75m, 1.0m];
    private static readonly decimal[] Requirement = [1.0m, 0.5m, 1.0m, 1.51m];

    public static CvssScores Score(CvssVector vector)
    {
        var score = BaseOf(vector, ImpactOf(Impact[vector[C]], Impact[vector[I]], Impact[vector[A]]));
        return new CvssScores(
            vector.Version,
            InRange(score),
            vector.Has(CvssGroup.Temporal) ? InRange(TemporalOf(vector, score)) : null,
            vector.Has(CvssGroup.Environmental) ? InRange(EnvironmentalOf(vector)) : null);
    }

    // §3.2.1
    private static decimal BaseOf(CvssVector vector, decimal impact)
    {
        var exploitability = 20 * AccessVector[vector[AV]] * AccessComplexity[vector[AC]] * Authentication[vector[Au]];
        return impact == 0 ? 0 : Round((0.6m * impact + 0.4m * exploitability - 1.5m) * 1.176m);
    }

    private static decimal ImpactOf(decimal confidentiality, decimal integrity, decimal availability) =>
        10.41m * (1 - (1 - confidentiality) * (1 - integrity) * (1 - availability));

    // §3.2.2
    private static decimal TemporalOf(CvssVector vector, decimal score) =>
        Round(score * Exploitability[vector[E]] * RemediationLevel[vector[RL]] * ReportConfidence[vector[RC]]);

    // §3.2.3. An adjusted impact can leave an adjusted base score below zero; the guide bounds none but the last score.
    private static decimal EnvironmentalOf(CvssVector vector)
    {
        var impact = Math.Min(10, ImpactOf(
            Impact[vector[C]] * Requirement[vector[CR]], Impact[vector[I]] * Requirement[vector[IR]], Impact[vector[A]] * Requirement[vector[AR]]));
        var temporal = TemporalOf(vector, BaseOf(vector, impact));
        return Round((temporal + (10 - temporal) * CollateralDamage[vector[CDP]]) * TargetDistribution[vector[TD]]);
    }

    private static decimal Round(decimal score) => decimal.Round(score, 1, MidpointRounding.AwayFromZero);

    private static decimal InRange(decimal score) => CvssScores.OfTenths((int)(Math.Clamp(score, 0, 10) * 10));
}

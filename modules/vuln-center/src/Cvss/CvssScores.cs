using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Cvss;

/// <summary>The scores of one vector, 0.0 to 10.0 with one decimal. Each contains the ones before it.</summary>
/// <param name="Base">With the base metrics only.</param>
/// <param name="Temporal">With the temporal metrics too (in version 4.0 the threat metric, CVSS-BT); null when none is defined.</param>
/// <param name="Environmental">With everything that is defined (in version 4.0 CVSS-BE or CVSS-BTE); null when no environmental metric is defined.</param>
internal readonly record struct CvssScores(CvssVersion Version, decimal Base, decimal? Temporal, decimal? Environmental)
{
    /// <summary>The one that takes most into account.</summary>
    public decimal Overall => Environmental ?? Temporal ?? Base;

    public Severity Severity => Version.SeverityOf(Overall);

    /// <summary>One decimal always, also where it is 0.</summary>
    public static decimal OfTenths(int tenths) => new(tenths, 0, 0, isNegative: false, scale: 1);
}

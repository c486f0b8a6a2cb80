using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Cvss;

/// <summary>Ordered: a greater one is newer. Scores of different versions are never compared or mixed.</summary>
internal enum CvssVersion
{
    V20 = 20,
    V30 = 30,
    V31 = 31,
    V40 = 40,
}

/// <summary>Metric groups. <see cref="Temporal"/> is called threat in version 4.0; only that version has <see cref="Supplemental"/>, which no score depends on.</summary>
internal enum CvssGroup
{
    Base,
    Temporal,
    Environmental,
    Supplemental,
}

internal static class CvssVersions
{
    /// <summary><c>4.0</c>.</summary>
    public static string Number(this CvssVersion version) => version switch
    {
        CvssVersion.V20 => "2.0",
        CvssVersion.V30 => "3.0",
        CvssVersion.V31 => "3.1",
        _ => "4.0",
    };

    /// <summary>
    /// The word for a score: v3.0 §5, v3.1 §5 and v4.0 §6 (qualitative severity rating scale). Version 2.0 has no words of its own;
    /// these are NVD's, whose lowest is low and whose highest is high.
    /// </summary>
    public static Severity SeverityOf(this CvssVersion version, decimal score) => (version, score) switch
    {
        (CvssVersion.V20, < 4.0m) => Severity.Low,
        (CvssVersion.V20, < 7.0m) => Severity.Medium,
        (CvssVersion.V20, _) => Severity.High,
        (_, 0.0m) => Severity.None,
        (_, < 4.0m) => Severity.Low,
        (_, < 7.0m) => Severity.Medium,
        (_, < 9.0m) => Severity.High,
        _ => Severity.Critical,
    };
}

using System.Runtime.CompilerServices;
using System.Text;
using static Wave16.VulnCenter.Cvss.CvssGroup;

namespace Wave16.VulnCenter.Cvss;

/// <summary>What the vectors of one version are made of, in the order the specification lists it.</summary>
internal sealed class CvssScheme
{
    /// <summary>
    /// A Complete Guide to CVSS Version 2.0, §2.4: no prefix, metrics in a predetermined order. The positions are the constants of <see cref="Cvss2"/>.
    /// </summary>
    public static readonly CvssScheme V20 = new(CvssVersion.V20, prefix: "", "ND", isOrdered: true,
    [
        ("AV", Base, "L A N"), ("AC", Base, "H M L"), ("Au", Base, "M S N"), ("C", Base, "N P C"), ("I", Base, "N P C"), ("A", Base, "N P C"),
        ("E", Temporal, "U POC F H"), ("RL", Temporal, "OF TF W U"), ("RC", Temporal, "UC UR C"),
        ("CDP", Environmental, "N L LM MH H"), ("TD", Environmental, "N L M H"),
        ("CR", Environmental, "L M H"), ("IR", Environmental, "L M H"), ("AR", Environmental, "L M H"),
    ]);

    /// <summary>CVSS v3.0 Specification §6: any order is valid.</summary>
    public static readonly CvssScheme V30 = new(CvssVersion.V30, "CVSS:3.0/", "X", isOrdered: false, Metrics3);

    /// <summary>CVSS v3.1 Specification §6: any order is valid.</summary>
    public static readonly CvssScheme V31 = new(CvssVersion.V31, "CVSS:3.1/", "X", isOrdered: false, Metrics3);

    /// <summary>
    /// CVSS v4.0 Specification §7, table 23: every other order is invalid. The positions are the constants of <see cref="Cvss4"/>; values stand
    /// by falling severity, so that a value's number is its distance from the worst.
    /// </summary>
    public static readonly CvssScheme V40 = new(CvssVersion.V40, "CVSS:4.0/", "X", isOrdered: true,
    [
        ("AV", Base, "N A L P"), ("AC", Base, "L H"), ("AT", Base, "N P"), ("PR", Base, "N L H"), ("UI", Base, "N P A"),
        ("VC", Base, "H L N"), ("VI", Base, "H L N"), ("VA", Base, "H L N"), ("SC", Base, "H L N"), ("SI", Base, "H L N"), ("SA", Base, "H L N"),
        ("E", Temporal, "A P U"),
        ("CR", Environmental, "H M L"), ("IR", Environmental, "H M L"), ("AR", Environmental, "H M L"),
        ("MAV", Environmental, "N A L P"), ("MAC", Environmental, "L H"), ("MAT", Environmental, "N P"), ("MPR", Environmental, "N L H"), ("MUI", Environmental, "N P A"),
        ("MVC", Environmental, "H L N"), ("MVI", Environmental, "H L N"), ("MVA", Environmental, "H L N"),
        ("MSC", Environmental, "H L N"), ("MSI", Environmental, "H L N S"), ("MSA", Environmental, "H L N S"),
        ("S", Supplemental, "N P"), ("AU", Supplemental, "N Y"), ("R", Supplemental, "A U I"), ("V", Supplemental, "D C"), ("RE", Supplemental, "L M H"),
        ("U", Supplemental, "Clear Green Amber Red"),
    ]);

    /// <summary>Newest first.</summary>
    public static readonly CvssScheme[] All = [V40, V31, V30, V20];

    private readonly byte[] _prefix;

    private CvssScheme(CvssVersion version, string prefix, string notDefined, bool isOrdered, (string Name, CvssGroup Group, string Values)[] metrics)
    {
        (Version, IsOrdered) = (version, isOrdered);
        _prefix = Encoding.ASCII.GetBytes(prefix);
        Metrics = [.. metrics.Select(metric => new CvssMetric(metric.Name, metric.Group, notDefined, metric.Values))];
        NoSuchMetric = version == CvssVersion.V20
            ? "is not a metric of CVSS 2.0; a vector of a later version begins with CVSS:3.0/, CVSS:3.1/ or CVSS:4.0/"
            : $"is not a metric of CVSS {version.Number()}";
    }

    public CvssVersion Version { get; }

    public bool IsOrdered { get; }

    public CvssMetric[] Metrics { get; }

    public string NoSuchMetric { get; }

    public ReadOnlySpan<byte> Prefix => _prefix;

    // The same in both versions; the positions are the constants of Cvss3.
    private static (string Name, CvssGroup Group, string Values)[] Metrics3 =>
    [
        ("AV", Base, "N A L P"), ("AC", Base, "L H"), ("PR", Base, "N L H"), ("UI", Base, "N R"), ("S", Base, "U C"),
        ("C", Base, "H L N"), ("I", Base, "H L N"), ("A", Base, "H L N"),
        ("E", Temporal, "H F P U"), ("RL", Temporal, "U W T O"), ("RC", Temporal, "C R U"),
        ("CR", Environmental, "H M L"), ("IR", Environmental, "H M L"), ("AR", Environmental, "H M L"),
        ("MAV", Environmental, "N A L P"), ("MAC", Environmental, "L H"), ("MPR", Environmental, "N L H"), ("MUI", Environmental, "N R"), ("MS", Environmental, "U C"),
        ("MC", Environmental, "H L N"), ("MI", Environmental, "H L N"), ("MA", Environmental, "H L N"),
    ];

    /// <summary>The metric's position, -1 when there is none of that name.</summary>
    /// <param name="from">Where to look first: vectors mostly stand in order.</param>
    public int IndexOf(ReadOnlySpan<byte> name, int from = 0)
    {
        for (var i = from; i < Metrics.Length; i++)
        {
            if (Metrics[i].IsNamed(name))
                return i;
        }

        for (var i = 0; i < from; i++)
        {
            if (Metrics[i].IsNamed(name))
                return i;
        }

        return -1;
    }
}

/// <summary>The numbers of a vector's values by the position of their metrics; no version has more than 32 metrics.</summary>
[InlineArray(Count)]
internal struct CvssValues
{
    public const int Count = 32;

    private byte _first;
}

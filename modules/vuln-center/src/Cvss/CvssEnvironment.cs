using System.Text;

namespace Wave16.VulnCenter.Cvss;

/// <summary>Why a text is no environment.</summary>
/// <param name="Version">The key it stands under.</param>
/// <param name="Position">In characters from 0.</param>
internal sealed record CvssEnvironmentFault(string Version, int Position, string Reason);

/// <summary>
/// The environmental metrics of a service by version, as its profile gives them: <c>{"3.1": "CR:H/MAV:A", "4.0": "CR:H"}</c>. A version's metrics go into
/// vectors of that version only; their order is free.
/// </summary>
internal sealed class CvssEnvironment
{
    // By CvssScheme.All.
    private readonly CvssValues[] _values = new CvssValues[CvssScheme.All.Length];

    private CvssEnvironment()
    {
    }

    /// <param name="fault">Why there is none, and where; null when there is one.</param>
    public static CvssEnvironment? Read(IReadOnlyDictionary<string, string> byVersion, out CvssEnvironmentFault? fault)
    {
        var environment = new CvssEnvironment();
        fault = null;
        foreach (var (version, text) in byVersion)
        {
            var scheme = Array.FindIndex(CvssScheme.All, known => known.Version.Number() == version);
            fault = scheme < 0
                ? new CvssEnvironmentFault(version, 0, "is not a version: 4.0, 3.1, 3.0 or 2.0")
                : Take(version, text, CvssScheme.All[scheme], ref environment._values[scheme]);
            if (fault is not null)
                return null;
        }

        return environment;
    }

    public CvssValues Of(CvssScheme scheme) => _values[Array.IndexOf(CvssScheme.All, scheme)];

    /// <summary>Whether it defines a metric of that version.</summary>
    public bool Concerns(CvssVersion version)
    {
        foreach (var value in _values[Array.FindIndex(CvssScheme.All, scheme => scheme.Version == version)])
        {
            if (value != 0)
                return true;
        }

        return false;
    }

    private static CvssEnvironmentFault? Take(string version, string? text, CvssScheme scheme, ref CvssValues values)
    {
        if (text is null)
            return new CvssEnvironmentFault(version, 0, "is null, not a string");
        if (text.Length > CvssVector.MaxLength)
            return new CvssEnvironmentFault(version, CvssVector.MaxLength, $"is longer than {CvssVector.MaxLength} characters");
        var (at, seen) = (0, 0u);
        foreach (var field in text.Split('/'))
        {
            var colon = field.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0)
                return new CvssEnvironmentFault(version, at, "is not a metric and its value, joined by ':'");
            var index = scheme.IndexOf(Encoding.UTF8.GetBytes(field[..colon]));
            if (index < 0 || scheme.Metrics[index] is not { Group: CvssGroup.Environmental } metric)
                return new CvssEnvironmentFault(version, at, $"is not an environmental metric of CVSS {version}");
            if ((seen & (1u << index)) != 0)
                return new CvssEnvironmentFault(version, at, metric.Repeated);
            if (metric.Find(Encoding.UTF8.GetBytes(field[(colon + 1)..])) is not { } value)
                return new CvssEnvironmentFault(version, at + colon + 1, metric.NoSuchValue);

            values[index] = value;
            seen |= 1u << index;
            at += field.Length + 1;
        }

        return null;
    }
}

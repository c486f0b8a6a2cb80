using System.Text;

namespace Wave16.VulnCenter.Cvss;

/// <summary>
/// The environmental metrics of a service, as <c>CR:H/AR:L/MAV:A</c>. Each goes to every version that has a metric of that name and value, so one
/// text serves vectors of all versions; where versions need different values, both are given (<c>MUI:R/MUI:P</c> is required in v3, passive in v4).
/// </summary>
internal sealed class CvssEnvironment
{
    private static readonly CvssFault TooLong = new(CvssVector.MaxLength, $"is longer than {CvssVector.MaxLength} characters");

    // By CvssScheme.All.
    private readonly CvssValues[] _values;

    private CvssEnvironment(CvssValues[] values) => _values = values;

    /// <param name="fault">Why there is none, and where; null when there is one.</param>
    public static CvssEnvironment? Read(string text, out CvssFault? fault)
    {
        if (text.Length > CvssVector.MaxLength)
        {
            fault = TooLong;
            return null;
        }

        var (values, seen) = (new CvssValues[CvssScheme.All.Length], new uint[CvssScheme.All.Length]);
        var at = 0;
        foreach (var field in text.Split('/'))
        {
            if (Take(field, values, seen) is { } reason)
            {
                fault = new CvssFault(at, reason);
                return null;
            }

            at += field.Length + 1;
        }

        fault = null;
        return new CvssEnvironment(values);
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

    private static string? Take(string field, CvssValues[] values, uint[] seen)
    {
        var colon = field.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0)
            return "is not a metric and its value, joined by ':'";
        var (name, value) = (Encoding.UTF8.GetBytes(field[..colon]), Encoding.UTF8.GetBytes(field[(colon + 1)..]));
        var (known, taken) = (false, false);
        for (var i = 0; i < values.Length; i++)
        {
            var scheme = CvssScheme.All[i];
            var metric = scheme.IndexOf(name);
            if (metric < 0 || scheme.Metrics[metric].Group != CvssGroup.Environmental)
                continue;
            known = true;
            if (scheme.Metrics[metric].Find(value) is not { } number)
                continue;
            if ((seen[i] & (1u << metric)) != 0)
                return scheme.Metrics[metric].Repeated;
            values[i][metric] = number;
            seen[i] |= 1u << metric;
            taken = true;
        }

        return (known, taken) switch
        {
            (_, true) => null,
            (true, _) => "has a value that no version knows for this metric",
            _ => "is not an environmental metric of any version",
        };
    }
}

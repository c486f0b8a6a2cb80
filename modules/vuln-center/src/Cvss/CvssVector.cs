using System.Text;

namespace Wave16.VulnCenter.Cvss;

/// <summary>Why a text is no vector.</summary>
/// <param name="Position">Where, in characters from 0; the text's length when something is missing at its end.</param>
internal sealed record CvssFault(int Position, string Reason);

/// <summary>A vector, or why there is none.</summary>
internal readonly record struct CvssReading(CvssVector? Vector, CvssFault? Fault);

/// <summary>
/// A valid CVSS vector of version 2.0, 3.0, 3.1 or 4.0. Read strictly: abbreviations are case-sensitive, a metric stands once, all base metrics
/// are there, the order is the specification's where that demands one.
/// </summary>
internal sealed class CvssVector
{
    /// <summary>In characters. The longest valid vector, with every metric of version 4.0, has 178.</summary>
    public const int MaxLength = 512;

    private static readonly CvssFault Empty = new(0, "is empty");
    private static readonly CvssFault TooLong = new(MaxLength, $"is longer than {MaxLength} characters");
    private static readonly CvssFault UnknownVersion = new("CVSS:".Length, "is not a version with a prefix: 3.0, 3.1 or 4.0");

    private readonly CvssScheme _scheme;
    private readonly CvssValues _values;

    private CvssVector(CvssScheme scheme, in CvssValues values) => (_scheme, _values) = (scheme, values);

    public CvssVersion Version => _scheme.Version;

    /// <summary>The number of a value by the position of its metric; 0 is "not defined".</summary>
    public int this[int metric] => _values[metric];

    /// <summary>The value of a metric by name; null when it is not defined, or not one of this version.</summary>
    public string? this[string metric]
    {
        get
        {
            var index = Array.FindIndex(_scheme.Metrics, known => known.Name == metric);
            return index >= 0 && _values[index] is > 0 and var value ? _scheme.Metrics[index].Values[value - 1] : null;
        }
    }

    public static CvssReading Read(string text) => Read(Encoding.UTF8.GetBytes(text));

    /// <param name="text">UTF-8. Positions are right in characters all the same: what stands before a fault is ASCII.</param>
    public static CvssReading Read(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty)
            return new(null, Empty);
        if (text.Length > MaxLength)
            return new(null, TooLong);
        if (SchemeOf(text) is not { } scheme)
            return new(null, UnknownVersion);

        var values = default(CvssValues);
        var (seen, next, at) = (0u, 0, scheme.Prefix.Length);
        while (true)
        {
            var rest = text[at..];
            var field = rest.IndexOf((byte)'/') is >= 0 and var slash ? rest[..slash] : rest;
            var colon = field.IndexOf((byte)':');
            if (colon < 0)
                return Fault(at, field.IsEmpty ? "a metric is missing here" : "is not a metric and its value, joined by ':'");
            var metric = scheme.IndexOf(field[..colon], next);
            if (metric < 0)
                return Fault(at, scheme.NoSuchMetric);
            if ((seen & (1u << metric)) != 0)
                return Fault(at, scheme.Metrics[metric].Repeated);
            if (scheme.IsOrdered && metric < next)
                return Fault(at, scheme.Metrics[metric].OutOfOrder);
            if (scheme.Metrics[metric].Find(field[(colon + 1)..]) is not { } value)
                return Fault(at + colon + 1, scheme.Metrics[metric].NoSuchValue);

            values[metric] = value;
            seen |= 1u << metric;
            next = metric + 1;
            if (field.Length == rest.Length)
                break;
            at += field.Length + 1;
        }

        for (var i = 0; i < scheme.Metrics.Length && scheme.Metrics[i].Group == CvssGroup.Base; i++)
        {
            if (values[i] == 0)
                return Fault(text.Length, scheme.Metrics[i].Missing);
        }

        return new(new CvssVector(scheme, values), null);

        static CvssReading Fault(int position, string reason) => new(null, new CvssFault(position, reason));
    }

    public bool Has(CvssGroup group)
    {
        for (var i = 0; i < _scheme.Metrics.Length; i++)
        {
            if (_values[i] != 0 && _scheme.Metrics[i].Group == group)
                return true;
        }

        return false;
    }

    /// <summary>The same vector with these environmental metrics; those the environment does not define stay as they are.</summary>
    public CvssVector With(CvssEnvironment environment)
    {
        var given = environment.Of(_scheme);
        var values = _values;
        for (var i = 0; i < CvssValues.Count; i++)
        {
            if (given[i] != 0)
                values[i] = given[i];
        }

        return new CvssVector(_scheme, values);
    }

    public CvssScores Score() => Version switch
    {
        CvssVersion.V20 => Cvss2.Score(this),
        CvssVersion.V30 or CvssVersion.V31 => Cvss3.Score(this),
        _ => Cvss4.Score(this),
    };

    /// <summary>Writes <see cref="ToString"/> as ASCII and returns its length, <see cref="MaxLength"/> at most.</summary>
    public int Format(Span<byte> destination)
    {
        var length = Append(destination, 0, _scheme.Prefix);
        var start = length;
        for (var i = 0; i < _scheme.Metrics.Length; i++)
        {
            if (_values[i] == 0)
                continue;
            if (length > start)
                destination[length++] = (byte)'/';
            length = Append(destination, length, _scheme.Metrics[i].NameBytes);
            destination[length++] = (byte)':';
            length = Append(destination, length, _scheme.Metrics[i].ValueBytes(_values[i]));
        }

        return length;

        static int Append(Span<byte> destination, int length, ReadOnlySpan<byte> text)
        {
            text.CopyTo(destination[length..]);
            return length + text.Length;
        }
    }

    /// <summary>Normalised: in the specification's order, without what is not defined. It reads as the same vector.</summary>
    public override string ToString()
    {
        Span<byte> text = stackalloc byte[MaxLength];
        return Encoding.ASCII.GetString(text[..Format(text)]);
    }

    // Version 2.0 has no prefix, so anything without one is read as that.
    private static CvssScheme? SchemeOf(ReadOnlySpan<byte> text)
    {
        foreach (var scheme in CvssScheme.All)
        {
            if (text.StartsWith(scheme.Prefix) && (!scheme.Prefix.IsEmpty || !text.StartsWith("CVSS:"u8)))
                return scheme;
        }

        return null;
    }
}

using System.Text;

namespace Wave16.VulnCenter.Cvss;

/// <summary>A metric of one version: its abbreviation and the abbreviations of its values, both case-sensitive.</summary>
/// <remarks>A value is known by its number: 0 is "not defined", which a base metric cannot be, 1 the first of <see cref="Values"/>.</remarks>
internal sealed class CvssMetric
{
    private readonly byte[] _name;
    private readonly byte[][] _values;
    private readonly byte[] _notDefined;

    /// <param name="values">Separated by spaces.</param>
    public CvssMetric(string name, CvssGroup group, string notDefined, string values)
    {
        (Name, Group, Values) = (name, group, values.Split(' '));
        _name = Encoding.ASCII.GetBytes(name);
        _values = [.. Values.Select(Encoding.ASCII.GetBytes)];
        _notDefined = Encoding.ASCII.GetBytes(notDefined);
        var allowed = string.Join(", ", group == CvssGroup.Base ? Values : [.. Values, notDefined]);
        Missing = $"{name} is missing";
        Repeated = $"{name} is given twice";
        OutOfOrder = $"{name} is out of order";
        NoSuchValue = $"is not a value of {name}: it must be one of {allowed}";
    }

    public string Name { get; }

    public CvssGroup Group { get; }

    public IReadOnlyList<string> Values { get; }

    // Reasons are made once: a request may hold 200,000 faults.
    public string Missing { get; }

    public string Repeated { get; }

    public string OutOfOrder { get; }

    public string NoSuchValue { get; }

    public ReadOnlySpan<byte> NameBytes => _name;

    public ReadOnlySpan<byte> ValueBytes(int value) => _values[value - 1];

    public bool IsNamed(ReadOnlySpan<byte> name) => name.SequenceEqual(_name);

    /// <summary>The value's number; null when the metric has no such value.</summary>
    public byte? Find(ReadOnlySpan<byte> value)
    {
        for (var i = 0; i < _values.Length; i++)
        {
            if (value.SequenceEqual(_values[i]))
                return (byte)(i + 1);
        }

        return Group != CvssGroup.Base && value.SequenceEqual(_notDefined) ? (byte)0 : null;
    }
}

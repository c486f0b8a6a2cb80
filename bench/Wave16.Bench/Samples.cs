using System.Diagnostics;

namespace Wave16.Bench;

/// <summary>Measurements of one thing, a value per round.</summary>
internal sealed class Samples
{
    private readonly List<double> _values = [];

    public int Count => _values.Count;

    public double Median => Percentile(0.5);

    public double Last => _values[^1];

    public double Percentile(double share)
    {
        var sorted = _values.Order().ToList();
        return sorted[(int)Math.Min(sorted.Count - 1, Math.Floor(share * sorted.Count))];
    }

    public void Add(double value) => _values.Add(value);

    /// <summary>Runs the action and keeps how many seconds it took.</summary>
    public async Task<T> TimeAsync<T>(Func<Task<T>> action)
    {
        var started = Stopwatch.GetTimestamp();
        var result = await action();
        Add(Stopwatch.GetElapsedTime(started).TotalSeconds);
        return result;
    }

    public string Range(string format = "F2") =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{_values.Min().ToString(format, System.Globalization.CultureInfo.InvariantCulture)} to {_values.Max().ToString(format, System.Globalization.CultureInfo.InvariantCulture)}");
}

/// <summary>A Markdown table, printed when it is complete.</summary>
internal sealed class Table(string title, params string[] columns)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells) => _rows.Add(cells);

    public void Print()
    {
        Console.WriteLine();
        Console.WriteLine($"**{title}**");
        Console.WriteLine();
        Console.WriteLine($"| {string.Join(" | ", columns)} |");
        Console.WriteLine($"|{string.Concat(Enumerable.Repeat("---|", columns.Length))}");
        foreach (var row in _rows)
        {
            Console.WriteLine($"| {string.Join(" | ", row)} |");
        }
    }
}

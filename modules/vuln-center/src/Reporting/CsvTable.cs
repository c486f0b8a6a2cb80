using System.Buffers;
using System.Globalization;
using System.Text;

namespace Wave16.VulnCenter.Reporting;

/// <summary>A table as RFC 4180 writes it, in UTF-8. What a spreadsheet would take for a formula is made text by an apostrophe before it.</summary>
internal sealed class CsvTable(Stream destination)
{
    private const int FlushAt = 16 << 10;

    private static readonly SearchValues<char> Quoted = SearchValues.Create(",\"\r\n");

    // Also the wide forms, which some spreadsheets read as the narrow ones.
    private static readonly SearchValues<char> FormulaStarts = SearchValues.Create("=+-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20");

    private readonly StringBuilder _text = new();

    public async Task RowAsync(CancellationToken cancellation, params IReadOnlyList<string?> cells)
    {
        for (var i = 0; i < cells.Count; i++)
        {
            _text.Append(i == 0 ? "" : ",");
            Append(cells[i] ?? "");
        }

        _text.Append("\r\n");
        if (_text.Length >= FlushAt)
        {
            await EndAsync(cancellation);
        }
    }

    public async Task EndAsync(CancellationToken cancellation)
    {
        await destination.WriteAsync(Encoding.UTF8.GetBytes(_text.ToString()), cancellation);
        _text.Clear();
    }

    public static string Of(long number) => number.ToString(CultureInfo.InvariantCulture);

    public static string Of(bool value) => value ? "true" : "false";

    public static string? Of(DateTimeOffset? time) => time?.UtcDateTime.ToString("O", CultureInfo.InvariantCulture);

    private void Append(string cell)
    {
        // A tab or a line end is itself one of the characters; blanks before a formula do not keep it from being one.
        var start = cell.AsSpan().TrimStart(' ');
        var safe = !start.IsEmpty && FormulaStarts.Contains(start[0]) ? $"'{cell}" : cell;
        if (safe.AsSpan().ContainsAny(Quoted) || safe.StartsWith(' ') || safe.EndsWith(' '))
        {
            _text.Append('"').Append(safe.Replace("\"", "\"\"", StringComparison.Ordinal)).Append('"');
        }
        else
        {
            _text.Append(safe);
        }
    }
}

using System.Runtime.CompilerServices;
using System.Text;

namespace Wave16.VulnCenter.Feeds;

/// <param name="Line">Where it begins, from 1.</param>
internal sealed record CsvRecord(long Line, IReadOnlyList<string> Fields);

/// <summary>Records of a comma-separated file (RFC 4180, UTF-8), one at a time; blank lines are skipped, and lines with '#' in front are yielded as one field.</summary>
internal static class CsvRecords
{
    private const int MaxRecordLength = 256 << 10;
    private const int MaxFields = 64;

    /// <exception cref="FeedException">A quote that does not end, a record over the limit.</exception>
    public static async IAsyncEnumerable<CsvRecord> ReadAsync(Stream csv, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var reader = new StreamReader(csv, Encoding.UTF8, detectEncodingFromByteOrderMarks: true, bufferSize: 128 << 10, leaveOpen: true);
        var buffer = new char[32 << 10];
        var record = new Record();
        int read;
        while ((read = await reader.ReadAsync(buffer, cancellation)) > 0)
        {
            for (var i = 0; i < read; i++)
            {
                if (record.Add(buffer[i]) is { } whole)
                {
                    yield return whole;
                }
            }
        }

        if (record.End() is { } last)
        {
            yield return last;
        }
    }

    private sealed class Record
    {
        private readonly StringBuilder _field = new();
        private List<string> _fields = [];
        private long _line = 1;
        private long _begin = 1;
        private int _length;
        private bool _quoted;
        private bool _wasQuoted;
        private bool _comment;

        public CsvRecord? Add(char c)
        {
            if (++_length > MaxRecordLength)
            {
                throw FeedException.AtLine(_begin, $"is longer than {MaxRecordLength} characters");
            }

            switch (c)
            {
                case '\n' when !_quoted:
                    var whole = Take();
                    _begin = ++_line;
                    return whole;
                case '\n':
                    _line++;
                    _field.Append(c);
                    return null;
                case '\r' when !_quoted:
                    return null;
                case '"' when !_comment && _quoted:
                    _quoted = false;
                    return null;
                case '"' when !_comment && (_field.Length == 0 || _wasQuoted):
                    // A quote right after the closing one stands for itself.
                    if (_wasQuoted)
                    {
                        _field.Append('"');
                    }

                    _quoted = _wasQuoted = true;
                    return null;
                case ',' when !_quoted && !_comment:
                    EndField();
                    return null;
                case '#' when _fields.Count == 0 && _field.Length == 0 && !_wasQuoted:
                    _comment = true;
                    _field.Append(c);
                    return null;
                default:
                    _field.Append(c);
                    return null;
            }
        }

        public CsvRecord? End() => _quoted ? throw FeedException.AtLine(_begin, "has a quote that does not end") : Take();

        private CsvRecord? Take()
        {
            var blank = _fields.Count == 0 && _field.Length == 0 && !_wasQuoted;
            EndField();
            var record = blank ? null : new CsvRecord(_begin, _fields);
            (_fields, _length, _comment) = ([], 0, false);
            return record;
        }

        private void EndField()
        {
            if (_fields.Count == MaxFields)
            {
                throw FeedException.AtLine(_begin, $"has more than {MaxFields} fields");
            }

            _fields.Add(_field.ToString());
            _field.Clear();
            _wasQuoted = false;
        }
    }
}

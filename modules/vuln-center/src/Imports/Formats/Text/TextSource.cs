using System.Buffers;

namespace Wave16.VulnCenter.Imports.Formats.Text;

/// <summary>
/// The characters of a report, or of a part of it, that remembers the bytes they came from until
/// <see cref="MoveTo"/> or <see cref="Take"/> has passed them: what a parser calls line and column, or a number of
/// characters, becomes an offset in bytes.
/// </summary>
internal sealed class TextSource(
    Stream report, TextEncoding encoding, long start, long end, int maxBytes, CancellationToken cancellation) : TextReader
{
    const int BlockSize = 64 << 10;

    byte[] _buffer = ArrayPool<byte>.Shared.Rent(4 * BlockSize);
    long _base = start;
    int _filled;
    int _decoded;
    bool _ended;
    char _pending;

    // Where MoveTo stands: an index into the buffer, and how an XML reader calls it.
    int _cursor;
    long _column = 1;
    long _lineStart = start;

    /// <summary>Whether places and bytes are asked for. If not, nothing is kept, and the caller has seen to the limit.</summary>
    public bool KeepsBytes { get; init; } = true;

    /// <summary>The innermost element known, for errors.</summary>
    public Func<string> Pointer { get; set; } = static () => "";

    /// <summary>Whether the reader has asked for more than there is.</summary>
    public bool HasEnded { get; private set; }

    /// <summary>The first character that is no white space; NUL when there is none.</summary>
    public char First { get; private set; }

    public long Line { get; private set; } = 1;

    public long Offset => _base + _cursor;

    // Parsers pass no token on.
    public override async ValueTask<int> ReadAsync(Memory<char> buffer, CancellationToken cancellationToken = default)
    {
        while (buffer.Length > 0)
        {
            if (Decode(buffer.Span) is var written and > 0)
                return written;
            if (_ended)
            {
                HasEnded = true;
                return 0;
            }
            await FillAsync();
        }
        return 0;
    }

    public override Task<int> ReadAsync(char[] buffer, int index, int count) => ReadAsync(buffer.AsMemory(index, count), cancellation).AsTask();

    /// <summary>Moves to a place the reader has reached, 1-based, and forgets what stands before it.</summary>
    /// <returns>The offset in the report.</returns>
    public long MoveTo(long line, long column)
    {
        while ((Line < line || (Line == line && _column < column)) && _cursor < _decoded)
            Step();
        return Offset;
    }

    /// <summary>Passes as many characters, which a parser has read.</summary>
    /// <returns>The bytes they came from, valid until the next read.</returns>
    public ReadOnlySpan<byte> Take(long characters)
    {
        var first = _cursor;
        while (characters > 0 && _cursor < _decoded)
            characters -= Step();
        return _buffer.AsSpan(first, _cursor - first);
    }

    /// <summary>The offset behind the tag that begins here.</summary>
    public long TagEnd()
    {
        var quote = '\0';
        for (var i = _cursor; i < _decoded;)
        {
            i += encoding.Measure(_buffer.AsSpan(i, _filled - i), out _, out var c);
            if (c == '>' && quote == '\0')
                return _base + i;
            if (c is '"' or '\'' && (quote == '\0' || quote == c))
                quote = quote == '\0' ? c : '\0';
        }
        return _base + _decoded;
    }

    /// <summary>Whether the character here is this one, of ASCII.</summary>
    public bool IsAt(char c)
    {
        if (_cursor >= _filled)
            return false;
        encoding.Measure(_buffer.AsSpan(_cursor, _filled - _cursor), out _, out var ascii);
        return ascii == c;
    }

    /// <summary>Whether a whole tag begins here.</summary>
    public bool IsAtTag() => IsAt('<') && TagEnd() < _base + _decoded;

    /// <summary>An error at the place reached last.</summary>
    public ReportFormatException Fault(string code, string detail) => new(code, detail, Offset, Line, Offset - _lineStart + 1, Pointer());

    /// <summary>An error at the end of the document, which the reader has reached.</summary>
    public ReportFormatException FaultAtEnd(string code, string detail)
    {
        MoveTo(long.MaxValue, 1);
        return Fault(code, detail);
    }

    protected override void Dispose(bool disposing)
    {
        if (_buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        base.Dispose(disposing);
    }

    int Decode(Span<char> buffer)
    {
        if (_pending != '\0')
        {
            (buffer[0], _pending) = (_pending, '\0');
            return 1;
        }
        var bytes = _buffer.AsSpan(_decoded, _filled - _decoded);
        if (bytes.IsEmpty)
            return 0;
        var written = encoding.Decode(bytes, buffer, _ended, out var used);
        if (written == 0 && buffer.Length == 1)
        {
            // No room for a surrogate pair, which comes in one piece.
            Span<char> pair = stackalloc char[2];
            written = encoding.Decode(bytes, pair, _ended, out used);
            if (written > 0)
                (buffer[0], _pending) = (pair[0], written == 2 ? pair[1] : '\0');
            written = Math.Min(written, 1);
        }
        _decoded += used;
        if (First == '\0' && buffer[..written].TrimStart() is [var first, ..])
            First = first;
        return written;
    }

    async ValueTask FillAsync()
    {
        if (!KeepsBytes)
            _cursor = _decoded;
        if (_filled - _cursor > maxBytes)
            throw Fault(ReportFormatException.TooLarge, $"A single value is larger than {maxBytes} bytes.");
        if (_buffer.Length - _filled < BlockSize)
            MakeRoom();
        var position = _base + _filled;
        report.Position = position;
        var wanted = (int)Math.Min(BlockSize, end - position);
        var read = wanted == 0 ? 0 : await report.ReadAsync(_buffer.AsMemory(_filled, wanted), cancellation);
        _filled += read;
        _ended = read == 0;
    }

    void MakeRoom()
    {
        var kept = _filled - _cursor;
        var room = kept + BlockSize > _buffer.Length / 2 ? ArrayPool<byte>.Shared.Rent(2 * (kept + BlockSize)) : _buffer;
        _buffer.AsSpan(_cursor, kept).CopyTo(room);
        if (room != _buffer)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = room;
        _base += _cursor;
        (_filled, _decoded, _cursor) = (kept, _decoded - _cursor, 0);
    }

    // Lines end as XML says (section 2.11): CR LF, LF, or CR alone.
    int Step()
    {
        _cursor += encoding.Measure(_buffer.AsSpan(_cursor, _filled - _cursor), out var chars, out var c);
        _column += chars;
        if (c is '\n' || (c is '\r' && !IsAt('\n')))
        {
            Line++;
            (_column, _lineStart) = (1, Offset);
        }
        return chars;
    }
}

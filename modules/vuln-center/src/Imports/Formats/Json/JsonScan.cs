using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Imports.Formats.Text;

namespace Wave16.VulnCenter.Imports.Formats.Json;

/// <summary>The first pass of <see cref="JsonMap"/>: a push-down walk along the asked paths over a growing buffer.</summary>
/// <param name="isLines">A document that is no array is read as the elements of one, one value after the other.</param>
internal sealed class JsonScan(Stream report, JsonPaths paths, ReportContext context, bool isLines) : IDisposable
{
    const int InitialBuffer = 256 << 10;
    const int MaxScalarLength = 64 << 10;
    const int MaxRetained = 64 << 20;

    readonly List<Frame> _frames = [];
    byte[] _buffer = ArrayPool<byte>.Shared.Rent(InitialBuffer);
    int _filled;
    long _base;
    bool _ended;
    JsonReaderState _state = new(new JsonReaderOptions { MaxDepth = context.MaxDepth, AllowMultipleValues = isLines });

    // The subtree being skipped ends when the reader is back at this depth; -1: not skipping.
    int _skipTo = -1;
    // The array element being skipped started here; -1: what is skipped is not an element.
    long _elementStart = -1;
    // What the value after the last property name is.
    JsonPaths.Node? _pending;
    // The last property name of an object whose members were asked for, as a segment of a pointer.
    string _pendingName = "";
    bool _anyToken;
    bool _anyRoot;
    long _retained;

    public List<JsonMap.Extent> Extents { get; } = [];
    public List<JsonSection> Sections { get; } = [];
    public Dictionary<string, string> Scalars { get; } = [];
    public HashSet<string> Present { get; } = [];
    public Dictionary<string, int> Lengths { get; } = [];
    public bool RootIsObject { get; private set; }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        report.Position = 0;
        await FillAsync(cancellationToken);
        await SkipByteOrderMarkAsync(cancellationToken);
        while (true)
        {
            if (Advance() is { } fault)
                throw await fault.LocateAsync(report, cancellationToken);
            if (_ended)
                break;
            await FillAsync(cancellationToken);
        }
        if (!_anyToken)
            throw await new ScanFault(ReportFormatException.Empty, "The report is empty.", "").LocateAsync(report, cancellationToken);
        Finish();
    }

    // Values one after the other: the frame that stands for their array has no end of its own.
    void Finish()
    {
        if (_frames is [{ Section: { } section }])
            section.Count = Extents.Count - section.First;
    }

    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);

    async ValueTask FillAsync(CancellationToken cancellationToken)
    {
        if (_filled == _buffer.Length)
            _buffer = PooledBytes.Doubled(_buffer);
        var read = await report.ReadAsync(_buffer.AsMemory(_filled), cancellationToken);
        _filled += read;
        _ended = read == 0;
    }

    async ValueTask SkipByteOrderMarkAsync(CancellationToken cancellationToken)
    {
        while (_filled < 3 && !_ended)
            await FillAsync(cancellationToken);
        var head = _buffer.AsSpan(0, _filled);
        if (head.StartsWith(Encoding.UTF8.Preamble))
            Consume(3);
        else if (head is [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..] or [0, ..] or [_, 0, ..])
            throw new ReportFormatException(ReportFormatException.Encoding, "The report is UTF-16 or UTF-32; JSON is exchanged as UTF-8 (RFC 8259 section 8.1).", 0, 1, 1, "");
    }

    // Reads what is in the buffer; an error is returned, not thrown, because locating it needs the stream.
    ScanFault? Advance()
    {
        var reader = new Utf8JsonReader(_buffer.AsSpan(0, _filled), _ended, _state);
        try
        {
            while (reader.Read())
            {
                _anyToken = true;
                var fault = _skipTo >= 0 ? Skip(ref reader) : Step(ref reader);
                if (fault is not null)
                    return fault;
            }
        }
        catch (JsonException exception)
        {
            return Classify(exception, reader.CurrentDepth);
        }
        _state = reader.CurrentState;
        Consume((int)reader.BytesConsumed);
        if (_filled > context.MaxElementBytes || (_elementStart >= 0 && _base - _elementStart > context.MaxElementBytes))
            return TooLarge(_elementStart >= 0 ? _elementStart : _base);
        return null;
    }

    ScanFault? Skip(ref Utf8JsonReader reader)
    {
        do
        {
            if (reader.CurrentDepth != _skipTo || reader.TokenType is not (JsonTokenType.EndObject or JsonTokenType.EndArray))
                continue;
            _skipTo = -1;
            if (_elementStart < 0)
                return null;
            var start = _elementStart;
            _elementStart = -1;
            return AddElement(start, _base + reader.BytesConsumed);
        }
        while (reader.Read());
        return null;
    }

    ScanFault? Step(ref Utf8JsonReader reader)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.PropertyName:
                return Name(ref reader);
            case JsonTokenType.EndObject:
                if (_frames[^1].Section is { } members)
                    members.Count = Extents.Count - members.First;
                _frames.RemoveAt(_frames.Count - 1);
                return null;
            case JsonTokenType.EndArray:
                if (_frames[^1].Section is { } section)
                    section.Count = Extents.Count - section.First;
                else
                    Lengths[_frames[^1].Pointer] = _frames[^1].Index + 1;
                _frames.RemoveAt(_frames.Count - 1);
                return null;
            default:
                return Value(ref reader);
        }
    }

    ScanFault? Name(ref Utf8JsonReader reader)
    {
        var frame = _frames[^1];
        var name = reader.ValueIsEscaped ? Encoding.UTF8.GetBytes(JsonText.Decode(reader.ValueSpan, escaped: true)) : reader.ValueSpan;
        if (frame.Members is not null)
            return Member(frame, ref reader);
        _pending = frame.Node.Find(name, out var position);
        if (_pending is null)
            return null;
        if (!frame.IsFirst(position))
            return Fault(ReportFormatException.DuplicateKey, "The key occurs twice, so pointers into it would be ambiguous.", reader.TokenStartIndex, PendingPointer());
        return null;
    }

    ScanFault? Member(Frame frame, ref Utf8JsonReader reader)
    {
        var name = JsonText.Decode(reader.ValueSpan, reader.ValueIsEscaped);
        (_pending, _pendingName) = (frame.Node.EachMember, JsonSection.Escape(name));
        if (frame.Members?.Add(name) is false)
            return Fault(ReportFormatException.DuplicateKey, "The key occurs twice, so pointers into it would be ambiguous.", reader.TokenStartIndex, PendingPointer());
        frame.Names?.Add(name);
        return Retain(2 * name.Length, reader.TokenStartIndex, PendingPointer());
    }

    ScanFault? Value(ref Utf8JsonReader reader)
    {
        if (_frames.Count == 0)
        {
            if (_anyRoot)
                return Fault(ReportFormatException.Malformed, "Another value follows the end of the document.", reader.TokenStartIndex, "");
            _anyRoot = true;
            if (isLines && reader.TokenType != JsonTokenType.StartArray && paths.Root.Each is { Pattern: { } each })
            {
                Sections.Add(new JsonSection(each, "", 0) { IsLines = true });
                _frames.Add(new Frame(paths.Root, isArray: true, Sections[0], "", null));
            }
        }
        var node = Next();
        var isContainer = reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray;
        if (node is { Pattern: not null, IsLeaf: true } && _frames[^1].Section is not null)
        {
            if (!isContainer)
                return AddElement(_base + reader.TokenStartIndex, _base + reader.BytesConsumed);
            (_skipTo, _elementStart) = (reader.CurrentDepth, _base + reader.TokenStartIndex);
            return null;
        }
        if (node is null || (node.IsLeaf && isContainer))
        {
            if (isContainer)
                _skipTo = reader.CurrentDepth;
            if (node is null)
                return null;
            var leaf = PendingPointer();
            Present.Add(leaf);
            return Retain(leaf.Length, reader.TokenStartIndex, leaf);
        }
        if (node.IsLeaf || (node.Pattern is not null && !isContainer))
            return AddScalar(ref reader);
        return isContainer ? Enter(node, ref reader) : ExpectNull(node, ref reader);
    }

    JsonPaths.Node? Next()
    {
        if (_frames.Count == 0)
            return paths.Root;
        var frame = _frames[^1];
        if (!frame.IsArray)
            return _pending;
        frame.Index++;
        return frame.Node.Each;
    }

    ScanFault? Enter(JsonPaths.Node node, ref Utf8JsonReader reader)
    {
        var isArray = reader.TokenType == JsonTokenType.StartArray;
        var pointer = PendingPointer();
        if (isArray ? node.Each is null : !node.HasNames)
            return Fault(ReportFormatException.WrongType, isArray ? "Expected an object, found an array." : "Expected an array, found an object.", reader.TokenStartIndex, pointer);

        if (_frames.Count == 0)
            RootIsObject = !isArray;
        JsonSection? section = null;
        List<string>? names = null;
        if (isArray && node.Each is { IsLeaf: true, Pattern: { } pattern })
            Sections.Add(section = new JsonSection(pattern, pointer, Extents.Count));
        else if (!isArray && node.EachMember is { Pattern: { } memberPattern })
            Sections.Add(section = new JsonSection(memberPattern, pointer, Extents.Count) { Names = names = [] });
        // Array elements are not noted: there can be millions, and nobody asks for them by pointer.
        var isNoted = _frames.Count == 0 || !_frames[^1].IsArray;
        if (isNoted)
            Present.Add(pointer);
        _frames.Add(new Frame(node, isArray, section, pointer, names));
        return isNoted || isArray || section is not null ? Retain(pointer.Length, reader.TokenStartIndex, pointer) : null;
    }

    ScanFault? ExpectNull(JsonPaths.Node node, ref Utf8JsonReader reader) => reader.TokenType == JsonTokenType.Null
        ? null
        : Fault(ReportFormatException.WrongType, $"Expected {(node.Each is null ? "an object" : node.HasNames ? "an object or an array" : "an array")}, found a {reader.TokenType}.", reader.TokenStartIndex, PendingPointer());

    ScanFault? AddScalar(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.Null)
            return null;
        var text = reader.TokenType == JsonTokenType.String
            ? JsonText.Decode(reader.ValueSpan, reader.ValueIsEscaped)
            : Encoding.UTF8.GetString(reader.ValueSpan);
        if (text.Length > MaxScalarLength)
            text = text[..MaxScalarLength];
        var pointer = PendingPointer();
        Scalars[pointer] = text;
        return Retain(text.Length + pointer.Length, reader.TokenStartIndex, pointer);
    }

    ScanFault? Retain(int characters, long tokenStart, string pointer)
    {
        _retained += characters + 64;
        return _retained > MaxRetained
            ? Fault(ReportFormatException.TooMany, $"What the report names besides its results (packages, targets, files) takes more than {MaxRetained} characters; send it in parts, with scope=partial.", tokenStart, pointer)
            : null;
    }

    ScanFault? AddElement(long start, long end)
    {
        if (end - start > context.MaxElementBytes)
            return TooLarge(start);
        Extents.Add(new JsonMap.Extent(start, (int)(end - start)));
        return Extents.Count > context.MaxElements
            ? new ScanFault(ReportFormatException.TooMany, $"More than {context.MaxElements} elements.", Path()) { Offset = start }
            : null;
    }

    void Consume(int count)
    {
        _buffer.AsSpan(count, _filled - count).CopyTo(_buffer);
        _filled -= count;
        _base += count;
    }

    ScanFault Classify(JsonException exception, int depth)
    {
        var fault = new ScanFault(ReportFormatException.Malformed, exception.Message.Split(" LineNumber:")[0], Path())
        {
            Line = exception.LineNumber ?? 0,
            BytesInLine = exception.BytePositionInLine ?? 0,
        };
        if (!_anyToken && _buffer.AsSpan(0, _filled).Trim(" \t\r\n"u8).IsEmpty)
            return fault with { Code = ReportFormatException.Empty, Detail = "The report is empty." };
        if (depth >= context.MaxDepth - 1 && exception.Message.Contains("depth", StringComparison.Ordinal))
            return fault with { Code = ReportFormatException.TooDeep, Detail = $"Nested deeper than {context.MaxDepth} levels." };
        return IsValidSoFar()
            ? fault with { Code = ReportFormatException.Truncated, Detail = "The report ends in the middle of a value.", Line = null, Offset = _base + _filled }
            : fault;
    }

    // What failed only because nothing follows is a valid beginning.
    bool IsValidSoFar()
    {
        if (!_ended)
            return false;
        var reader = new Utf8JsonReader(_buffer.AsSpan(0, _filled), isFinalBlock: false, _state);
        try
        {
            while (reader.Read())
            {
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    ScanFault TooLarge(long offset) =>
        new(ReportFormatException.TooLarge, $"A single value is larger than {context.MaxElementBytes} bytes.", Path()) { Offset = offset };

    ScanFault Fault(string code, string detail, long tokenStart, string pointer) => new(code, detail, pointer) { Offset = _base + tokenStart };

    string PendingPointer()
    {
        if (_frames.Count == 0)
            return "";
        var frame = _frames[^1];
        return frame switch
        {
            { IsArray: true } => string.Create(CultureInfo.InvariantCulture, $"{frame.Pointer}/{frame.Index}"),
            { Members: not null } => $"{frame.Pointer}/{_pendingName}",
            _ => $"{frame.Pointer}/{Encoding.UTF8.GetString((_pending ?? frame.Node).Name)}",
        };
    }

    string Path() => _frames switch
    {
        [] => "",
        [.., { IsArray: true, Index: >= 0 } or { Members.Count: > 0 }] => PendingPointer(),
        [.., var frame] => frame.Pointer,
    };

    sealed class Frame(JsonPaths.Node node, bool isArray, JsonSection? section, string pointer, List<string>? names)
    {
        /// <summary>The names met, of an object whose members were asked for.</summary>
        public List<string>? Names { get; } = names;
        public HashSet<string>? Members { get; } = names is null ? null : new(StringComparer.Ordinal);

        public JsonPaths.Node Node { get; } = node;
        public bool IsArray { get; } = isArray;
        public JsonSection? Section { get; } = section;
        public string Pointer { get; } = pointer;
        public int Index { get; set; } = -1;

        ulong _seen;

        public bool IsFirst(int name)
        {
            var bit = 1UL << name;
            var first = (_seen & bit) == 0;
            _seen |= bit;
            return first;
        }
    }
}

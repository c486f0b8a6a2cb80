using System.Buffers;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Imports.Formats.Text;

namespace Wave16.VulnCenter.Imports.Formats.Json;

/// <summary>
/// What a JSON document looks like near its root: the names down to four levels, of every array only its first element that
/// is an object or array. Written as paths, <c>results/*/check_id</c>. An object is read to its end, since the telling name
/// may come last; of an array or of JSON Lines the first element is enough. A document that is broken keeps what was seen
/// before: saying what is wrong with it is up to the format's reader.
/// </summary>
internal sealed class JsonShape(Stream report, ReportContext context) : IDisposable
{
    const int InitialBuffer = 128 << 10;
    const int Levels = 4;
    const int MaxPaths = 4_096;
    const int MaxNameLength = 100;
    const int MaxScalarLength = 200;

    readonly List<Frame> _frames = [];
    readonly HashSet<string> _named = new(StringComparer.Ordinal);
    byte[] _buffer = ArrayPool<byte>.Shared.Rent(InitialBuffer);
    int _filled;
    bool _ended;
    JsonReaderState _state = new(new JsonReaderOptions { MaxDepth = context.MaxDepth, AllowMultipleValues = true });

    // What is skipped ends when the reader is back at this depth; -1: not skipping.
    int _skipTo = -1;
    string? _pending;
    int _roots;

    /// <summary>Every path met, with the text of a scalar; null for objects and arrays. A JSON null is not met.</summary>
    public Dictionary<string, string?> Paths { get; } = new(StringComparer.Ordinal);

    /// <summary>Names of the root object's members, or of the first element's, in the order met.</summary>
    public List<string> Names { get; } = [];

    public bool IsArray { get; private set; }

    /// <summary>The root array has an element, of whatever kind.</summary>
    public bool HasElements { get; private set; }

    /// <summary>More than one value, one after the other.</summary>
    public bool IsLines => _roots > 1;

    /// <param name="start">Where the document begins, after a byte order mark.</param>
    public async Task RunAsync(long start, CancellationToken cancellationToken)
    {
        report.Position = start;
        while (!_ended && _filled <= context.MaxElementBytes)
        {
            await FillAsync(cancellationToken);
            if (!Advance())
                return;
        }
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

    // False when there is nothing more to be learned.
    bool Advance()
    {
        var reader = new Utf8JsonReader(_buffer.AsSpan(0, _filled), _ended, _state);
        try
        {
            while (reader.Read())
            {
                if (_skipTo >= 0)
                    Skip(ref reader);
                else if (!Step(ref reader))
                    return false;
            }
        }
        catch (JsonException)
        {
            return false;
        }
        _state = reader.CurrentState;
        var consumed = (int)reader.BytesConsumed;
        _buffer.AsSpan(consumed, _filled - consumed).CopyTo(_buffer);
        _filled -= consumed;
        return true;
    }

    void Skip(ref Utf8JsonReader reader)
    {
        do
        {
            if (reader.CurrentDepth != _skipTo || reader.TokenType is not (JsonTokenType.EndObject or JsonTokenType.EndArray))
                continue;
            _skipTo = -1;
            return;
        }
        while (reader.Read());
    }

    bool Step(ref Utf8JsonReader reader)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.PropertyName:
                _pending = Name(ref reader);
                return true;
            case JsonTokenType.EndObject or JsonTokenType.EndArray:
                _frames.RemoveAt(_frames.Count - 1);
                return !(IsArray && _frames.Count == 1);
            default:
                return Value(ref reader);
        }
    }

    string? Name(ref Utf8JsonReader reader)
    {
        if (reader.ValueSpan.Length > 6 * MaxNameLength)
            return null;
        var name = JsonText.Decode(reader.ValueSpan, reader.ValueIsEscaped);
        if (name.Length > MaxNameLength || name.Contains('/', StringComparison.Ordinal))
            return null;
        if (_frames is [_] or [{ IsArray: true }, _] && Names.Count < MaxPaths && _named.Add(name))
            Names.Add(name);
        return name;
    }

    bool Value(ref Utf8JsonReader reader)
    {
        var isContainer = reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray;
        if (_frames.Count == 0)
        {
            if (++_roots > 1)
                return false;
            IsArray = reader.TokenType == JsonTokenType.StartArray;
            if (isContainer)
                _frames.Add(new Frame("", IsArray));
            return isContainer;
        }

        var frame = _frames[^1];
        HasElements |= IsArray && _frames.Count == 1;
        var path = frame.IsArray ? frame.Prefix + "*" : _pending is null ? null : frame.Prefix + _pending;
        if (path is not null && reader.TokenType != JsonTokenType.Null && (Paths.Count < MaxPaths || Paths.ContainsKey(path)))
            Paths[path] = isContainer ? null : Scalar(ref reader);
        if (!isContainer)
            return true;
        if (path is null || frame.HasEntered || _frames.Count > Levels || Paths.Count >= MaxPaths)
        {
            _skipTo = reader.CurrentDepth;
            return true;
        }
        frame.HasEntered = frame.IsArray;
        _frames.Add(new Frame(path + "/", reader.TokenType == JsonTokenType.StartArray));
        return true;
    }

    static string Scalar(ref Utf8JsonReader reader)
    {
        var bytes = reader.ValueSpan.Length > 6 * MaxScalarLength ? reader.ValueSpan[..MaxScalarLength] : reader.ValueSpan;
        var text = reader.TokenType == JsonTokenType.String && bytes.Length == reader.ValueSpan.Length
            ? JsonText.Decode(bytes, reader.ValueIsEscaped)
            : Encoding.UTF8.GetString(bytes);
        return text.Length > MaxScalarLength ? text[..MaxScalarLength] : text;
    }

    sealed class Frame(string prefix, bool isArray)
    {
        public string Prefix { get; } = prefix;
        public bool IsArray { get; } = isArray;

        /// <summary>An array's first object or array has been met.</summary>
        public bool HasEntered { get; set; }
    }
}

using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Cvss;

/// <summary>
/// Reads <see cref="ScoreVectors"/> as it arrives. Kept of a vector are its values, not its text: 200,000 are some 16 MB, however long they were.
/// The answer begins when all is read, so that a broken or oversized request is refused as a whole.
/// </summary>
internal sealed class VectorList
{
    public const int MaxVectors = 200_000;

    /// <summary>In bytes. A longer value cannot be passed over in bounded memory: the request is refused.</summary>
    private const int MaxToken = 64 << 10;

    // A character may be written as six: \u0041.
    private const int LongestEscape = 6;

    private static readonly CvssReading TooLong = CvssVector.Read(new byte[CvssVector.MaxLength + 1]);
    private static readonly CvssReading NotText = Fault("is not valid Unicode");
    private static readonly CvssReading Null = Fault("is null, not a string");
    private static readonly CvssReading Number = Fault("is a number, not a string");
    private static readonly CvssReading Boolean = Fault("is a boolean, not a string");
    private static readonly CvssReading Array = Fault("is an array, not a string");
    private static readonly CvssReading Object = Fault("is an object, not a string");

    private readonly List<CvssReading> _vectors = [];
    private JsonReaderState _state;
    private Place _place = Place.Outside;
    private bool _seen;

    private enum Place
    {
        /// <summary>Before the body's object, or in it.</summary>
        Outside,

        /// <summary>Behind the name of our member.</summary>
        AtVectors,
        InVectors,
    }

    /// <exception cref="RefusedException">Too many vectors, or not an object with an array of them.</exception>
    /// <exception cref="BadHttpRequestException">Not JSON.</exception>
    public static async Task<IReadOnlyList<CvssReading>> ReadAsync(PipeReader body, CancellationToken cancellation)
    {
        var list = new VectorList();
        while (true)
        {
            var read = await body.ReadAsync(cancellation);
            // A read that ends in a refusal is over, too: the server reads the rest of the body away.
            var consumed = read.Buffer.End;
            try
            {
                consumed = list.Take(read.Buffer, read.IsCompleted);
            }
            finally
            {
                body.AdvanceTo(consumed, read.Buffer.End);
            }

            if (read.IsCompleted)
                break;
        }

        return list._seen ? list._vectors : throw Refused(ProblemCodes.Invalid.Code, "The body lacks required members.", "/vectors", "is required");
    }

    private string Pointer => _place == Place.InVectors ? $"/vectors/{_vectors.Count}" : "";

    private SequencePosition Take(ReadOnlySequence<byte> bytes, bool isLast)
    {
        var reader = new Utf8JsonReader(bytes, isLast, _state);
        try
        {
            while (reader.Read())
            {
                Bound(reader.HasValueSequence ? reader.ValueSequence.Length : reader.ValueSpan.Length);
                Take(ref reader);
            }
        }
        catch (JsonException broken) when (broken.GetType() != typeof(JsonException))
        {
            throw new BadHttpRequestException("Not JSON.", new JsonException(broken.Message, _place == Place.InVectors ? $"$.vectors[{_vectors.Count}]" : "$", broken.LineNumber, broken.BytePositionInLine, broken));
        }

        Bound(bytes.Length - reader.BytesConsumed);
        _state = reader.CurrentState;
        return reader.Position;
    }

    private void Bound(long token)
    {
        if (token > MaxToken)
            throw Refused(ProblemCodes.TooLarge.Code, $"A value of more than {MaxToken} bytes is not read.", Pointer, $"is longer than {MaxToken} bytes");
    }

    private void Take(ref Utf8JsonReader reader)
    {
        switch (_place, reader.CurrentDepth)
        {
            case (Place.InVectors, 1):
                _place = Place.Outside;
                break;
            case (Place.InVectors, 2):
                if (reader.TokenType is not (JsonTokenType.EndObject or JsonTokenType.EndArray))
                    Add(Reading(ref reader));
                break;
            case (Place.AtVectors, _):
                _place = reader.TokenType == JsonTokenType.StartArray
                    ? Place.InVectors
                    : throw Refused(ProblemCodes.Invalid.Code, "The body has a value that is not accepted.", "/vectors", "must be an array of strings");
                break;
            case (Place.Outside, 0) when reader.TokenType is not (JsonTokenType.StartObject or JsonTokenType.EndObject):
                throw Refused(ProblemCodes.Invalid.Code, "The body has a value that is not accepted.", "", "must be an object");
            case (Place.Outside, 1) when reader.TokenType == JsonTokenType.PropertyName && IsVectors(ref reader):
                if (_seen)
                    throw Refused(ProblemCodes.Invalid.Code, "The body has a value that is not accepted.", "/vectors", "is given twice");
                (_seen, _place) = (true, Place.AtVectors);
                break;
            case (Place.Outside, 1) when reader.TokenType == JsonTokenType.PropertyName:
                var name = Encoding.UTF8.GetString(reader.HasValueSequence ? reader.ValueSequence.ToArray() : reader.ValueSpan);
                throw Refused(ProblemCodes.Invalid.Code, "The body has a member that is not known.", "/" + JsonSection.Escape(name), "is not a member of this body");
        }
    }

    private static bool IsVectors(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.ValueTextEquals("vectors"u8);
        }
        catch (InvalidOperationException)
        {
            // An escape that stands for no character.
            return false;
        }
    }

    private void Add(CvssReading reading)
    {
        if (_vectors.Count == MaxVectors)
            throw Refused(FindingProblems.TooManyVectors, $"At most {MaxVectors} vectors are scored in one request.", Pointer, "is one too many");
        _vectors.Add(reading);
    }

    private static CvssReading Reading(ref Utf8JsonReader reader) => reader.TokenType switch
    {
        JsonTokenType.String => OfString(ref reader),
        JsonTokenType.Null => Null,
        JsonTokenType.Number => Number,
        JsonTokenType.True or JsonTokenType.False => Boolean,
        JsonTokenType.StartArray => Array,
        _ => Object,
    };

    private static CvssReading OfString(ref Utf8JsonReader reader)
    {
        if (!reader.HasValueSequence && !reader.ValueIsEscaped)
            return CvssVector.Read(reader.ValueSpan);
        var length = reader.HasValueSequence ? reader.ValueSequence.Length : reader.ValueSpan.Length;
        if (length > CvssVector.MaxLength * (reader.ValueIsEscaped ? LongestEscape : 1))
            return TooLong;
        Span<byte> text = stackalloc byte[(int)length];
        try
        {
            return CvssVector.Read(text[..reader.CopyString(text)]);
        }
        catch (InvalidOperationException)
        {
            return NotText;
        }
    }

    private static CvssReading Fault(string reason) => new(null, new CvssFault(0, reason));

    private static RefusedException Refused(string code, string detail, string pointer, string reason) => new(new Refusal(code, detail, [new FieldError(pointer, reason)]));
}

using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Wave16.ServiceDefaults;

/// <summary>An opaque keyset position. Base64url (RFC 4648 §5) of: format version (1 byte), fingerprint of the filters (8),
/// checksum (8), position as JSON (UTF-8).</summary>
/// <remarks>The checksum catches damage and guessing, not forgery: a forged position can only start the page elsewhere among the
/// rows the caller may read anyway, since tenant and filters never come from the cursor.</remarks>
public static class PageCursor
{
    private const byte FormatVersion = 1;
    private const int HashLength = 8;
    private const int HeaderLength = 1 + HashLength + HashLength;
    private const int MaxLength = 2048;

    public static string Encode<TPosition>(TPosition position, string filters)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(position, Wave16Json.Options);
        var bytes = new byte[HeaderLength + json.Length];
        bytes[0] = FormatVersion;
        Hash(Encoding.UTF8.GetBytes(filters)).CopyTo(bytes.AsSpan(1));
        json.CopyTo(bytes.AsSpan(HeaderLength));
        Checksum(bytes).CopyTo(bytes.AsSpan(1 + HashLength));
        return Base64Url.EncodeToString(bytes);
    }

    /// <param name="cursor">From the caller; anything.</param>
    /// <param name="filters">The same text the cursor was made with.</param>
    /// <param name="position">The position, when the result is null.</param>
    public static Refusal? Decode<TPosition>(string cursor, string filters, out TPosition? position)
    {
        position = default;
        if (cursor.Length > MaxLength || !Base64Url.IsValid(cursor))
            return Invalid();
        var bytes = Base64Url.DecodeFromChars(cursor);
        if (bytes.Length <= HeaderLength || bytes[0] != FormatVersion || !bytes.AsSpan(1 + HashLength, HashLength).SequenceEqual(Checksum(bytes)))
            return Invalid();
        if (!bytes.AsSpan(1, HashLength).SequenceEqual(Hash(Encoding.UTF8.GetBytes(filters))))
        {
            return new Refusal(
                ProblemCodes.CursorFiltersChanged.Code, "The filters or the order differ from those of the page this cursor came with; start without a cursor.",
                [FieldError.Query("cursor", "belongs to other filters")]);
        }

        try
        {
            position = JsonSerializer.Deserialize<TPosition>(bytes.AsSpan(HeaderLength), Wave16Json.Options);
            return position is null ? Invalid() : null;
        }
        catch (JsonException)
        {
            return Invalid();
        }
    }

    private static Refusal Invalid() =>
        new(ProblemCodes.CursorInvalid.Code, "The cursor is damaged or was not given out here.", [FieldError.Query("cursor", "is not valid")]);

    private static ReadOnlySpan<byte> Hash(ReadOnlySpan<byte> bytes) => SHA256.HashData(bytes).AsSpan(0, HashLength);

    private static ReadOnlySpan<byte> Checksum(byte[] bytes)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(bytes, 0, 1 + HashLength);
        hash.AppendData(bytes, HeaderLength, bytes.Length - HeaderLength);
        return hash.GetHashAndReset().AsSpan(0, HashLength);
    }
}

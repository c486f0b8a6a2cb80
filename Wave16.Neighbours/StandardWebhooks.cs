using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Wave16.Neighbours;

/// <summary>Symmetric signatures (v1) of the Standard Webhooks specification 1.0.0.</summary>
internal static class StandardWebhooks
{
    public const string IdHeader = "webhook-id";
    public const string TimestampHeader = "webhook-timestamp";
    public const string SignatureHeader = "webhook-signature";

    const string SecretPrefix = "whsec_";

    static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(5);

    /// <summary>The key behind <c>whsec_</c> and base64: 24 to 64 bytes; null when none is configured.</summary>
    /// <exception cref="FormatException">It has another shape.</exception>
    public static byte[]? Secret(string? configured)
    {
        if (string.IsNullOrEmpty(configured))
            return null;
        var encoded = configured.StartsWith(SecretPrefix, StringComparison.Ordinal) ? configured[SecretPrefix.Length..] : configured;
        var key = new byte[encoded.Length];
        return Convert.TryFromBase64String(encoded, key, out var length) && length is >= 24 and <= 64
            ? key[..length]
            : throw new FormatException("A Standard Webhooks secret is whsec_ and the base64 of 24 to 64 bytes.");
    }

    public static bool IsTimely(string timestamp, DateTimeOffset now) =>
        long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
        && Math.Abs((double)now.ToUnixTimeSeconds() - seconds) <= Tolerance.TotalSeconds;

    /// <summary>Whether one of the space-separated signatures is ours over <c>id.timestamp.body</c>.</summary>
    public static bool IsSigned(byte[] secret, string id, string timestamp, ReadOnlySpan<byte> body, string signatures)
    {
        byte[] signed = [.. Encoding.UTF8.GetBytes($"{id}.{timestamp}."), .. body];
        var expected = Encoding.ASCII.GetBytes($"v1,{Convert.ToBase64String(HMACSHA256.HashData(secret, signed))}");
        return signatures.Split(' ').Any(signature => CryptographicOperations.FixedTimeEquals(expected, Encoding.UTF8.GetBytes(signature)));
    }
}

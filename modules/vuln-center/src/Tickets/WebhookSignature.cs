using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Wave16.VulnCenter.Tickets;

/// <summary>Symmetric signatures (<c>v1</c>) of the Standard Webhooks specification 1.0.0.</summary>
internal static class WebhookSignature
{
    public const string IdHeader = "webhook-id";
    public const string TimestampHeader = "webhook-timestamp";
    public const string SignatureHeader = "webhook-signature";

    private const string SecretPrefix = "whsec_";
    private const int MaxSignatures = 16;

    /// <summary>How far the sender's clock may be from ours: older, it may be a recording.</summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(5);

    /// <summary>The key behind <c>whsec_</c> and base64; null when it is none of 24 to 64 bytes.</summary>
    public static byte[]? Key(string secret)
    {
        var encoded = secret.StartsWith(SecretPrefix, StringComparison.Ordinal) ? secret[SecretPrefix.Length..] : secret;
        var key = new byte[encoded.Length];
        return Convert.TryFromBase64String(encoded, key, out var length) && length is >= 24 and <= 64 ? key[..length] : null;
    }

    /// <param name="timestamp">Unix seconds.</param>
    public static bool IsTimely(string timestamp, DateTimeOffset now) =>
        long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
        && Math.Abs((double)now.ToUnixTimeSeconds() - seconds) <= Tolerance.TotalSeconds;

    /// <summary>Whether one of the signatures, separated by blanks, is by one of the keys over <c>id.timestamp.body</c>.</summary>
    public static bool IsSigned(IReadOnlyList<byte[]> keys, string id, string timestamp, ReadOnlySpan<byte> body, string signatures)
    {
        byte[] signed = [.. Encoding.UTF8.GetBytes($"{id}.{timestamp}."), .. body];
        var given = signatures.Split(' ', MaxSignatures + 1).Take(MaxSignatures).Select(Encoding.UTF8.GetBytes).ToList();
        var isSigned = false;
        foreach (var key in keys)
        {
            var expected = Encoding.ASCII.GetBytes($"v1,{Convert.ToBase64String(HMACSHA256.HashData(key, signed))}");
            foreach (var signature in given)
            {
                isSigned |= CryptographicOperations.FixedTimeEquals(expected, signature);
            }
        }

        return isSigned;
    }
}

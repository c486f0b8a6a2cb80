using System.Globalization;
using System.Text;

namespace Wave16.Platform.Audit;

/// <summary>
/// A signed tree head in the text form of C2SP tlog-checkpoint: a C2SP signed-note whose text is the origin, the tree's size,
/// its root in base64, and one extension line with the time. Signed with ECDSA P-256 and SHA-256, ASN.1 DER (note signature
/// type 0x02), so that tools for transparency logs can check it with the public key alone.
/// </summary>
/// <param name="Origin">Identity of the log: <c>wave16/&lt;module&gt;/&lt;token of the store's epoch&gt;</c>. A restored store is another log, that begins with the same leaves.</param>
/// <param name="Size">Number of leaves.</param>
/// <param name="Root">RFC 6962 root over them.</param>
/// <param name="SignedAt">Kept to the millisecond.</param>
internal sealed record Checkpoint(string Origin, long Size, byte[] Root, DateTimeOffset SignedAt)
{
    public static string OriginOf(string module, string epochToken) => $"wave16/{module}/{epochToken}";

    /// <summary>What is signed: UTF-8 of this.</summary>
    public string Text => string.Create(
        CultureInfo.InvariantCulture, $"{Origin}\n{Size}\n{Convert.ToBase64String(Root)}\nTimestamp: {SignedAt.ToUnixTimeMilliseconds()}\n");

    public byte[] SignedBytes => Encoding.UTF8.GetBytes(Text);

    /// <summary>The whole note: text, blank line, <c>— origin base64(first four bytes of the key id, signature)</c>.</summary>
    public string Note(string keyId, byte[] signature) =>
        $"{Text}\n— {Origin} {Convert.ToBase64String([.. Convert.FromHexString(keyId).AsSpan(0, 4), .. signature])}\n";
}

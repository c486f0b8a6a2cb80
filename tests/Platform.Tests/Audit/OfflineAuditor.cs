using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Wave16.Platform.Tests.Audit;

/// <summary>A head whose signature has been checked.</summary>
internal sealed record SignedHead(string Origin, long Size, byte[] Root);

/// <summary>
/// What somebody outside can check with a public key and the answers that were kept: C2SP signed notes and checkpoints, and
/// proofs by the algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2 as they stand there. Uses nothing of the product.
/// </summary>
internal sealed class OfflineAuditor : IDisposable
{
    private readonly ECDsa _key = ECDsa.Create();

    public OfflineAuditor(string publicKeyPem) => _key.ImportFromPem(publicKeyPem);

    /// <summary>Null when the note is not one of this key.</summary>
    public SignedHead? Open(string note)
    {
        var end = note.IndexOf("\n\n", StringComparison.Ordinal) + 1;
        var text = note[..end];
        var lines = text.Split('\n');
        foreach (var signature in note[(end + 1)..].Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')))
        {
            var bytes = Convert.FromBase64String(signature[2]);
            if (signature[0] == "—" && signature[1] == lines[0]
                && bytes.AsSpan(0, 4).SequenceEqual(SHA256.HashData(_key.ExportSubjectPublicKeyInfo()).AsSpan(0, 4))
                && _key.VerifyData(Encoding.UTF8.GetBytes(text), bytes.AsSpan(4), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))
            {
                return new(lines[0], long.Parse(lines[1], CultureInfo.InvariantCulture), Convert.FromBase64String(lines[2]));
            }
        }

        return null;
    }

    public static byte[] LeafHash(string canonical) => SHA256.HashData([0, .. Encoding.UTF8.GetBytes(canonical)]);

    /// <summary>RFC 9162 section 2.1.3.2.</summary>
    public static bool Includes(SignedHead head, byte[] leafHash, long leafIndex, IEnumerable<byte[]> inclusionPath)
    {
        if (leafIndex >= head.Size)
            return false;
        var (fn, sn, r) = (leafIndex, head.Size - 1, leafHash);
        foreach (var p in inclusionPath)
        {
            if (sn == 0)
                return false;
            if (IsSet(fn) || fn == sn)
            {
                r = Node(p, r);
                // "right-shift both equally until either LSB(fn) is set or fn is 0"
                while (!IsSet(fn) && fn != 0)
                    (fn, sn) = (fn >> 1, sn >> 1);
            }
            else
            {
                r = Node(r, p);
            }

            (fn, sn) = (fn >> 1, sn >> 1);
        }

        return sn == 0 && r.AsSpan().SequenceEqual(head.Root);
    }

    /// <summary>RFC 9162 section 2.1.4.2.</summary>
    public static bool Extends(SignedHead first, SignedHead second, IReadOnlyList<byte[]> consistencyPath)
    {
        if (first.Size == second.Size)
            return consistencyPath.Count == 0 && first.Root.AsSpan().SequenceEqual(second.Root);
        List<byte[]> path = (first.Size & (first.Size - 1)) == 0 ? [first.Root, .. consistencyPath] : [.. consistencyPath];
        if (path.Count == 0)
            return false;
        var (fn, sn) = (first.Size - 1, second.Size - 1);
        while (IsSet(fn))
            (fn, sn) = (fn >> 1, sn >> 1);
        var (fr, sr) = (path[0], path[0]);
        foreach (var c in path.Skip(1))
        {
            if (sn == 0)
                return false;
            if (IsSet(fn) || fn == sn)
            {
                (fr, sr) = (Node(c, fr), Node(c, sr));
                // "right-shift both equally until either LSB(fn) is set or fn is 0"
                while (!IsSet(fn) && fn != 0)
                    (fn, sn) = (fn >> 1, sn >> 1);
            }
            else
            {
                sr = Node(sr, c);
            }

            (fn, sn) = (fn >> 1, sn >> 1);
        }

        return sn == 0 && fr.AsSpan().SequenceEqual(first.Root) && sr.AsSpan().SequenceEqual(second.Root);
    }

    public void Dispose() => _key.Dispose();

    private static bool IsSet(long number) => (number & 1) == 1;

    private static byte[] Node(byte[] left, byte[] right) => SHA256.HashData([1, .. left, .. right]);
}

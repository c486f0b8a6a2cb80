using System.Security.Cryptography;

namespace Wave16.Platform.Tests.Audit;

/// <summary>RFC 6962 section 2.1 word for word, recursively and over all leaves: what the product's trees are held against.</summary>
internal static class NaiveMerkleTree
{
    public static byte[] Leaf(byte[] data) => SHA256.HashData([0, .. data]);

    public static byte[] Root(ReadOnlySpan<byte[]> leaves) => leaves.Length switch
    {
        0 => SHA256.HashData([]),
        1 => leaves[0],
        var n => SHA256.HashData([1, .. Root(leaves[..K(n)]), .. Root(leaves[K(n)..])]),
    };

    public static byte[][] Path(int m, ReadOnlySpan<byte[]> leaves)
    {
        if (leaves.Length == 1)
            return [];
        var k = K(leaves.Length);
        return m < k
            ? [.. Path(m, leaves[..k]), Root(leaves[k..])]
            : [.. Path(m - k, leaves[k..]), Root(leaves[..k])];
    }

    public static byte[][] Proof(int m, ReadOnlySpan<byte[]> leaves) => SubProof(m, leaves, whole: true);

    /// <summary>The root a path leads to, again by recursion over the tree's shape.</summary>
    public static byte[] RootFromPath(byte[] leaf, int m, int n, ReadOnlySpan<byte[]> path)
    {
        if (n == 1)
            return leaf;
        var k = K(n);
        return m < k
            ? SHA256.HashData([1, .. RootFromPath(leaf, m, k, path[..^1]), .. path[^1]])
            : SHA256.HashData([1, .. path[^1], .. RootFromPath(leaf, m - k, n - k, path[..^1])]);
    }

    private static byte[][] SubProof(int m, ReadOnlySpan<byte[]> leaves, bool whole)
    {
        if (m == leaves.Length)
            return whole ? [] : [Root(leaves)];
        var k = K(leaves.Length);
        return m <= k
            ? [.. SubProof(m, leaves[..k], whole), Root(leaves[k..])]
            : [.. SubProof(m - k, leaves[k..], whole: false), Root(leaves[..k])];
    }

    private static int K(int n)
    {
        var k = 1;
        while (k * 2 < n)
            k *= 2;
        return k;
    }
}

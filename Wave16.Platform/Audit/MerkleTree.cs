using System.Numerics;
using System.Security.Cryptography;

namespace Wave16.Platform.Audit;

/// <summary>
/// The Merkle Hash Tree of RFC 6962 section 2.1 over SHA-256: which subtrees a proof is made of, and the verification of
/// proofs (RFC 9162 sections 2.1.3.2 and 2.1.4.2). Hashes are 32 bytes; leaves are counted from 0.
/// </summary>
internal static class MerkleTree
{
    public const int HashLength = SHA256.HashSizeInBytes;

    /// <summary>MTH({}), the root of the empty tree.</summary>
    public static byte[] EmptyRoot => SHA256.HashData([]);

    /// <summary>SHA-256(0x00 || data).</summary>
    public static byte[] HashLeaf(ReadOnlySpan<byte> data)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData([0]);
        hash.AppendData(data);
        return hash.GetHashAndReset();
    }

    /// <summary>SHA-256(0x01 || left || right).</summary>
    public static byte[] HashChildren(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        Span<byte> node = stackalloc byte[1 + (2 * HashLength)];
        node[0] = 1;
        left.CopyTo(node[1..]);
        right.CopyTo(node[(1 + HashLength)..]);
        return SHA256.HashData(node);
    }

    /// <summary>PATH(index, D[size]): the leaves under each hash of the inclusion proof, in the proof's order.</summary>
    public static List<LeafRange> InclusionPath(long index, long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);
        var path = new List<LeafRange>();
        for (var (start, end) = (0L, size); end - start > 1;)
        {
            var middle = start + Split(end - start);
            if (index < middle)
            {
                path.Add(new(middle, end));
                end = middle;
            }
            else
            {
                path.Add(new(start, middle));
                start = middle;
            }
        }

        path.Reverse();
        return path;
    }

    /// <summary>PROOF(first, D[second]): the leaves under each hash of the consistency proof, in the proof's order.</summary>
    public static List<LeafRange> ConsistencyPath(long first, long second)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(first, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, second);
        var path = new List<LeafRange>();
        var (start, end) = (0L, second);
        while (end != first)
        {
            var middle = start + Split(end - start);
            if (first <= middle)
            {
                path.Add(new(middle, end));
                end = middle;
            }
            else
            {
                path.Add(new(start, middle));
                start = middle;
            }
        }

        // What is left is a subtree of both trees. Only when it is the whole first tree does the verifier hold its hash.
        if (start > 0)
        {
            path.Add(new(start, end));
        }

        path.Reverse();
        return path;
    }

    /// <summary>The complete subtrees a range of leaves consists of, from left to right.</summary>
    public static IEnumerable<Subtree> Subtrees(LeafRange range)
    {
        for (var start = range.Start; start < range.End;)
        {
            var level = BitOperations.Log2((ulong)(range.End - start));
            yield return new(level, start >> level);
            start += 1L << level;
        }
    }

    /// <summary>The hash of a range from those of its complete subtrees, left to right.</summary>
    public static byte[] Fold(IReadOnlyList<byte[]> subtrees)
    {
        var root = subtrees[^1];
        for (var i = subtrees.Count - 2; i >= 0; i--)
        {
            root = HashChildren(subtrees[i], root);
        }

        return root;
    }

    /// <summary>True when the proof shows that the tree of this size and root has this leaf hash at this index.</summary>
    public static bool VerifyInclusion(ReadOnlySpan<byte> leafHash, long index, long size, IReadOnlyList<byte[]> proof, ReadOnlySpan<byte> root)
    {
        if (index < 0 || index >= size)
        {
            return false;
        }

        var hash = leafHash.ToArray();
        var (position, last) = (index, size - 1);
        foreach (var sibling in proof)
        {
            if (last == 0 || sibling.Length != HashLength)
            {
                return false;
            }

            if ((position & 1) == 1 || position == last)
            {
                hash = HashChildren(sibling, hash);
                while ((position & 1) == 0 && position != 0)
                {
                    position >>= 1;
                    last >>= 1;
                }
            }
            else
            {
                hash = HashChildren(hash, sibling);
            }

            position >>= 1;
            last >>= 1;
        }

        return last == 0 && root.SequenceEqual(hash);
    }

    /// <summary>True when the proof shows that the second tree begins with all leaves of the first, in their order.</summary>
    public static bool VerifyConsistency(long first, ReadOnlySpan<byte> firstRoot, long second, ReadOnlySpan<byte> secondRoot, IReadOnlyList<byte[]> proof)
    {
        if (first < 1 || first > second || proof.Any(hash => hash.Length != HashLength))
        {
            return false;
        }

        if (first == second)
        {
            return proof.Count == 0 && firstRoot.SequenceEqual(secondRoot);
        }

        var path = BitOperations.IsPow2(first) ? [firstRoot.ToArray(), .. proof] : proof;
        if (path.Count == 0)
        {
            return false;
        }

        var (position, last) = (first - 1, second - 1);
        while ((position & 1) == 1)
        {
            position >>= 1;
            last >>= 1;
        }

        var (before, after) = (path[0], path[0]);
        foreach (var hash in path.Skip(1))
        {
            if (last == 0)
            {
                return false;
            }

            if ((position & 1) == 1 || position == last)
            {
                before = HashChildren(hash, before);
                after = HashChildren(hash, after);
                while ((position & 1) == 0 && position != 0)
                {
                    position >>= 1;
                    last >>= 1;
                }
            }
            else
            {
                after = HashChildren(after, hash);
            }

            position >>= 1;
            last >>= 1;
        }

        return last == 0 && firstRoot.SequenceEqual(before) && secondRoot.SequenceEqual(after);
    }

    // The largest power of two smaller than the number of leaves: where RFC 6962 splits a tree of more than one.
    private static long Split(long leaves) => 1L << BitOperations.Log2((ulong)(leaves - 1));
}

/// <summary>Leaves <paramref name="Start"/> up to, not including, <paramref name="End"/>.</summary>
internal sealed record LeafRange(long Start, long End);

/// <summary>The complete subtree over leaves <c>Index · 2^Level</c> up to <c>(Index + 1) · 2^Level</c>.</summary>
internal sealed record Subtree(int Level, long Index);

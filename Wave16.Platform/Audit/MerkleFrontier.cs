using System.Numerics;

namespace Wave16.Platform.Audit;

/// <summary>
/// What has to be kept of a growing RFC 6962 tree to append to it and to know its root: the hashes of its complete
/// subtrees, largest first, one for each bit that is set in its size.
/// </summary>
internal sealed class MerkleFrontier
{
    private readonly List<byte[]> _subtrees;

    public MerkleFrontier()
        : this(0, [])
    {
    }

    /// <exception cref="ArgumentException">The number of hashes, or the length of one, does not fit the size.</exception>
    public MerkleFrontier(long size, IReadOnlyCollection<byte[]> subtrees)
    {
        if (size < 0 || subtrees.Count != BitOperations.PopCount((ulong)size) || subtrees.Any(hash => hash.Length != MerkleTree.HashLength))
        {
            throw new ArgumentException($"A tree of {size} leaves does not have these {subtrees.Count} subtrees.", nameof(subtrees));
        }

        Size = size;
        _subtrees = [.. subtrees];
    }

    /// <summary>Number of leaves.</summary>
    public long Size { get; private set; }

    public byte[][] Subtrees => [.. _subtrees];

    /// <summary>MTH(D[Size]).</summary>
    public byte[] Root() => Size == 0 ? MerkleTree.EmptyRoot : MerkleTree.Fold(_subtrees);

    /// <param name="leafHash">32 bytes.</param>
    /// <param name="completed">Called for every subtree of more than one leaf that this leaf completes.</param>
    public void Append(byte[] leafHash, Action<Subtree, byte[]>? completed = null)
    {
        var hash = leafHash;
        for (var (level, size) = (1, Size); (size & 1) == 1; level++, size >>= 1)
        {
            hash = MerkleTree.HashChildren(_subtrees[^1], hash);
            _subtrees.RemoveAt(_subtrees.Count - 1);
            completed?.Invoke(new(level, Size >> level), hash);
        }

        _subtrees.Add(hash);
        Size++;
    }
}

using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>Proofs from the log as it is stored: entries, and every eighth level of complete subtrees above them.</summary>
internal sealed class LogTree(ModuleDatabase database)
{
    private const int LevelsPerNode = 8;

    public static bool IsKept(int level) => level % LevelsPerNode == 0;

    /// <summary>The hashes over these ranges of leaves, each a part of a proof.</summary>
    /// <exception cref="InvalidDataException">The log lacks an entry or a node.</exception>
    public async Task<byte[][]> HashesAsync(IReadOnlyList<LeafRange> ranges, CancellationToken cancellation)
    {
        var wanted = ranges.SelectMany(MerkleTree.Subtrees).Distinct().ToList();
        var known = new Dictionary<Subtree, byte[]>();
        foreach (var level in wanted.GroupBy(subtree => subtree.Level / LevelsPerNode * LevelsPerNode))
        {
            await ReadAsync(level.Key, [.. level], known, cancellation);
        }

        return [.. ranges.Select(range => MerkleTree.Fold([.. MerkleTree.Subtrees(range).Select(subtree => known[subtree])]))];
    }

    // Each subtree is complete and made of at most 128 of the kept hashes below it.
    private async Task ReadAsync(int level, Subtree[] subtrees, Dictionary<Subtree, byte[]> known, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(level == 0
            ? """
              select e.seq, e.hash from unnest($1::bigint[], $2::bigint[]) as r(first, beyond)
              join platform.audit_entry e on e.seq >= r.first and e.seq < r.beyond
              """
            : """
              select n.index, n.hash from unnest($1::bigint[], $2::bigint[]) as r(first, beyond)
              join platform.audit_node n on n.level = $3 and n.index >= r.first and n.index < r.beyond
              """);
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. subtrees.Select(First)] });
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. subtrees.Select(subtree => First(subtree) + Width(subtree))] });
        if (level > 0)
        {
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = level });
        }

        var below = new Dictionary<long, byte[]>();
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            below[reader.GetInt64(0)] = reader.GetFieldValue<byte[]>(1);
        }

        foreach (var subtree in subtrees)
        {
            var tree = new MerkleFrontier();
            for (var (i, beyond) = (First(subtree), First(subtree) + Width(subtree)); i < beyond; i++)
            {
                tree.Append(below.TryGetValue(i, out var hash) ? hash : throw new InvalidDataException($"The audit log of {database.Module} has no hash {i} at level {level}."));
            }

            known[subtree] = tree.Root();
        }

        long Width(Subtree subtree) => 1L << (subtree.Level - level);
        long First(Subtree subtree) => subtree.Index << (subtree.Level - level);
    }
}

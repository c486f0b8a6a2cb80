using Wave16.Platform.Audit;

namespace Wave16.Platform.Tests.Audit;

/// <summary>Proofs from the stored log, checked by the recursive implementation of these tests.</summary>
[Collection(AuditCluster.Name)]
public sealed class ProofTests(AuditCluster cluster)
{
    private const int Leaves = 66_100;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Proofs_over_entries_and_kept_subtrees_lead_to_the_root()
    {
        await using var sample = await AuditSample.StartAsync(cluster);
        await sample.InsertLeavesAsync(1, Leaves);
        await sample.SealAsync();
        byte[][] hashes = [.. await sample.HashesAsync()];

        // Around the borders of the kept levels (2^8, 2^16), and of the tree.
        foreach (var size in new[] { 1, 2, 255, 256, 257, 513, 65_535, 65_536, 65_537, Leaves })
        {
            var tree = hashes.AsSpan(0, size).ToArray();
            var root = NaiveMerkleTree.Root(tree);
            foreach (var index in new[] { 0, 1, 254, 255, 256, 511, 65_535, 65_536, size - 1 }.Where(index => index < size).Distinct())
            {
                var proof = await sample.Tree.HashesAsync(MerkleTree.InclusionPath(index, size), Cancellation);
                Assert.Equal(root, NaiveMerkleTree.RootFromPath(hashes[index], index, size, proof));
            }
        }

        foreach (var (first, second) in new[] { (1, Leaves), (255, 257), (256, 512), (257, 65_537), (65_535, 65_536), (65_536, Leaves), (Leaves - 1, Leaves), (Leaves, Leaves) })
        {
            var proof = await sample.Tree.HashesAsync(MerkleTree.ConsistencyPath(first, second), Cancellation);
            Assert.Equal(NaiveMerkleTree.Proof(first, hashes.AsSpan(0, second)), proof);
        }

        Assert.Equal(Leaves / 256, await sample.ScalarAsync<long>("select count(*) from platform.audit_node where level = 8"));
        Assert.Equal(1, await sample.ScalarAsync<long>("select count(*) from platform.audit_node where level = 16"));
    }

    [Fact]
    public async Task A_proof_over_a_hash_that_is_gone_is_not_made_up()
    {
        await using var sample = await AuditSample.StartAsync(cluster);
        await sample.InsertLeavesAsync(1, 10);
        await sample.SealAsync();
        await sample.ExecuteAsync("delete from platform.audit_entry where seq = 3");

        await Assert.ThrowsAsync<InvalidDataException>(() => sample.Tree.HashesAsync(MerkleTree.InclusionPath(0, 10), Cancellation));
    }
}

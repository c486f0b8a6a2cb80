using CsCheck;
using Wave16.Platform.Audit;

namespace Wave16.Platform.Tests.Audit;

public sealed class MerkleTreeTests
{
    // Inputs and results of Certificate Transparency's own test suite (merkletree tests of google/certificate-transparency).
    private static readonly byte[][] ReferenceLeaves =
        [.. new[] { "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f" }.Select(Convert.FromHexString)];

    private static readonly Gen<byte[][]> Leaves = Gen.Byte.Array[0, 4].Array[1, 70].Select(data => data.Select(NaiveMerkleTree.Leaf).ToArray());

    [Theory]
    [InlineData(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData(1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")]
    [InlineData(2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")]
    [InlineData(3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77")]
    [InlineData(4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")]
    [InlineData(5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4")]
    [InlineData(6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef")]
    [InlineData(7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c")]
    [InlineData(8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")]
    public void The_roots_are_those_of_Certificate_Transparencys_test_vectors(int size, string root)
    {
        var tree = Frontier(ReferenceLeaves.Take(size).Select(leaf => MerkleTree.HashLeaf(leaf)));

        Assert.Equal(root, Convert.ToHexStringLower(tree.Root()));
    }

    [Theory]
    [InlineData(0, 8, "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7 5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e 6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4")]
    [InlineData(5, 8, "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0 d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")]
    public void The_inclusion_proofs_are_those_of_the_test_vectors(int index, int size, string proof)
    {
        var leaves = ReferenceLeaves.Take(size).Select(leaf => MerkleTree.HashLeaf(leaf)).ToArray();

        Assert.Equal(proof.Split(' '), Hashes(MerkleTree.InclusionPath(index, size), leaves).Select(Convert.ToHexStringLower));
    }

    [Fact]
    public void The_consistency_proof_from_one_leaf_is_that_of_the_test_vectors()
    {
        var leaves = ReferenceLeaves.Select(leaf => MerkleTree.HashLeaf(leaf)).ToArray();

        Assert.Equal(
            ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e", "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
            Hashes(MerkleTree.ConsistencyPath(1, 8), leaves).Select(Convert.ToHexStringLower));
    }

    [Fact]
    public void A_tree_that_grew_leaf_by_leaf_has_the_root_of_the_recursive_definition() =>
        Leaves.Sample(leaves => Assert.Equal(NaiveMerkleTree.Root(leaves), Frontier(leaves).Root()));

    [Fact]
    public void A_tree_that_was_put_away_in_between_grows_on_to_the_same_root() =>
        Gen.Select(Leaves, Gen.Int[0, 70]).Sample((leaves, at) =>
        {
            var first = Frontier(leaves.Take(at));
            var second = new MerkleFrontier(first.Size, first.Subtrees);
            foreach (var leaf in leaves.Skip(at))
                second.Append(leaf);

            Assert.Equal(NaiveMerkleTree.Root(leaves), second.Root());
        });

    [Fact]
    public void Every_completed_subtree_is_told_once_with_its_hash()
    {
        var leaves = Enumerable.Range(0, 37).Select(i => NaiveMerkleTree.Leaf([(byte)i])).ToArray();
        var told = new Dictionary<Subtree, byte[]>();
        var tree = new MerkleFrontier();
        foreach (var leaf in leaves)
            tree.Append(leaf, told.Add);

        var expected = from level in Enumerable.Range(1, 5) from index in Enumerable.Range(0, leaves.Length >> level) select new Subtree(level, index);
        Assert.Equal(expected.ToHashSet(), told.Keys.ToHashSet());
        Assert.All(told, node => Assert.Equal(NaiveMerkleTree.Root(Under(node.Key, leaves)), node.Value));
    }

    [Fact]
    public void A_frontier_that_does_not_fit_its_size_is_refused() =>
        Assert.Throws<ArgumentException>(() => new MerkleFrontier(3, [new byte[32]]));

    [Fact]
    public void Inclusion_proofs_are_the_recursive_definitions_and_verify() =>
        Gen.Select(Leaves, Gen.Int[0, 69]).Sample((leaves, pick) =>
        {
            var index = pick % leaves.Length;
            var proof = Hashes(MerkleTree.InclusionPath(index, leaves.Length), leaves);

            Assert.Equal(NaiveMerkleTree.Path(index, leaves), proof);
            Assert.True(MerkleTree.VerifyInclusion(leaves[index], index, leaves.Length, proof, NaiveMerkleTree.Root(leaves)));
        });

    [Fact]
    public void Consistency_proofs_are_the_recursive_definitions_and_verify() =>
        Gen.Select(Leaves, Gen.Int[0, 69]).Sample((leaves, pick) =>
        {
            var first = 1 + (pick % leaves.Length);
            var proof = Hashes(MerkleTree.ConsistencyPath(first, leaves.Length), leaves);

            Assert.Equal(NaiveMerkleTree.Proof(first, leaves), proof);
            Assert.True(MerkleTree.VerifyConsistency(
                first, NaiveMerkleTree.Root(leaves.AsSpan(0, first)), leaves.Length, NaiveMerkleTree.Root(leaves), proof));
        });

    [Fact]
    public void An_inclusion_proof_with_any_one_thing_wrong_does_not_verify() =>
        Gen.Select(Leaves, Gen.Int[0, 69], Gen.Int[0, 255]).Sample((leaves, pick, bit) =>
        {
            var (index, size) = (pick % leaves.Length, leaves.Length);
            var (proof, root) = (NaiveMerkleTree.Path(index, leaves), NaiveMerkleTree.Root(leaves));

            Assert.False(MerkleTree.VerifyInclusion(Flip(leaves[index], bit), index, size, proof, root));
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, size, proof, Flip(root, bit)));
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, size, [.. proof, leaves[0]], root));
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], -1, size, proof, root));
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], size, size, proof, root));
            if (proof.Length > 0)
            {
                var changed = bit % proof.Length;
                Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, size, [.. proof.Select((hash, i) => i == changed ? Flip(hash, bit) : hash)], root));
                Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, size, proof[..^1], root));
                Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, size, [[.. proof[0], 0], .. proof[1..]], root));
            }
        });

    [Fact]
    public void A_consistency_proof_with_any_one_thing_wrong_does_not_verify() =>
        Gen.Select(Leaves, Gen.Int[0, 69], Gen.Int[0, 255]).Sample((leaves, pick, bit) =>
        {
            var (first, second) = (1 + (pick % leaves.Length), leaves.Length);
            var proof = NaiveMerkleTree.Proof(first, leaves);
            var (before, after) = (NaiveMerkleTree.Root(leaves.AsSpan(0, first)), NaiveMerkleTree.Root(leaves));

            Assert.False(MerkleTree.VerifyConsistency(first, Flip(before, bit), second, after, proof));
            Assert.False(MerkleTree.VerifyConsistency(first, before, second, Flip(after, bit), proof));
            Assert.False(MerkleTree.VerifyConsistency(first, before, second, after, [.. proof, leaves[0]]));
            Assert.False(MerkleTree.VerifyConsistency(0, before, second, after, proof));
            Assert.False(MerkleTree.VerifyConsistency(second + 1, before, second, after, proof));
            if (proof.Length > 0)
            {
                var changed = bit % proof.Length;
                Assert.False(MerkleTree.VerifyConsistency(first, before, second, after, [.. proof.Select((hash, i) => i == changed ? Flip(hash, bit) : hash)]));
                Assert.False(MerkleTree.VerifyConsistency(first, before, second, after, proof[..^1]));
            }
        });

    [Fact]
    public void A_tree_that_was_rewritten_has_no_consistency_proof_that_verifies() =>
        Gen.Select(Leaves, Gen.Int[0, 69], Gen.Int[0, 69], Gen.Int[0, 255]).Sample((leaves, pick, victim, bit) =>
        {
            var first = 1 + (pick % leaves.Length);
            var before = NaiveMerkleTree.Root(leaves.AsSpan(0, first));
            leaves[victim % first] = Flip(leaves[victim % first], bit);

            Assert.False(MerkleTree.VerifyConsistency(
                first, before, leaves.Length, NaiveMerkleTree.Root(leaves), NaiveMerkleTree.Proof(first, leaves)));
        });

    private static MerkleFrontier Frontier(IEnumerable<byte[]> leafHashes)
    {
        var tree = new MerkleFrontier();
        foreach (var leaf in leafHashes)
            tree.Append(leaf);
        return tree;
    }

    private static byte[][] Hashes(IEnumerable<LeafRange> path, byte[][] leaves) =>
        [.. path.Select(range => MerkleTree.Fold([.. MerkleTree.Subtrees(range).Select(subtree => NaiveMerkleTree.Root(Under(subtree, leaves)))]))];

    private static ReadOnlySpan<byte[]> Under(Subtree subtree, byte[][] leaves) =>
        leaves.AsSpan((int)subtree.Index << subtree.Level, 1 << subtree.Level);

    private static byte[] Flip(byte[] hash, int bit)
    {
        var flipped = hash.ToArray();
        flipped[bit / 8] ^= (byte)(1 << (bit % 8));
        return flipped;
    }
}

using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;

namespace Wave16.Platform.Tests.Audit;

/// <summary>Checkpoints, keys and proofs over HTTP, checked as somebody does who has a public key and nothing of ours.</summary>
[Collection(AuditCluster.Name)]
public sealed class ProofHttpTests(AuditCluster cluster)
{
    [Fact]
    public async Task Every_leaf_of_the_list_is_shown_to_be_under_a_signed_head()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        using var auditor = AuditWeb.Auditor();
        var leaves = (await web.GetAsync("/audit/sample")).Items;

        Assert.Equal(12, leaves.Length);
        foreach (var leaf in leaves)
        {
            var inclusion = (await web.GetAsync($"/audit/sample/leaves/{leaf.GetProperty("id")}/proof")).Json;
            var head = auditor.Open(inclusion.GetProperty("checkpoint").GetString() ?? "");
            Assert.NotNull(head);
            Assert.Equal((12, leaf.GetProperty("seq").GetInt64()), (head.Size, inclusion.GetProperty("seq").GetInt64()));
            var hash = OfflineAuditor.LeafHash(leaf.GetProperty("canonical").GetString() ?? "");
            var proof = VerifyHttpTests.Hashes(inclusion, "proof");
            Assert.True(OfflineAuditor.Includes(head, hash, leaf.GetProperty("seq").GetInt64(), proof));
            Assert.False(OfflineAuditor.Includes(head, SHA256.HashData(hash), leaf.GetProperty("seq").GetInt64(), proof));
        }
    }

    [Fact]
    public async Task A_leaf_is_proved_in_an_older_tree_with_that_trees_head_when_one_was_signed()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        using var auditor = AuditWeb.Auditor();
        var leaf = (await web.GetAsync("/audit/sample?entity=ticket/T-1")).Items[0];

        var signed = (await web.GetAsync($"/audit/sample/leaves/{leaf.GetProperty("id")}/proof?treeSize=8")).Json;
        var unsigned = (await web.GetAsync($"/audit/sample/leaves/{leaf.GetProperty("id")}/proof?treeSize=7")).Json;

        var head = auditor.Open(signed.GetProperty("checkpoint").GetString() ?? "");
        Assert.NotNull(head);
        Assert.Equal(8, head.Size);
        Assert.True(OfflineAuditor.Includes(head, OfflineAuditor.LeafHash(leaf.GetProperty("canonical").GetString() ?? ""), 3, VerifyHttpTests.Hashes(signed, "proof")));
        Assert.False(unsigned.TryGetProperty("checkpoint", out var none) && none.ValueKind is not JsonValueKind.Null);
    }

    [Fact]
    public async Task Each_head_is_shown_to_extend_every_head_before_it()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        List<SignedHead> heads = [];
        using var auditor = AuditWeb.Auditor();
        foreach (var (ticket, versions) in new[] { ("T-1", 1), ("T-2", 2), ("T-3", 1), ("T-4", 3), ("T-5", 6), ("T-6", 7) })
        {
            await web.Log.SaveAsync(ticket, versions);
            await web.Log.SealAsync();
            var note = await web.GetAsync("/audit/sample/checkpoint");
            Assert.Equal("text/plain", note.MediaType);
            heads.Add(auditor.Open(note.Text) ?? throw new InvalidOperationException(note.Text));
        }

        Assert.Equal([1, 3, 4, 7, 13, 20], heads.Select(head => head.Size));
        foreach (var (first, second) in heads.SelectMany((head, i) => heads.Skip(i).Select(later => (head, later))))
        {
            var consistency = (await web.GetAsync($"/audit/sample/consistency?from={first.Size}&to={second.Size}")).Json;
            var proof = VerifyHttpTests.Hashes(consistency, "proof");
            Assert.True(OfflineAuditor.Extends(first, second, proof), $"{first.Size} to {second.Size}");
            Assert.False(OfflineAuditor.Extends(first with { Root = SHA256.HashData(first.Root) }, second, proof));
            Assert.Equal(second, auditor.Open(consistency.GetProperty("checkpoint").GetString() ?? ""), Same);
        }

        static bool Same(SignedHead? a, SignedHead? b) => a is not null && b is not null && (a.Origin, a.Size) == (b.Origin, b.Size) && a.Root.AsSpan().SequenceEqual(b.Root);
    }

    [Fact]
    public async Task The_keys_that_are_published_are_the_ones_that_open_the_heads()
    {
        using var retired = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        await using var web = await AuditWeb.StartAsync(cluster, ("Audit:PreviousKeys:0", retired.ExportSubjectPublicKeyInfoPem()));
        await web.FillAsync();
        var note = (await web.GetAsync("/audit/sample/checkpoint")).Text;

        var keys = (await web.GetAsync("/audit/sample/keys")).Json.EnumerateArray().ToList();

        Assert.Equal([true, false], keys.Select(key => key.GetProperty("signs").GetBoolean()));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(retired.ExportSubjectPublicKeyInfo())), keys[1].GetProperty("keyId").GetString());
        using var signing = new OfflineAuditor(keys[0].GetProperty("publicKey").GetString() ?? "");
        using var other = new OfflineAuditor(keys[1].GetProperty("publicKey").GetString() ?? "");
        var head = signing.Open(note);
        Assert.NotNull(head);
        Assert.Null(other.Open(note));
        // C2SP signed-note: name, key id and base64 of type and key, joined by plus signs; base64 may have some too.
        var verifier = keys[0].GetProperty("verifierKey").GetString()?.Split('+', 3) ?? [];
        Assert.Equal([head.Origin, keys[0].GetProperty("keyId").GetString()?[..8] ?? ""], verifier[..2]);
        using var key = ECDsa.Create();
        key.ImportFromPem(SampleHost.AuditKey);
        Assert.Equal([0x02, .. key.ExportSubjectPublicKeyInfo()], Convert.FromBase64String(verifier[2]));
    }

    [Fact]
    public async Task A_note_whose_text_was_changed_does_not_open()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        using var auditor = AuditWeb.Auditor();
        var note = (await web.GetAsync("/audit/sample/checkpoint")).Text;

        Assert.NotNull(auditor.Open(note));
        Assert.Null(auditor.Open(note.Replace("\n12\n", "\n13\n", StringComparison.Ordinal)));
        Assert.Null(auditor.Open(note.Replace("Timestamp: 1", "Timestamp: 2", StringComparison.Ordinal)));
        Assert.Null(auditor.Open(note.Replace("wave16/sample/", "wave16/other/", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Before_the_first_leaf_is_sealed_there_is_no_head_and_no_proof()
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.Log.SaveAsync("T-1", versions: 1);
        var leaf = (await web.GetAsync("/audit/sample")).Items[0].GetProperty("id");

        Assert.Equal((404, "not-found"), Refused(await web.GetAsync("/audit/sample/checkpoint")));
        Assert.Equal((404, "not-found"), Refused(await web.GetAsync("/audit/sample/consistency?from=1")));
        Assert.Equal((409, "audit.not-sealed"), Refused(await web.GetAsync($"/audit/sample/leaves/{leaf}/proof")));
    }

    [Theory]
    [InlineData("leaves/{0}/proof?treeSize=3", 400, "request.invalid")]
    [InlineData("leaves/{0}/proof?treeSize=13", 400, "request.invalid")]
    [InlineData("leaves/{0}/proof?treeSize=-1", 400, "request.invalid")]
    [InlineData("leaves/{0}/proof?treeSize=all", 400, "request.invalid")]
    [InlineData("leaves/9000000000/proof", 404, "not-found")]
    [InlineData("leaves/-1/proof", 404, "not-found")]
    [InlineData("leaves/99999999999999999999/proof", 404, "not-found")]
    [InlineData("leaves/first/proof", 404, "not-found")]
    [InlineData("consistency", 400, "request.invalid")]
    [InlineData("consistency?from=0", 400, "request.invalid")]
    [InlineData("consistency?from=8&to=4", 400, "request.invalid")]
    [InlineData("consistency?from=13", 409, "audit.log-shorter")]
    [InlineData("consistency?from=4&to=13", 409, "audit.log-shorter")]
    [InlineData("consistency?from=-9223372036854775808", 400, "request.invalid")]
    [InlineData("consistency?from=9223372036854775807", 409, "audit.log-shorter")]
    public async Task A_proof_that_cannot_be_is_refused(string path, int status, string code)
    {
        await using var web = await AuditWeb.StartAsync(cluster);
        await web.FillAsync();
        // The fourth leaf: trees of four leaves and more have it.
        var leaf = (await web.GetAsync("/audit/sample?entity=ticket/T-1")).Items[0].GetProperty("id");

        Assert.Equal((status, code), Refused(await web.GetAsync("/audit/sample/" + string.Format(CultureInfo.InvariantCulture, path, leaf))));
    }

    private static (int, string?) Refused(Reply reply) => (reply.Status, reply.Code);
}

using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Tests.Dedup;

public sealed class RefinementTests
{
    private static readonly SourceRules Rules = SourceRules.Default("test");

    [Fact]
    public void The_first_attribute_that_no_two_sides_share_tells_them_apart_and_the_bytes_only_when_nothing_else_does()
    {
        var plain = Of("a");
        Assert.Equal(["componentVersion"], Refinements.Between([With(plain, version: "1", line: 1)], [With(plain, version: "2", line: 2)]));
        Assert.Equal(["line"], Refinements.Between([With(plain, line: 1), With(plain, line: 2)], [With(plain, line: 3)]));
        Assert.Equal(["line"], Refinements.Between([plain], [With(plain, line: 3)]));
        Assert.Equal(["componentVersion", "path"], Refinements.Between(
            [With(plain, version: "1", path: "a"), With(plain, version: "2", path: "b")], [With(plain, version: "1", path: "b")]));
        Assert.Equal(["payload"], Refinements.Between([plain], [Of("b")]));
        Assert.Null(Refinements.Between([plain, Of("b")], [Of("b")]));
    }

    [Fact]
    public void After_a_separation_the_sides_have_no_key_in_common_and_everybody_else_keeps_theirs()
    {
        var (one, other, third) = (With(Of("a"), version: "1"), With(Of("b"), version: "2"), Of("c", "another-rule"));
        var refinements = new Refinements();
        var before = refinements.KeysOf(third, Rules);

        var added = Separations.Separate([one], [other], Rules, refinements);

        Assert.Equal((1, true), (added.Added.Count, added.AreApart));
        Assert.Empty(Hashes(refinements, one).Intersect(Hashes(refinements, other)));
        Assert.Equal(before.Select(key => key.Hash), Hashes(refinements, third));
        Assert.Equal(
            [("componentVersion", "1")],
            refinements.KeysOf(one, Rules)[0].Fields.Where(field => field.Name.StartsWith(Refinements.FieldPrefix, StringComparison.Ordinal)).Select(field => (field.Name["split/".Length..], field.Value ?? "")));
    }

    [Fact]
    public void A_key_that_was_refined_is_refined_again_where_its_holders_are_split_once_more()
    {
        var (a, b, c) = (With(Of("a"), version: "1"), With(Of("b"), version: "2", line: 1), With(Of("c"), version: "2", line: 2));
        var refinements = new Refinements();
        Separations.Separate([a], [b, c], Rules, refinements);

        Separations.Separate([b], [c], Rules, refinements);

        Assert.Equal(3, new[] { a, b, c }.SelectMany(trait => Hashes(refinements, trait).Take(1)).Distinct().Count());
    }

    [Fact]
    public void Sides_that_hold_the_same_bytes_are_apart_in_all_else_and_what_was_refined_is_told()
    {
        var (a, b) = (With(Of("a"), version: "1"), With(Of("b"), version: "2"));
        var (both, refinements) = (Of("c", "another-rule"), new Refinements());

        var (added, areApart) = Separations.Separate([a, both], [b, both], Rules, refinements);

        Assert.False(areApart);
        Assert.Equal(refinements.Keys.OrderBy(key => key.ToString(), StringComparer.Ordinal), added.Select(refined => refined.Key).OrderBy(key => key.ToString(), StringComparer.Ordinal));
        Assert.Empty(Hashes(refinements, a).Intersect(Hashes(refinements, b)));
    }

    [Fact]
    public void Missing_is_a_value_of_its_own_and_not_the_empty_text()
    {
        var (missing, empty) = (Of("a"), With(Of("b"), version: ""));
        var refinements = new Refinements();
        Assert.Equal(["componentVersion"], Refinements.Between([missing], [empty]));
        Separations.Separate([missing], [empty], Rules, refinements);
        Assert.NotEqual(Hashes(refinements, missing)[0], Hashes(refinements, empty)[0]);
    }

    private static List<Sha256Digest> Hashes(Refinements refinements, Trait trait) => [.. refinements.KeysOf(trait, Rules).Select(key => key.Hash)];

    private static Trait Of(string payload, string rule = "CVE-2024-0001") =>
        new(new ObservationIdentity(FindingKind.Sca, rule, "npm", "lodash", Purl: "pkg:npm/lodash", Manifest: "package-lock.json"), Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(payload)));

    private static Trait With(Trait trait, string? version = null, int? line = null, string? path = null) =>
        trait with { Identity = trait.Identity with { ComponentVersion = version ?? trait.Identity.ComponentVersion, Line = line ?? trait.Identity.Line, Path = path ?? trait.Identity.Path } };
}

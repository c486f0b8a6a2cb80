using CsCheck;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;
using Wave16.VulnCenter.Tests.Imports;

namespace Wave16.VulnCenter.Tests.Dedup;

public sealed class DedupKeyTests
{
    static readonly SourceRules Rules = SourceRules.Default("test");

    static readonly RawObservation Sast = Bare(FindingKind.Sast) with
    {
        Location = new CodeLocation("src/a.js", 10, 12, 3) { SnippetHash = Sha256Digest.Of("x"u8) },
        Fingerprints = [new ToolFingerprint("hash/v1", "aa")],
    };

    static readonly RawObservation Sca = Bare(FindingKind.Sca) with
    {
        Component = new Component("lodash", "4.17.20", "npm", "pkg:npm/lodash@4.17.20", "pkg:npm/lodash", []),
        Manifest = "package-lock.json",
    };

    [Theory]
    [MemberData(nameof(Reports.Fixtures), MemberType = typeof(Reports))]
    public async Task What_people_read_and_where_lines_moved_is_not_part_of_any_key(string format, string file)
    {
        var observations = await Reports.ObservationsAsync(format, Reports.Bytes(file));
        var texts = Gen.String.Null();
        var lines = Gen.Int[1, 100_000].Nullable();

        Gen.Select(Gen.OneOf(observations.Select(Gen.Const).ToArray()), texts, texts, lines, Gen.Enum<Severity>()).Sample((observation, title, description, line, severity) =>
        {
            var changed = observation with
            {
                Title = title ?? "",
                Description = description,
                RawSeverity = description,
                Severity = severity,
                Pointer = "/elsewhere",
                Offset = line ?? 0,
                PayloadHash = Sha256Digest.Of([]),
                Cvss = [],
                References = [],
                Environments = [],
                SuppressedInSource = new SourceSuppression("external", title),
                Component = observation.Component is { } component ? component with { FixedVersions = ["9.9.9"] } : null,
                Location = observation.Location is { } location ? location with { StartLine = line, EndLine = line, StartColumn = line } : null,
            };
            Assert.Equal(Hashes(observation), Hashes(changed));
        }, iter: 300);
    }

    [Fact]
    public void The_tools_fingerprint_comes_before_the_type_key()
    {
        var keys = DedupKeys.KeysOf(Sast, Rules);

        Assert.Equal([("fingerprint", 0), ("sast", 1)], keys.Select(key => (key.Kind, key.Ordinal)));
    }

    [Fact]
    public void A_key_says_which_fields_it_was_made_of()
    {
        var key = Assert.Single(DedupKeys.KeysOf(Sca, Rules));

        Assert.Equal([new KeyField("component", "pkg:npm/lodash"), new("rule", "rule"), new("manifest", "package-lock.json")], key.Fields);
        Assert.False(key.IsWeak);
    }

    [Theory]
    [InlineData("other/v1", "aa", "rule", "src/a.js")]
    [InlineData("hash/v1", "ab", "rule", "src/a.js")]
    [InlineData("hash/v1", "aa", "other", "src/a.js")]
    [InlineData("hash/v1", "aa", "rule", "src/A.js")]
    public void A_fingerprint_matches_only_with_its_algorithm_rule_and_path(string algorithm, string value, string rule, string path)
    {
        var other = Sast with { RuleId = rule, Location = new CodeLocation(path), Fingerprints = [new ToolFingerprint(algorithm, value)] };

        Assert.DoesNotContain(DedupKeys.KeysOf(Sast, Rules)[0].Hash, Hashes(other));
    }

    [Fact]
    public void An_upgrade_that_does_not_help_leaves_the_finding_the_same()
    {
        var before = Sca with { Manifest = "lib/lodash-4.17.20.tgz" };
        var after = before with { Manifest = "lib/lodash-4.17.21.tgz", Component = Sca.Component is { } c ? c with { Version = "4.17.21", Purl = "pkg:npm/lodash@4.17.21" } : null };

        Assert.Equal(Hashes(before), Hashes(after));
    }

    [Fact]
    public void Missing_fields_never_match_one_another()
    {
        var noPlace = Sca with { Manifest = null };
        var noCode = Sast with { Fingerprints = [], Location = new CodeLocation("src/a.js", 10) };

        Assert.Equal([("component", true)], DedupKeys.KeysOf(noPlace, Rules).Select(key => (key.Kind, key.IsWeak)));
        Assert.Equal([("position", true)], DedupKeys.KeysOf(noCode, Rules).Select(key => (key.Kind, key.IsWeak)));
    }

    [Fact]
    public void An_observation_with_nothing_but_a_rule_still_has_a_key()
    {
        foreach (var kind in Enum.GetValues<FindingKind>())
            Assert.Equal("position", Assert.Single(DedupKeys.KeysOf(Bare(kind), Rules)).Kind);
    }

    [Fact]
    public void Fields_are_kept_apart_by_their_lengths()
    {
        Gen.Select(Gen.String, Gen.String, Gen.String, Gen.String).Sample((a, b, c, d) =>
        {
            if ((a, b) != (c, d))
                Assert.NotEqual(Hash(a, b), Hash(c, d));
        });
        Assert.NotEqual(Hash("ab", "c"), Hash("a", "bc"));
        Assert.NotEqual(Hash(null, "a"), Hash("", "a"));
        Assert.NotEqual(DedupKeys.Hash("k", [new("a", "x")]), DedupKeys.Hash("k", [new("a", "x"), new("b", null)]));

        static Sha256Digest Hash(string? first, string? second) => DedupKeys.Hash("k", [new("a", first), new("b", second)]);
    }

    [Fact]
    public void The_hash_of_a_key_is_pinned()
    {
        var key = Assert.Single(DedupKeys.KeysOf(Sca, Rules));

        // Stored with every finding: a change here without a new schema version splits every tenant's findings.
        Assert.Equal("4141346fa092f11ea42876c22782e2733cc2afdc698adf5751ed963eb066d8f8", key.Hash.ToString());
    }

    [Fact]
    public async Task The_same_code_twice_in_a_file_is_two_findings_and_twice_at_one_place_is_one()
    {
        var results = new[] { 10, 30, 30 }.Select(line => $$"""
            {"ruleId":"r","message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.c"},"region":{"startLine":{{line}},"snippet":{"text":"gets(b);"} } } }]}
            """);

        var observations = await Reports.ObservationsAsync("sarif", Reports.Sarif("lint", "", [.. results]));

        Assert.Equal(2, observations.SelectMany(Hashes).Distinct().Count());
    }

    [Fact]
    public async Task Lines_that_only_share_the_tools_fingerprint_stay_apart()
    {
        var results = new[] { 10, 30 }.Select(line => $$"""
            {"ruleId":"r","message":{"text":"m"},"fingerprints":{"contextHash/v1":"e6c1"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.c"},"region":{"startLine":{{line}} } } }]}
            """);

        var observations = await Reports.ObservationsAsync("sarif", Reports.Sarif("lint", "", [.. results]));

        Assert.Equal(2, observations.Select(o => Hashes(o)[0]).Distinct().Count());
    }

    [Fact]
    public async Task One_secret_at_two_places_of_a_file_is_one_finding_and_two_masked_ones_are_two()
    {
        var open = await Reports.ObservationsAsync("sarif", Reports.Bytes("gitleaks.sarif"));
        var masked = await Reports.ObservationsAsync("trivy", """
            {"SchemaVersion":2,"Results":[{"Target":".env","Class":"secret","Secrets":[
             {"RuleID":"k","Match":"KEY=********","StartLine":1},{"RuleID":"k","Match":"KEY=********","StartLine":5}]}]}
            """);

        Assert.Equal(4, open.Select(o => Hashes(o)[0]).Distinct().Count());
        Assert.Equal(2, masked.Select(o => Hashes(o)[0]).Distinct().Count());
    }

    [Fact]
    public async Task Another_tag_or_digest_of_an_image_is_the_same_place()
    {
        var reports = new[] { "shop/api:1", "shop/api:2", "shop/api@sha256:ab" }.Select(image => Reports.Trivy(
            """{"VulnerabilityID":"CVE-2024-1000","PkgName":"a"}""").Replace("shop/api:1", image, StringComparison.Ordinal));

        var keys = new List<Sha256Digest>();
        foreach (var report in reports)
            keys.AddRange((await Reports.ObservationsAsync("trivy", report)).SelectMany(Hashes));

        Assert.Single(keys.Distinct());
    }

    [Fact]
    public async Task Trivy_and_Grype_name_a_component_alike()
    {
        var trivy = await Reports.ObservationsAsync("trivy", Reports.Bytes("trivy-shop-api.json"));
        var grype = await Reports.ObservationsAsync("grype", Reports.Bytes("grype-shop-api.json"));

        var shared = trivy.Where(o => o.Kind == FindingKind.Sca).SelectMany(Problems).Intersect(grype.SelectMany(Problems));

        Assert.Equal(9, shared.Count());

        static IEnumerable<(string, string?, string?)> Problems(RawObservation o) =>
            o.Identifiers.Where(id => id.Kind == "cve").Select(id => (id.Value, o.Component?.PurlWithoutVersion, o.ImageRepository));
    }

    [Fact]
    public void A_rule_can_name_only_known_fields()
    {
        var rules = new SourceRules("test", 2, [new KeyRule("mine", [FindingKind.Sca], ["severity"])]);

        Assert.Throws<ArgumentException>(() => DedupKeys.KeysOf(Sca, rules));
        Assert.DoesNotContain(KeyFields.Names, name => name is "severity" or "title" or "description" or "line");
        Assert.All(Rules.Keys.SelectMany(rule => rule.Fields), field => Assert.Contains(field.TrimEnd('?'), KeyFields.Names));
    }

    static RawObservation Bare(FindingKind kind) => new()
    {
        Pointer = "/0",
        Offset = 0,
        PayloadHash = Sha256Digest.Of([]),
        Kind = kind,
        RuleId = "rule",
        Title = "title",
    };

    static List<Sha256Digest> Hashes(RawObservation observation) => [.. DedupKeys.KeysOf(observation, Rules).Select(key => key.Hash)];
}

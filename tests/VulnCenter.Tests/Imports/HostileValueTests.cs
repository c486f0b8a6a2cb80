using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class HostileValueTests
{
    static readonly string[] Replacements =
        ["null", "true", "7", "-1", "1e400", "3.5", "99999999999999999999", "\"\"", "\" \"", "\"\\u0000\"", "\"\\ud800\"", "\"CVSS:3.1/\"", "[]", "[null]", "[7,\"a\",[],{}]", "{}", "{\"a\":1}"];

    [Theory]
    [MemberData(nameof(Reports.Fixtures), MemberType = typeof(Reports))]
    public async Task Any_value_replaced_by_any_other_type_is_observed_rejected_or_refused(string format, string file)
    {
        var json = JsonNode.Parse(Reports.Json(file));
        Assert.NotNull(json);
        var rules = SourceRules.Default(format);

        foreach (var path in Shapes(json))
        {
            foreach (var replacement in Replacements)
            {
                var mutant = json.DeepClone();
                Mark(mutant, path);
                await ReadsOrRefusesAsync(format, Text(mutant, file).Replace("\"@value@\"", replacement, StringComparison.Ordinal), rules);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Reports.Fixtures), MemberType = typeof(Reports))]
    public async Task Bytes_flipped_anywhere_are_observed_rejected_or_refused(string format, string file)
    {
        var bytes = Reports.Bytes(file);
        var random = new Random(16);
        var rules = SourceRules.Default(format);

        for (var i = 0; i < 1_500; i++)
        {
            var mutant = bytes.ToArray();
            for (var flips = random.Next(1, 4); flips > 0; flips--)
                mutant[random.Next(mutant.Length)] = (byte)random.Next(256);
            await ReadsOrRefusesAsync(format, mutant, rules);
        }
    }

    [Theory]
    [InlineData("NUL \\u0000 in the middle", "NUL \uFFFD in the middle")]
    [InlineData("a lone \\ud83d surrogate", "a lone \uFFFD surrogate")]
    [InlineData("a lone \\uDE00 low one", "a lone \uFFFD low one")]
    [InlineData("reversed \\uDE00\\uD83D", "reversed \uFFFD\uFFFD")]
    [InlineData("a pair \\ud83d\\ude00", "a pair \U0001F600")]
    [InlineData("no escape: \\\\u0000", "no escape: \\u0000")]
    public async Task What_Postgres_cannot_hold_arrives_as_the_replacement_character(string escaped, string text)
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("trivy", Reports.Trivy(
            $$"""{"VulnerabilityID":"CVE-2024-1000","PkgName":"{{escaped}}","Title":"{{escaped}}","Severity":"LOW"}""")));

        Assert.Equal((text, text), (observation.Title, observation.Component?.Name));
    }

    [Fact]
    public async Task A_lone_surrogate_in_a_key_harms_nothing()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("trivy", Reports.Trivy(
            """{"\ud800ulnerabilityID":1,"\u0000":2,"VulnerabilityID":"CVE-2024-1000","PkgName":"a"}""")));

        Assert.Equal("CVE-2024-1000", observation.RuleId);
    }

    [Fact]
    public async Task Invalid_UTF_8_arrives_as_the_replacement_character_and_is_hashed_as_it_stood()
    {
        var json = Encoding.UTF8.GetBytes(Reports.Trivy("""{"VulnerabilityID":"CVE-2024-1000","PkgName":"a?b"}"""));
        var at = json.AsSpan().IndexOf("a?b"u8) + 1;
        var other = json.ToArray();
        (json[at], other[at]) = (0xFF, 0xFE);

        var first = Assert.Single(await Reports.ObservationsAsync("trivy", json));
        var second = Assert.Single(await Reports.ObservationsAsync("trivy", other));

        Assert.Equal(("a\uFFFDb", "a\uFFFDb"), (first.Component?.Name, second.Component?.Name));
        Assert.NotEqual(first.PayloadHash, second.PayloadHash);
    }

    [Fact]
    public async Task Strings_of_ten_megabytes_are_cut_where_people_read_and_hashed_where_they_identify()
    {
        var text = new string('x', 10_000_000);
        var report = Reports.Trivy(
            $$"""{"VulnerabilityID":"CVE-2024-1000","PkgName":"{{text}}"}""",
            $$"""{"VulnerabilityID":"CVE-2024-1000","PkgName":"{{text}}y"}""",
            $$"""{"VulnerabilityID":"CVE-2024-1000","PkgName":"a","Description":"{{text}}"}""");

        var observations = await Reports.ObservationsAsync("trivy", report);

        Assert.InRange(observations[2].Description?.Length ?? 0, Bounded.DescriptionLength - 50, Bounded.DescriptionLength);
        Assert.EndsWith("… [cut, 10000000 characters]", observations[2].Description, StringComparison.Ordinal);
        Assert.All(observations, observation => Assert.InRange(observation.Component?.Name.Length ?? 0, 1, Bounded.IdentityLength));
        Assert.NotEqual(observations[0].Component?.Name, observations[1].Component?.Name);
    }

    [Fact]
    public async Task Of_duplicate_keys_in_a_result_the_last_one_counts()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("trivy", Reports.Trivy(
            """{"VulnerabilityID":"CVE-2024-1000","PkgName":"a","Severity":"LOW","Severity":"HIGH"}""")));

        Assert.Equal(Severity.High, observation.Severity);
    }

    [Theory]
    [InlineData("1e999999999")]
    [InlineData("-5")]
    [InlineData("11")]
    [InlineData("\"9.8\"")]
    public async Task A_score_that_is_no_CVSS_score_is_left_out_and_its_vector_kept(string score)
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("trivy", Reports.Trivy(
            $$"""{"VulnerabilityID":"CVE-2024-1000","PkgName":"a","CVSS":{"nvd":{"V3Score":{{score}},"V3Vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"} } }""")));

        Assert.Equal(("3.1", null), (observation.Cvss[0].Version, observation.Cvss[0].Score));
    }

    [Fact]
    public async Task A_bad_result_is_rejected_with_its_pointer_and_its_neighbours_are_read()
    {
        var items = await Reports.ReadAsync("trivy", Reports.Trivy(
            """{"VulnerabilityID":"CVE-2024-1000","PkgName":"a"}""", "null", """{"VulnerabilityID":17,"PkgName":"b"}""", """{"VulnerabilityID":"CVE-2024-1001","PkgName":"c"}"""));

        Assert.Equal(["/Results/0/Vulnerabilities/1", "/Results/0/Vulnerabilities/2"], items.OfType<ReportItem.Rejected>().Select(item => item.Pointer));
        Assert.Equal(["a", "c"], items.OfType<ReportItem.Observed>().Select(item => item.Observation.Component?.Name));
    }

    static async Task ReadsOrRefusesAsync(string format, object report, SourceRules rules)
    {
        try
        {
            var items = report is string json ? await Reports.ReadAsync(format, json) : await Reports.ReadAsync(format, (byte[])report);
            Assert.Equal(items.OfType<ReportItem.ScannerSeen>().Sum(scan => scan.Results), items.Count(item => item is not ReportItem.ScannerSeen));
            foreach (var item in items.OfType<ReportItem.Observed>())
            {
                Assert.NotEmpty(DedupKeys.KeysOf(item.Observation, rules));
                var stored = JsonSerializer.Serialize(item.Observation);
                Assert.DoesNotContain("\\u0000", stored, StringComparison.Ordinal);
            }
        }
        catch (ReportFormatException refused)
        {
            Assert.True(refused is { ByteOffset: >= 0, Line: > 0, Column: > 0 }, refused.Message);
        }
    }

    static string Text(JsonNode report, string file) => Reports.IsLines(file) && report is JsonArray lines
        ? string.Join('\n', lines.Select(line => line is null ? "null" : line.ToJsonString()))
        : report.ToJsonString();

    // One path per place in the schema: elements of a list stand for each other.
    static IEnumerable<string[]> Shapes(JsonNode root) => Paths(root, [])
        .DistinctBy(path => string.Join('/', path.Select(segment => int.TryParse(segment, CultureInfo.InvariantCulture, out _) ? "*" : segment)));

    static IEnumerable<string[]> Paths(JsonNode? node, string[] path)
    {
        var children = node switch
        {
            JsonObject value => value.SelectMany(child => Paths(child.Value, [.. path, child.Key])),
            JsonArray value => value.SelectMany((child, index) => Paths(child, [.. path, index.ToString(CultureInfo.InvariantCulture)])),
            _ => [],
        };
        return path.Length == 0 ? children : children.Prepend(path);
    }

    static void Mark(JsonNode root, string[] path)
    {
        JsonNode? parent = root;
        foreach (var segment in path[..^1])
            parent = parent is JsonArray list ? list[int.Parse(segment, CultureInfo.InvariantCulture)] : parent?[segment];
        // Replaced in the text: a JsonNode cannot hold every value JSON can.
        if (parent is JsonArray array)
            array[int.Parse(path[^1], CultureInfo.InvariantCulture)] = "@value@";
        else if (parent is not null)
            parent[path[^1]] = "@value@";
    }
}

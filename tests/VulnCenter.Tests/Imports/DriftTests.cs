using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Dedup;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>docs/dedup.md, "Drift": over real HTTP and PostgreSQL, a tenant for each test.</summary>
public sealed class DriftTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Complete = "&scope=complete";

    [Fact]
    public async Task Changed_code_in_the_same_file_is_the_finding_that_vanished_there_and_the_decision_says_why()
    {
        using var client = await host.OperatorAsync("drift-lines");
        var before = await FirstAsync(client, Complete, Sast("R1", "src/a.cs", 10, "x()"), Sast("R2", "src/a.cs", 20, "z()"));

        var result = await ImportAsync(client, Complete, Sast("R1", "src/a.cs", 14, "y()"), Sast("R2", "src/a.cs", 24, "z()"));

        Assert.Equal((2L, 0L, 2L, 2L), (result.Observations, result.New, result.Matched, result.FindingsChanged));
        var detail = await client.FindingAsync(before["R1"].Id);
        Assert.Equal(14, detail.Finding.Location?.Line);
        var decision = Assert.Single(detail.Decisions, decision => decision.Scan == result.Scans[0].Scan);
        Assert.Equal((Outcome.Matched, "drift", null), (decision.Outcome, decision.KeyKind, decision.Key));
        Assert.StartsWith("lines shifted: ", decision.Reason, StringComparison.Ordinal);
        Assert.Equal(("src/a.cs", "10 → 14", "another"), (decision.Fields["path"], decision.Fields["line"], decision.Fields["code"]));
        Assert.Equal([before["R1"].Id], decision.Candidates);
        Assert.Equal(("finding.drifted", "src/a.cs:10 → src/a.cs:14"), (detail.History[0].Change, detail.History[0].Reason));
    }

    [Theory]
    [InlineData("src/a.cs", "lib/core/a.cs")]
    [InlineData("src/a.cs", "src/renamed.cs")]
    public async Task A_file_that_moved_or_was_renamed_takes_its_findings_along_with_their_status(string from, string to)
    {
        using var client = await host.OperatorAsync($"drift-moved-{to.Replace('/', '-')}");
        var before = await FirstAsync(client, Complete, Sast("R1", from, 10, "x()"), Sast("R1", from, 30, "x()"), Sast("R2", from, 20, "y()"));
        using (var triage = await client.MoveAsync(before["R2"].Id, new { status = "triaged" }, "*"))
        {
            Assert.True(triage.IsSuccessStatusCode);
        }

        var result = await ImportAsync(client, Complete, Sast("R1", to, 10, "x()"), Sast("R1", to, 30, "x()"), Sast("R2", to, 20, "y()"));

        Assert.Equal((0L, 3L), (result.New, result.Matched));
        var findings = (await client.FindingsAsync()).Items;
        Assert.Equal(3, findings.Count);
        Assert.All(findings, finding => Assert.Equal(to, finding.Location?.Path));
        Assert.Equal(FindingStatus.Triaged, findings.Single(finding => finding.Rule == "R2").Status);
        Assert.StartsWith("file moved: ", (await client.FindingAsync(before["R2"].Id)).Decisions[0].Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("two results", "src/a.cs:x", "src/a.cs:y,src/a.cs:z")]
    [InlineData("two findings", "src/a.cs:x,src/a.cs:y", "src/a.cs:z")]
    [InlineData("two of each", "src/a.cs:x,src/a.cs:y", "src/a.cs:v,src/a.cs:w")]
    [InlineData("moved to two places", "src/a.cs:x", "lib/a.cs:x,etc/a.cs:x")]
    [InlineData("moved from two places", "lib/a.cs:x,etc/a.cs:x", "src/a.cs:x")]
    [InlineData("other code elsewhere", "src/a.cs:x", "lib/a.cs:y")]
    [InlineData("same code under another name elsewhere", "src/a.cs:x", "lib/b.cs:x")]
    [InlineData("the old file is still there", "src/a.cs:x,src/a.cs:kept", "src/a.cs:kept,lib/a.cs:x")]
    [InlineData("the new file was there before", "src/a.cs:x,lib/a.cs:kept", "lib/a.cs:kept,lib/a.cs:x")]
    public async Task What_is_ambiguous_or_lacks_evidence_is_new(string name, string before, string after)
    {
        using var client = await host.OperatorAsync($"drift-{name.Replace(' ', '-')}");
        var first = await ImportAsync(client, Complete, Places(before));

        var result = await ImportAsync(client, Complete, Places(after));

        var kept = after.Split(',').Intersect(before.Split(',')).Count();
        Assert.Equal((after.Split(',').Length - kept, kept), (result.New, result.Matched));
        Assert.Equal(first.New + result.New, (await client.FindingsAsync()).Items.Count);
    }

    [Fact]
    public async Task An_ambiguous_result_names_the_findings_it_might_have_been()
    {
        using var client = await host.OperatorAsync("drift-rivals");
        var before = await FirstAsync(client, Complete, Sast("R1", "src/a.cs", 10, "x()"));

        await ImportAsync(client, Complete, Sast("R1", "src/a.cs", 10, "y()"), Sast("R1", "src/a.cs", 11, "z()"));

        foreach (var finding in (await client.FindingsAsync()).Items.Where(finding => finding.Id != before["R1"].Id))
        {
            var decision = Assert.Single((await client.FindingAsync(finding.Id)).Decisions);
            Assert.Equal((Outcome.New, "findings of the rule that this scan no longer shows may be it, but not for certain"), (decision.Outcome, decision.Reason));
            Assert.Equal([before["R1"].Id], decision.Candidates);
        }
    }

    [Fact]
    public async Task A_partial_scan_follows_code_that_was_edited_in_place_and_nothing_else()
    {
        using var client = await host.OperatorAsync("drift-partial");
        await FirstAsync(client, "", Sast("R1", "src/a.cs", 10, "x()"), Sast("R2", "src/b.cs", 20, "x()"), Sast("R3", "src/c.cs", 30, "x()"));

        var result = await ImportAsync(client, "", Sast("R1", "src/a.cs", 10, "y()"), Sast("R2", "src/b.cs", 25, "y()"), Sast("R3", "lib/c.cs", 30, "x()"));

        Assert.Equal((2L, 1L), (result.New, result.Matched));
    }

    [Theory]
    [InlineData("path:src/api", 1)]
    [InlineData("path:src/web", 0)]
    [InlineData("src/api", 1)]
    [InlineData("src/api/", 1)]
    [InlineData("src/web", 0)]
    [InlineData("src/ap", 0)]
    public async Task A_scan_of_a_part_takes_no_finding_from_outside_of_it(string filter, long matched)
    {
        using var client = await host.OperatorAsync($"drift-filter-{filter.Replace('/', '-').Replace(':', '-')}");
        await FirstAsync(client, $"{Complete}&scopeFilter={filter}", Sast("R1", "src/api/a.cs", 10, "x()"));

        var moved = await ImportAsync(client, $"{Complete}&scopeFilter={filter}", Sast("R1", "src/api/new/a.cs", 10, "x()"));
        Assert.Equal((1 - matched, matched), (moved.New, moved.Matched));
    }

    [Fact]
    public async Task A_file_that_moved_into_the_scanned_part_is_new_there()
    {
        using var client = await host.OperatorAsync("drift-into");
        await FirstAsync(client, $"{Complete}&scopeFilter=src/web", Sast("R1", "lib/a.cs", 10, "x()"), Sast("R1", "src/web/b.cs", 10, "y()"));

        var result = await ImportAsync(client, $"{Complete}&scopeFilter=src/web", Sast("R1", "src/web/a.cs", 10, "x()"), Sast("R1", "src/web/b.cs", 10, "y()"));

        Assert.Equal((1L, 1L), (result.New, result.Matched));
    }

    [Fact]
    public async Task Importing_again_after_a_drift_changes_nothing_and_what_stood_there_before_is_new_when_it_comes_back()
    {
        const string tenant = "drift-again";
        using var client = await host.OperatorAsync(tenant);
        await FirstAsync(client, Complete, Sast("R1", "src/a.cs", 10, "x()"));
        var edited = Sast("R1", "src/a.cs", 14, "y()");
        await ImportAsync(client, Complete, edited);
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);

        var again = await ImportAsync(client, Complete, edited);
        Assert.Equal((0L, 1L, 0L), (again.New, again.Matched, again.FindingsChanged));
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));

        var both = await ImportAsync(client, Complete, edited, Sast("R1", "src/a.cs", 10, "x()"));
        Assert.Equal((1L, 1L), (both.New, both.Matched));
    }

    [Theory]
    [InlineData("fixed")]
    [InlineData("verified")]
    public async Task A_finding_that_was_said_to_be_gone_is_not_found_somewhere_else(string status)
    {
        using var client = await host.OperatorAsync($"drift-{status}");
        var before = await FirstAsync(client, Complete, Sast("R1", "src/a.cs", 10, "x()"));
        foreach (var step in (string[])["triaged", "fixed", "verified"])
        {
            object change = step == "verified" ? await client.AttachEvidenceAsync(before["R1"].Id) : new { status = step, reason = "rewritten" };
            using var moved = await client.MoveAsync(before["R1"].Id, change, "*");
            Assert.True(moved.IsSuccessStatusCode);
            if (step == status)
            {
                break;
            }
        }

        var result = await ImportAsync(client, Complete, Sast("R1", "src/a.cs", 14, "y()"));

        Assert.Equal((1L, 0L), (result.New, result.Reopened));
    }

    [Fact]
    public async Task A_finding_that_the_scan_before_did_not_show_either_is_not_what_appeared_now()
    {
        using var client = await host.OperatorAsync("drift-stale");
        await FirstAsync(client, Complete, Sast("R1", "src/a.cs", 10, "x()"), Sast("R2", "src/b.cs", 10, "x()"));
        await ImportAsync(client, Complete, Sast("R2", "src/b.cs", 10, "x()"));

        var result = await ImportAsync(client, Complete, Sast("R1", "src/a.cs", 14, "y()"), Sast("R2", "src/b.cs", 10, "x()"));

        Assert.Equal((1L, 1L), (result.New, result.Matched));
    }

    [Fact]
    public async Task A_partial_scan_in_between_says_nothing_about_what_it_does_not_show()
    {
        using var client = await host.OperatorAsync("drift-between");
        await FirstAsync(client, Complete, Sast("R1", "src/a.cs", 10, "x()"));
        await ImportAsync(client, "", Sast("R2", "src/b.cs", 10, "x()"));

        var result = await ImportAsync(client, Complete, Sast("R1", "src/a.cs", 14, "y()"), Sast("R2", "src/b.cs", 10, "x()"));

        Assert.Equal((0L, 2L), (result.New, result.Matched));
    }

    [Theory]
    [InlineData("fingerprints", """{"fingerprints":{"trackingId":"1"}}""", """{"fingerprints":{"trackingId":"2"}}""", 0)]
    [InlineData("line hashes", """{"fingerprints":{"primaryLocationLineHash":"1"}}""", """{"fingerprints":{"primaryLocationLineHash":"2"}}""", 1)]
    [InlineData("functions", """{"location":{"path":"src/a.cs","startLine":10,"snippet":"x()","scope":"A.F"}}""", """{"location":{"path":"src/a.cs","startLine":10,"snippet":"y()","scope":"A.G"}}""", 0)]
    [InlineData("one function", """{"location":{"path":"src/a.cs","startLine":10,"snippet":"x()","scope":"A.F"}}""", """{"location":{"path":"src/a.cs","startLine":19,"snippet":"y()","scope":"A.F"}}""", 1)]
    [InlineData("resources", """{"kind":"config","resource":"bucket.a"}""", """{"kind":"config","resource":"bucket.b"}""", 0)]
    [InlineData("secrets", """{"kind":"secret","secret":{"match":"fake-token-one"}}""", """{"kind":"secret","secret":{"match":"fake-token-two"}}""", 0)]
    public async Task What_tells_two_problems_apart_keeps_them_apart(string name, string before, string after, long matched)
    {
        using var client = await host.OperatorAsync($"drift-apart-{name.Replace(' ', '-')}");
        await ImportAsync(client, Complete, With(Sast("R1", "src/a.cs", 10, "x()"), before));

        var result = await ImportAsync(client, Complete, With(Sast("R1", "src/a.cs", 10, "y()"), after));

        Assert.Equal((1 - matched, matched), (result.New, result.Matched));
    }

    [Fact]
    public async Task A_secret_is_followed_into_another_file_and_a_masked_one_is_not()
    {
        using var client = await host.OperatorAsync("drift-secret");
        string Secret(string rule, string path, string match) => With(Sast(rule, path, 1, ""), $$$"""{"kind":"secret","location":{"path":"{{{path}}}","startLine":1},"secret":{"match":"{{{match}}}"}}""");
        await ImportAsync(client, Complete, Secret("leak", "a.env", "fake-token-one"), Secret("masked", "b.env", "KEY=*****"));

        var result = await ImportAsync(client, Complete, Secret("leak", "conf/a.env", "fake-token-one"), Secret("masked", "conf/b.env", "KEY=*****"));

        Assert.Equal((1L, 1L), (result.New, result.Matched));
    }

    [Fact]
    public async Task Results_without_code_are_followed_to_the_same_line_of_a_file_of_the_same_name()
    {
        using var client = await host.OperatorAsync("drift-line");
        await FirstAsync(client, Complete, Sast("R1", "src/a.cs", 10, ""), Sast("R2", "src/b.cs", 10, ""));

        var result = await ImportAsync(client, Complete, Sast("R1", "lib/a.cs", 10, ""), Sast("R2", "lib/b.cs", 11, ""));

        Assert.Equal((1L, 1L), (result.New, result.Matched));
    }

    [Fact]
    public async Task Other_services_sources_and_tenants_have_no_part_in_it()
    {
        using var client = await host.OperatorAsync("drift-ours");
        using var others = await host.OperatorAsync("drift-theirs");
        var report = Report(Sast("R1", "src/a.cs", 10, "x()"));
        await client.ImportAsync("generic", "another", report, Complete);
        await client.ImportAsync("generic", "shop-api", report, $"{Complete}&source=another");
        await others.ImportAsync("generic", "shop-api", report, Complete);
        await ImportAsync(client, Complete, Sast("R9", "src/z.cs", 1, "z()"));

        var result = await ImportAsync(client, Complete, Sast("R1", "src/a.cs", 14, "y()"), Sast("R9", "src/z.cs", 1, "z()"));

        Assert.Equal((1L, 1L), (result.New, result.Matched));
    }

    [Fact]
    public async Task A_finding_is_not_followed_to_where_one_stands_that_was_told_apart_from_it()
    {
        using var client = await host.OperatorAsync("drift-apart");
        string[] both = [With(Sast("R1", "src/a.cs", 10, "x()"), """{"id":"7"}"""), With(Sast("R1", "src/a.cs", 20, "y()"), """{"id":"7"}""")];
        await ImportAsync(client, Complete, both);
        var finding = Assert.Single((await client.FindingsAsync()).Items);
        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.Line == 20);
        // The one that was split off is followed away from line 20, and something else appears there when the first one vanishes.
        await ImportAsync(client, Complete, both[0], Sast("R1", "src/a.cs", 30, "z()"));

        var result = await ImportAsync(client, Complete, Sast("R1", "src/a.cs", 20, "w()"), Sast("R1", "src/a.cs", 30, "z()"));

        Assert.Equal((1L, 1L), (result.New, result.Matched));
        Assert.All((await client.FindingAsync(finding.Id)).Observations, o => Assert.Equal(10, o.Identity?.Line));
        Assert.Equal(unmerged.NewFinding, (await client.FindingsAsync()).Items.Single(item => item.Location?.Line == 30).Id);
    }

    [Fact]
    public async Task A_thousand_files_that_moved_at_once_are_followed_and_a_thousand_lines_of_one_file_are_not_guessed_at()
    {
        using var client = await host.OperatorAsync("drift-many");
        await ImportAsync(client, Complete, [.. Enumerable.Range(0, 1_000).SelectMany(i => (string[])[Sast("R1", $"src/f{i}.cs", 1, "x()"), Sast("R2", "big.cs", i + 1, $"a{i}()")])]);

        var result = await ImportAsync(client, Complete, [.. Enumerable.Range(0, 1_000).SelectMany(i => (string[])[Sast("R1", $"lib/f{i}.cs", 1, "x()"), Sast("R2", "big.cs", i + 1, $"b{i}()")])]);

        Assert.Equal((1_000L, 1_000L), (result.New, result.Matched));
    }

    [Fact]
    public async Task Paths_and_rules_as_long_as_they_may_be_are_stored_and_followed()
    {
        using var client = await host.OperatorAsync("drift-long");
        var random = new Random(1);
        string Long(int length) => string.Concat(Enumerable.Range(0, length).Select(_ => (char)random.Next(0x4E00, 0x9FA5)));
        var (folder, file, rule) = (Long(400), Long(590), Long(500));
        await ImportAsync(client, Complete, Sast(rule, $"src/{folder}/{file}", 1, "x()"));

        var result = await ImportAsync(client, Complete, Sast(rule, $"lib/{folder}/{file}", 1, "x()"));

        Assert.Equal((0L, 1L), (result.New, result.Matched));
    }

    private static string[] Places(string places) => [.. places.Split(',').Select((place, i) => place.Split(':') is [var path, var code]
        ? Sast("R1", path, i + 1, $"{code}()")
        : throw new ArgumentException(place, nameof(places)))];

    private static string Sast(string rule, string path, int line, string code) =>
        $$$"""{"rule":"{{{rule}}}","title":"t","kind":"sast","severity":"high","location":{"path":"{{{path}}}","startLine":{{{line}}}{{{(code.Length == 0 ? "" : $",\"snippet\":\"{code}\"")}}}}}""";

    /// <summary>Members replaced or added: <c>{"kind":"config"}</c>.</summary>
    private static string With(string finding, string members)
    {
        var merged = System.Text.Json.Nodes.JsonNode.Parse(finding)?.AsObject() ?? throw new ArgumentException(finding, nameof(finding));
        foreach (var (name, value) in System.Text.Json.Nodes.JsonNode.Parse(members)?.AsObject() ?? [])
        {
            merged[name] = value?.DeepClone();
        }

        return merged.ToJsonString();
    }

    private static byte[] Report(params string[] findings) => Encoding.UTF8.GetBytes(Reports.Generic(findings));

    private static Task<ImportResult> ImportAsync(HttpClient client, string scope, params string[] findings) =>
        client.ImportAsync("generic", "shop-api", Report(findings), scope);

    /// <summary>Findings by rule; of several of one rule the last.</summary>
    private static async Task<Dictionary<string, Finding>> FirstAsync(HttpClient client, string scope, params string[] findings)
    {
        await ImportAsync(client, scope, findings);
        Dictionary<string, Finding> byRule = [];
        foreach (var finding in (await client.FindingsAsync()).Items)
        {
            byRule[finding.Rule] = finding;
        }

        return byRule;
    }
}

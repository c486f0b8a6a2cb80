using System.Net;
using System.Net.Http.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Findings;
using Wave16.VulnCenter.Tests.Groups;
using static Wave16.VulnCenter.Tests.Dedup.DedupCalls;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>What an un-merge means for groups, and what people said about groups for an un-merge: over real HTTP and PostgreSQL, a tenant for each test.</summary>
public sealed class UnmergeGroupTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Id = """{"identifiers":["CVE-2024-0001"]}""";

    private static readonly Vulnerable Lodash = new("CVE-2024-0001", "lodash", "CVE-2024-0001") { Severity = "low" };

    [Fact]
    public async Task Both_sides_are_in_the_group_that_their_ids_justify_and_severity_gate_summary_and_history_follow()
    {
        const string tenant = "ug-both";
        using var client = await host.OperatorAsync(tenant);
        var grype = (await client.ReportAsync(Service, "grype", Lodash))[0];
        await client.ShowAsync(Sca("1.0.0", "critical", more: Id), Sca("2.0.0", more: Id));
        var before = Assert.Single(await client.GroupsAsync());
        var finding = before.Findings().Single(id => id != grype);
        Assert.Equal((Severity.Critical, 2), (before.Severity, before.Members.Count));

        var unmerged = await client.UnmergeAsync(finding, identity => identity.ComponentVersion == "1.0.0");

        var after = Assert.Single(await client.GroupsAsync());
        Assert.Equal((before.Id, Severity.Critical, false), (after.Id, after.Severity, after.Manual));
        Assert.Equal(new[] { grype, finding, unmerged.NewFinding }.Order(), after.Findings());
        Assert.True(after.Version > before.Version);
        Assert.Equal(new[] { grype, finding, unmerged.NewFinding }.Order(), Assert.Single(after.Why).Findings.Order());
        var (stays, left) = (await client.FindingAsync(finding), await client.FindingAsync(unmerged.NewFinding));
        Assert.Equal((after.Id, after.Id), (stays.Group?.Id, left.Group?.Id));
        Assert.Equal((false, true), (stays.Finding.Gate, left.Finding.Gate));
        Assert.Equal(["finding.unmerged", "finding.observed"], stays.History.Select(step => step.Change));
        Assert.Equal(["finding.unmerged"], left.History.Select(step => step.Change));
        var summary = await client.GetAsync<FindingSummary>("/findings/summary");
        Assert.Equal((3L, 1L, 1L, 1L), (summary.Open, summary.BySeverity["critical"], summary.BySeverity["high"], summary.BySeverity["low"]));
        Assert.Equal(3L, summary.Aging.Sum(bucket => bucket.Open));

        using var triaged = await client.MoveAsync(unmerged.NewFinding, new { status = "triaged" }, "*");
        using var @fixed = await client.MoveAsync(unmerged.NewFinding, new { status = "fixed", reason = "upgraded" }, "*");

        Assert.Equal(HttpStatusCode.OK, @fixed.StatusCode);
        var closed = Assert.Single(await client.GroupsAsync());
        Assert.Equal((Severity.High, FindingStatus.Open), (closed.Severity, closed.Members.Single(member => member.Finding == finding).Status));
        Assert.Equal(0L, await host.ScalarAsync<long>(UnmergeTests.Broken, tenant));
    }

    /// <summary>Two components that a tool gave one id: where they came in reports of their own, what the first looked like is known by its identity only.</summary>
    [Theory]
    [InlineData("p", false)]
    [InlineData("q", false)]
    [InlineData("p", true)]
    [InlineData("q", true)]
    public async Task Each_side_is_grouped_by_its_own_component_and_ids_and_judged_by_what_the_feeds_say_of_these(string leaving, bool apart)
    {
        using var client = await host.OperatorAsync($"ug-sides-{leaving}-{apart}");
        await client.FeedAsync("kev", GroupCalls.Kev("2026-01-01T00:00:00Z", "CVE-2026-0002"));
        await client.FeedAsync("epss", GroupCalls.Epss("2026-01-01T00:00:00+0000", ("CVE-2026-0001", 0.25), ("CVE-2026-0002", 0.75)));
        Vulnerable p = new("RT-1", "p", "CVE-2026-0001") { Id = "x" }, q = new("RT-1", "q", "CVE-2026-0002") { Id = "x" };
        var others = await client.ReportAsync(Service, "grype", new Vulnerable("CVE-2026-0001", "p", "CVE-2026-0001"), new Vulnerable("CVE-2026-0002", "q", "CVE-2026-0002"));
        foreach (var report in apart ? (Vulnerable[][])[[q], [p]] : [[p, q]])
        {
            await client.ReportAsync(Service, Source, report);
        }

        var finding = Assert.Single((await client.FindingsAsync($"?source={Source}")).Items);
        Assert.Single(await client.GroupsAsync());

        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.Component == leaving);

        var (ofP, ofQ) = leaving == "p" ? (unmerged.NewFinding, finding.Id) : (finding.Id, unmerged.NewFinding);
        await AssertGroupsAsync(client, [ofP, others[0]], [ofQ, others[1]]);
        var (sideP, sideQ) = ((await client.FindingAsync(ofP)).Finding, (await client.FindingAsync(ofQ)).Finding);
        Assert.Equal(("p", 0.25, false), (sideP.Component?.Name, sideP.Risk.Epss, sideP.Risk.Kev));
        Assert.Equal(("q", 0.75, true), (sideQ.Component?.Name, sideQ.Risk.Epss, sideQ.Risk.Kev));
        var summary = await client.GetAsync<FindingSummary>("/findings/summary");
        Assert.Equal((4L, 2L), (summary.Open, summary.KnownExploited));
        await client.ReportAsync(Service, Source, p, q);
        await AssertGroupsAsync(client, [ofP, others[0]], [ofQ, others[1]]);
    }

    [Fact]
    public async Task A_gate_that_stood_for_what_is_exploited_goes_with_the_side_that_is()
    {
        using var client = await host.OperatorAsync("ug-gate");
        await client.FeedAsync("kev", GroupCalls.Kev("2026-01-01T00:00:00Z", "CVE-2026-0002"));
        using var policy = await client.SendAsync(HttpMethod.Put, "/findings/policies/gate", GatePolicy.Default with { Kev = true, AtLeast = Severity.Medium }, "*");
        Assert.Equal(HttpStatusCode.OK, policy.StatusCode);
        await client.ReportAsync(Service, Source, new Vulnerable("RT-1", "q", "CVE-2026-0002") { Id = "x" }, new Vulnerable("RT-1", "p", "CVE-2026-0001") { Id = "x", Severity = "medium" });
        var finding = await client.OnlyFindingAsync();
        Assert.True(finding.Gate);

        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.Component == "q");

        Assert.Equal((false, true), ((await client.FindingAsync(finding.Id)).Finding.Gate, (await client.FindingAsync(unmerged.NewFinding)).Finding.Gate));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_was_never_to_be_grouped_with_a_finding_is_not_grouped_with_what_is_split_from_it_until_somebody_says_so(bool takenOut)
    {
        using var client = await host.OperatorAsync($"ug-never-{takenOut}");
        var grype = (await client.ReportAsync(Service, "grype", Lodash))[0];
        await client.ShowAsync(Sca("1.0.0", more: Id), Sca("2.0.0", more: Id));
        var group = Assert.Single(await client.GroupsAsync());
        var finding = group.Findings().Single(id => id != grype);
        using var split = await client.SplitAsync(group.Id, "another problem", takenOut ? finding : grype);
        Assert.Equal(HttpStatusCode.OK, split.StatusCode);

        var unmerged = await client.UnmergeAsync(finding, identity => identity.ComponentVersion == "2.0.0");

        Assert.Empty(await client.GroupsAsync());
        var npm = (await client.ReportAsync(Service, "npm-audit", Lodash))[0];
        await client.ShowAsync(Sca("2.0.0", more: Id), Sca("1.0.0", "low", more: Id));
        await client.ReportAsync(Service, "grype", Lodash with { Severity = "high" });

        // The one that was taken out looks for its place last.
        await AssertGroupsAsync(client, takenOut ? [grype, npm] : [finding, unmerged.NewFinding, npm]);
        using var linked = await client.LinkAsync("this one is it", unmerged.NewFinding, grype);
        Assert.Equal(HttpStatusCode.OK, linked.StatusCode);
        var joined = (await client.GroupOfAsync(grype))?.Findings() ?? [];
        Assert.Contains(unmerged.NewFinding, joined);
        Assert.DoesNotContain(finding, joined);
    }

    [Fact]
    public async Task A_link_by_hand_stays_with_the_finding_it_names()
    {
        using var client = await host.OperatorAsync("ug-link");
        var pentest = (await client.ReportAsync(Service, "pentest", new Vulnerable("RT-7", "lodash-es")))[0];
        await client.ReportAsync(
            Service, Source, new Vulnerable("RT-1", "p", "CVE-2026-0001") { Id = "x" }, new Vulnerable("RT-1", "q", "CVE-2026-0002") { Id = "x" });
        var finding = Assert.Single((await client.FindingsAsync($"?source={Source}")).Items);
        using var linked = await client.LinkAsync("shown by the exploit", pentest, finding.Id);

        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.Component == "q");

        await AssertGroupsAsync(client, [pentest, finding.Id]);
        Assert.Null(await client.GroupOfAsync(unmerged.NewFinding));
    }

    [Fact]
    public async Task What_was_split_stays_two_findings_of_one_group_whatever_reports_rules_and_aliases_come()
    {
        const string tenant = "ug-lasting";
        using var client = await host.OperatorAsync(tenant);
        var npm = (await client.ReportAsync(Service, "npm-audit", new Vulnerable("GHSA-aaaa-bbbb-cccc", "lodash", "GHSA-aaaa-bbbb-cccc")))[0];
        await client.ShowAsync(Sca("1.0.0", more: Id), Sca("2.0.0", more: Id));
        var finding = Assert.Single((await client.FindingsAsync($"?source={Source}")).Items).Id;
        var split = (await client.UnmergeAsync(finding, identity => identity.ComponentVersion == "2.0.0")).NewFinding;
        Assert.Empty(await client.GroupsAsync());

        await client.AliasesAsync("ghsa", replace: false, "GHSA-aaaa-bbbb-cccc CVE-2024-0001");
        await AssertGroupsAsync(client, [npm, finding, split]);
        await client.ChangeRulesAsync(new DedupKeyRule("package", [FindingKind.Sca], ["rule", "component"]), Position);
        await AssertGroupsAsync(client, [npm, finding, split]);
        var again = await client.ShowAsync(Sca("2.0.0", "critical", more: Id), Sca("1.0.0", manifest: "yarn.lock", more: Id));
        Assert.Equal((0L, 2L), (again.New, again.Matched));
        using var taken = await client.SplitAsync(Assert.Single(await client.GroupsAsync()).Id, "not reachable", split);
        await client.ShowAsync(Sca("1.0.0", more: Id), Sca("2.0.0", more: """{"identifiers":["CVE-2024-0001"],"id":"same"}"""));
        await AssertGroupsAsync(client, [npm, finding]);
        await client.ChangeRulesAsync([.. (await client.GetAsync<DedupRules>($"/findings/dedup-rules/{Source}")).Default]);
        await client.ShowAsync(Sca("2.0.0", more: """{"identifiers":["CVE-2024-0001"],"id":"same"}"""), Sca("1.0.0", more: """{"identifiers":["CVE-2024-0001"],"id":"same"}"""));

        await AssertGroupsAsync(client, [npm, finding]);
        Assert.Equal([split], (await client.FindingAsync(finding)).NeverMergedWith.Select(other => other.Finding));
        Assert.All((await client.FindingAsync(finding)).Observations, o => Assert.Equal("1.0.0", o.Identity?.ComponentVersion));
        Assert.All((await client.FindingAsync(split)).Observations, o => Assert.Equal("2.0.0", o.Identity?.ComponentVersion));
        await client.RemoveEdgeAsync("GHSA-aaaa-bbbb-cccc", "CVE-2024-0001");
        Assert.Empty(await client.GroupsAsync());
        Assert.Equal(0L, await host.ScalarAsync<long>(UnmergeTests.Broken, tenant));
    }

    [Fact]
    public async Task Many_splits_and_then_many_splits_of_groups_leave_each_where_it_belongs()
    {
        using var client = await host.OperatorAsync("ug-bulk");
        string[] packages = ["p", "q", "r"];
        var grype = await client.ReportAsync(Service, "grype", [.. packages.Select(package => new Vulnerable("CVE-2024-0001", package, "CVE-2024-0001"))]);
        await client.ShowAsync([.. packages.SelectMany(package => (string[])[Of(package, "1.0.0"), Of(package, "2.0.0")])]);
        Assert.Equal(3, (await client.GroupsAsync()).Count);
        var findings = (await client.FindingsAsync($"?source={Source}")).Items.OrderBy(item => item.Component?.Name, StringComparer.Ordinal).Select(item => item.Id).ToArray();
        var items = await Task.WhenAll(findings.Select(async finding =>
            new UnmergeItem(finding, await client.ObservationsAsync(finding, identity => identity.ComponentVersion == "2.0.0"), "two problems")));

        using var answer = await client.SendAsync(
            HttpMethod.Post, "/findings/unmerge", new UnmergeBatch([items[0], items[1] with { Version = 7 }, items[2]]), ifMatch: null);

        var results = (await answer.ReadAsync<UnmergeBatchResult>()).Items;
        Assert.Equal([null, "precondition.failed", null], results.Select(item => item.Code));
        var (ofP, ofR) = (results[0].Result?.NewFinding ?? default, results[2].Result?.NewFinding ?? default);
        await AssertGroupsAsync(client, [grype[0], findings[0], ofP], [grype[1], findings[1]], [grype[2], findings[2], ofR]);

        var groups = (await client.GroupsAsync()).SelectMany(group => group.Findings().Select(finding => (finding, group.Id))).ToDictionary();
        using var split = await client.PostAsJsonAsync(
            "/findings/groups/split",
            new GroupSplits([new(groups[ofP], [ofP], "not reachable"), new(groups[ofR], [findings[2], ofR], "not reachable")]), VulnCenterCalls.Json, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, split.StatusCode);
        using var second = await client.SendAsync(HttpMethod.Post, "/findings/unmerge", new UnmergeBatch([items[1]]), ifMatch: null);
        var ofQ = (await second.ReadAsync<UnmergeBatchResult>()).Items[0].Result?.NewFinding ?? default;

        await client.ShowAsync([.. packages.SelectMany(package => (string[])[Of(package, "2.0.0"), Of(package, "1.0.0")])]);
        await AssertGroupsAsync(client, [grype[0], findings[0]], [grype[1], findings[1], ofQ]);

        static string Of(string package, string version) => Sca(version, more: $$$"""
            {"identifiers":["CVE-2024-0001"],"component":{"name":"{{{package}}}","version":"{{{version}}}","purl":"pkg:npm/{{{package}}}@{{{version}}}"}}
            """);
    }

    [Fact]
    public async Task A_suppressed_finding_stays_so_and_what_is_split_from_it_is_not()
    {
        using var client = await host.OperatorAsync("ug-suppressed");
        var grype = (await client.ReportAsync(Service, "grype", Lodash))[0];
        await client.ShowAsync(Sca("1.0.0", "critical", more: Id), Sca("2.0.0", "critical", more: Id));
        var finding = Assert.Single((await client.FindingsAsync($"?source={Source}")).Items).Id;
        using var suppressed = await client.PutAsync(
            finding, "suppression", new SuppressionChange(SuppressionKind.RiskAccepted, "1.0.0 is not reachable", DateTimeOffset.UtcNow.AddDays(30)));
        Assert.Equal(HttpStatusCode.OK, suppressed.StatusCode);

        var unmerged = await client.UnmergeAsync(finding, identity => identity.ComponentVersion == "2.0.0");

        var (stays, left) = ((await client.FindingAsync(finding)).Finding, (await client.FindingAsync(unmerged.NewFinding)).Finding);
        Assert.Equal((SuppressionKind.RiskAccepted, false, null, true), (stays.Suppression?.Kind, stays.Gate, left.Suppression?.Kind, left.Gate));
        var group = Assert.Single(await client.GroupsAsync());
        Assert.Equal([(finding, true)], group.Members.Where(member => member.Suppressed).Select(member => (member.Finding, member.Suppressed)));
        Assert.Contains(grype, group.Findings());
        var summary = await client.GetAsync<FindingSummary>("/findings/summary");
        Assert.Equal((2L, 1L), (summary.Open, summary.Suppressed));
    }

    [Theory]
    [InlineData(false, Severity.High)]
    [InlineData(true, Severity.Low)]
    public async Task What_is_split_from_a_fixed_finding_is_open_and_counts_for_the_group_unless_it_keeps_the_status(bool keepStatus, Severity expected)
    {
        using var client = await host.OperatorAsync($"ug-fixed-{keepStatus}");
        await client.ReportAsync(Service, "grype", Lodash);
        await client.ShowAsync(Sca("1.0.0", more: Id), Sca("2.0.0", more: Id));
        var finding = Assert.Single((await client.FindingsAsync($"?source={Source}")).Items).Id;
        using var triaged = await client.MoveAsync(finding, new { status = "triaged" }, "*");
        using var @fixed = await client.MoveAsync(finding, new { status = "fixed", reason = "upgraded" }, "*");
        Assert.Equal(Severity.Low, Assert.Single(await client.GroupsAsync()).Severity);

        using var answer = await client.PostUnmergeAsync(finding, new UnmergeRequest(await client.ObservationsAsync(finding, identity => identity.ComponentVersion == "2.0.0"), "another", keepStatus));

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var group = Assert.Single(await client.GroupsAsync());
        Assert.Equal((expected, 3), (group.Severity, group.Members.Count));
        Assert.Equal(keepStatus ? 1L : 2L, (await client.GetAsync<FindingSummary>("/findings/summary")).Open);
    }

    private static async Task AssertGroupsAsync(HttpClient client, params Guid[][] expected) => Assert.Equal(
        expected.Select(group => string.Join(' ', group.Order())).Order(StringComparer.Ordinal),
        (await client.GroupsAsync()).Select(group => string.Join(' ', group.Findings())).Order(StringComparer.Ordinal));
}

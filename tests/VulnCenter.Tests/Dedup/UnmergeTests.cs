using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Imports;
using static Wave16.VulnCenter.Tests.Dedup.DedupCalls;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>docs/dedup.md, "Un-merge": over real HTTP and PostgreSQL, a tenant for each test.</summary>
public sealed class UnmergeTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    /// <summary>What must hold of every finding, whatever was split: its history is as long as its version, its gate where one belongs, and an audit leaf covers it.</summary>
    internal const string Broken = """
        select count(*) from vuln_center.finding f where f.tenant = $1 and (
          f.version <> (select count(*) from vuln_center.transition t where t.tenant = f.tenant and t.finding = f.id)
          or f.gate <> (f.severity = 6 and f.status in (1, 2))
          or not exists (select from vuln_center.observation o where o.tenant = f.tenant and o.finding = f.id)
          or not exists (select from platform.audit_leaf a where a.tenant = f.tenant and a.hash = f.audit_hash))
        """;

    [Theory]
    [InlineData("2.0.0")]
    [InlineData("1.0.0")]
    public async Task Two_versions_that_were_one_finding_are_split_and_every_later_report_finds_both(string leaving)
    {
        var tenant = $"unmerge-versions-{leaving}";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(Sca("1.0.0", "critical"), Sca("2.0.0"));
        var finding = await client.OnlyFindingAsync();

        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.ComponentVersion == leaving);

        Assert.Equal((finding.Id, finding.Version + 1), (unmerged.Finding, unmerged.Version));
        Assert.Equal(["componentVersion"], unmerged.SeparatedBy);
        await AssertApartAsync(tenant, client, unmerged, leaving);
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        foreach (var report in (string[][])[[Sca("1.0.0", "critical"), Sca("2.0.0")], [Sca("2.0.0"), Sca("1.0.0", "critical")]])
        {
            var again = await client.ShowAsync(report);
            Assert.Equal((0L, 2L, 0L), (again.New, again.Matched, again.FindingsChanged));
            Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
        }

        var reworded = await client.ShowAsync(Sca("2.0.0", "low", more: """{"title":"another title","description":"more"}"""), Sca("1.0.0", "critical", more: """{"description":"more"}"""));
        Assert.Equal((0L, 2L, 2L), (reworded.New, reworded.Matched, reworded.FindingsChanged));
        Assert.Equal(leaving, (await client.FindingAsync(unmerged.NewFinding)).Finding.Component?.Version);
        Assert.NotEqual(leaving, (await client.FindingAsync(finding.Id)).Finding.Component?.Version);
        Assert.Equal(0L, await host.ScalarAsync<long>(Broken, tenant));
    }

    private async Task AssertApartAsync(string tenant, HttpClient client, Unmerged unmerged, string leaving)
    {
        var (stays, left) = (await client.FindingAsync(unmerged.Finding), await client.FindingAsync(unmerged.NewFinding));
        Assert.Equal((leaving, $"lodash {leaving}"), (left.Finding.Component?.Version, left.Finding.Title));
        var isCritical = leaving == "1.0.0";
        Assert.Equal((isCritical, isCritical ? Severity.Critical : Severity.High), (left.Finding.Gate, left.Finding.Severity));
        Assert.Equal((!isCritical, isCritical ? Severity.High : Severity.Critical), (stays.Finding.Gate, stays.Finding.Severity));
        Assert.Equal((FindingStatus.Open, 1L), (left.Finding.Status, left.Finding.Version));
        Assert.Equal(("finding.unmerged", "two problems", $"{tenant}-tester"), (left.History[0].Change, left.History[0].Reason, left.History[0].Actor));
        Assert.Equal(["finding.unmerged", "finding.observed"], stays.History.Select(step => step.Change));
        Assert.Equal([unmerged.Finding], left.NeverMergedWith.Select(other => other.Finding));
        Assert.Equal([unmerged.NewFinding], stays.NeverMergedWith.Select(other => other.Finding));
        var decision = Assert.Single(left.Decisions);
        Assert.Equal((Outcome.Unmerged, leaving), (decision.Outcome, decision.Fields["split/componentVersion"]));
        Assert.Equal(
            isCritical ? ["gate-raised", "status-changed"] : ["status-changed"],
            (await host.ScalarAsync<string>(
                "select string_agg(regexp_replace(type, '^.*vuln-center\\.(finding-)?|\\.v1$', '', 'g'), ',' order by type) from platform.event where tenant = $1 and subject = $2",
                tenant, unmerged.NewFinding.ToString("D"))).Split(',').Order(StringComparer.Ordinal));
        Assert.Equal(isCritical ? 1L : 0L, await host.ScalarAsync<long>(
            "select count(*) from platform.event where tenant = $1 and subject = $2 and type like '%gate-withdrawn%'", tenant, unmerged.Finding.ToString("D")));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_stays_at_the_gate_is_put_there_again_when_it_lost_the_observation_it_was_called_by(bool losesItsFace)
    {
        var tenant = $"unmerge-gate-{losesItsFace}";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(Sca("1.0.0", "critical"), Sca("2.0.0", "critical"));
        var finding = await client.OnlyFindingAsync();

        await client.UnmergeAsync(finding.Id, identity => identity.ComponentVersion == finding.Component?.Version == losesItsFace);

        var stays = (await client.FindingAsync(finding.Id)).Finding;
        Assert.Equal((true, losesItsFace), (stays.Gate, stays.Title != finding.Title));
        Assert.Equal(losesItsFace ? 2L : 1L, await host.ScalarAsync<long>(
            "select count(*) from platform.event where tenant = $1 and subject = $2 and type = 'wave16.vuln-center.gate-raised.v1'", tenant, finding.Id.ToString("D")));
    }

    [Fact]
    public async Task A_finding_that_other_rules_gave_a_key_of_it_to_is_still_recognised_afterwards()
    {
        using var client = await host.OperatorAsync("unmerge-given");
        var first = Sast("R1", "src/a.cs", 1, "z()", """{"id":"z"}""");
        string[] mixed = [Sast("R1", "src/a.cs", 5, "x()", """{"id":"x"}"""), Sast("R1", "src/a.cs", 9, "y()", """{"id":"x"}""")];
        await client.ShowAsync(first);
        var known = await client.OnlyFindingAsync();
        await client.ShowAsync(mixed);
        await client.ChangeRulesAsync(new DedupKeyRule("file", [FindingKind.Sast], ["rule", "path"]), Position);
        var over = (await client.FindingsAsync()).Items.Single(finding => finding.Id != known.Id);

        var unmerged = await client.UnmergeAsync(over.Id, identity => identity.Line == 9);

        Assert.NotEmpty(unmerged.SeparatedBy);
        var again = await client.ShowAsync(first);
        Assert.Equal((0L, 1L), (again.New, again.Matched));
        Assert.True(known.LastSeen < (await client.FindingAsync(known.Id)).Finding.LastSeen);
    }

    [Fact]
    public async Task What_was_split_off_is_what_the_report_finds_and_not_what_was_fixed_there_before()
    {
        using var client = await host.OperatorAsync("unmerge-fixed-before");
        var (first, second) = (Sast("R1", "src/a.cs", 1, "x()", """{"id":"7"}"""), Sast("R1", "lib/b.cs", 5, "y()", """{"id":"7"}"""));
        await client.ShowAsync(first);
        var known = await client.OnlyFindingAsync();
        await client.ShowAsync(second);
        var before = (await client.FindingsAsync()).Items.Single(finding => finding.Id != known.Id);
        await client.ImportAsync("generic", Service, Report(first), "&scope=complete");
        await client.ChangeRulesAsync(
            new DedupKeyRule("tool-id", [FindingKind.Sast], ["rule", "fingerprint"]), new DedupKeyRule("sast", [FindingKind.Sast], ["rule", "path", "code", "occurrence"]), Position);
        string[] report = [first, With(second, """{"title":"another title"}""")];
        Assert.Equal((0L, 2L, 0L), await OutcomesAsync());

        var unmerged = await client.UnmergeAsync(known.Id, identity => identity.Path == "lib/b.cs");

        Assert.Equal(["path"], unmerged.SeparatedBy);
        Assert.Equal((0L, 2L, 0L), await OutcomesAsync());
        Assert.Equal((FindingStatus.Open, FindingStatus.Fixed), ((await client.FindingAsync(unmerged.NewFinding)).Finding.Status, (await client.FindingAsync(before.Id)).Finding.Status));

        async Task<(long New, long Matched, long Reopened)> OutcomesAsync()
        {
            var shown = await client.ShowAsync(report);
            return (shown.New, shown.Matched, shown.Reopened);
        }
    }

    [Fact]
    public async Task An_over_merge_of_many_problems_behind_one_tool_id_can_be_undone_one_by_one()
    {
        const string tenant = "unmerge-tool-id";
        using var client = await host.OperatorAsync(tenant);
        string[] report = [.. Enumerable.Range(0, 4).Select(i => Sast("R1", "src/a.cs", 10 * (i + 1), $"call{i}()", """{"id":"same"}"""))];
        await client.ShowAsync(report);
        var finding = await client.OnlyFindingAsync();

        foreach (var line in (int[])[20, 30, 40])
        {
            await client.UnmergeAsync(finding.Id, identity => identity.Line == line);
        }

        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        var again = await client.ShowAsync([.. report.Reverse()]);
        Assert.Equal((0L, 4L, 0L), (again.New, again.Matched, again.FindingsChanged));
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
        Assert.Equal([10, 20, 30, 40], (await client.FindingsAsync()).Items.Select(item => item.Location?.Line ?? 0).Order());
        Assert.Equal(3, (await client.FindingAsync(finding.Id)).NeverMergedWith.Count);
    }

    [Fact]
    public async Task What_was_split_from_a_finding_is_told_apart_from_all_it_was_told_apart_from()
    {
        using var client = await host.OperatorAsync("unmerge-inherited");
        await client.ShowAsync(Sca("1.0.0"), Sca("2.0.0"), Sca("3.0.0"));
        var first = await client.OnlyFindingAsync();

        var second = await client.UnmergeAsync(first.Id, identity => identity.ComponentVersion != "1.0.0");
        var third = await client.UnmergeAsync(second.NewFinding, identity => identity.ComponentVersion == "3.0.0");

        Assert.Equal([first.Id, second.NewFinding], (await client.FindingAsync(third.NewFinding)).NeverMergedWith.Select(other => other.Finding).Order());
    }

    [Fact]
    public async Task A_tool_that_begins_to_send_one_id_for_both_does_not_join_them_again()
    {
        const string tenant = "unmerge-then-id";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(Sca("1.0.0"), Sca("2.0.0"));
        var finding = await client.OnlyFindingAsync();
        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.ComponentVersion == "2.0.0");
        const string Id = """{"id":"same"}""";

        await client.ShowAsync(Sca("1.0.0", more: Id));
        var both = await client.ShowAsync(Sca("2.0.0", more: Id), Sca("1.0.0", more: Id));
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        var again = await client.ShowAsync(Sca("1.0.0", more: Id), Sca("2.0.0", more: Id));

        Assert.Equal((0L, 2L), (both.New, both.Matched));
        Assert.Equal((0L, 2L, 0L), (again.New, again.Matched, again.FindingsChanged));
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
        Assert.All((await client.FindingAsync(finding.Id)).Observations, o => Assert.Equal("1.0.0", o.Identity?.ComponentVersion));
        Assert.All((await client.FindingAsync(unmerged.NewFinding)).Observations, o => Assert.Equal("2.0.0", o.Identity?.ComponentVersion));
    }

    [Fact]
    public async Task Rules_that_would_make_one_key_of_both_leave_them_apart()
    {
        using var client = await host.OperatorAsync("unmerge-then-rules");
        await client.ShowAsync(Sca("1.0.0"), Sca("2.0.0"));
        var finding = await client.OnlyFindingAsync();
        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.ComponentVersion == "2.0.0");

        await client.ChangeRulesAsync(new DedupKeyRule("package", [FindingKind.Sca], ["rule", "component"]), Position);
        var again = await client.ShowAsync(Sca("2.0.0"), Sca("1.0.0"));

        Assert.Equal((0L, 2L, 0L), (again.New, again.Matched, again.FindingsChanged));
        Assert.Equal(
            [finding.Id, unmerged.NewFinding],
            (await client.GetAsync<DecisionPage>($"/findings/decisions?outcome=unmerged")).Items.SelectMany(entry => (Guid[])[entry.Candidates[0], entry.Finding ?? default]));
        Assert.All((await client.FindingsAsync()).Items, item => Assert.Equal(item.Id == finding.Id ? "1.0.0" : "2.0.0", item.Component?.Version));
    }

    [Fact]
    public async Task Rules_that_keep_a_finding_whole_keep_it_so_where_one_of_its_results_was_told_from_the_others()
    {
        const string tenant = "unmerge-then-coarser";
        using var client = await host.OperatorAsync(tenant);
        string[] report = [.. ((string[])["x()", "y()", "z()"]).Select((code, i) => Sast("R1", "src/a.cs", 10 * (i + 1), code, """{"id":"same"}"""))];
        await client.ShowAsync(report);
        var finding = await client.OnlyFindingAsync();
        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.Line == 30);
        DedupKeyRule[] keys = [new("file", [FindingKind.Sast], ["rule", "path"]), Position];

        using var dry = await client.PutRulesAsync(new DedupRulesChange(keys), query: "?dryRun=true");
        await client.ChangeRulesAsync(keys);
        var again = await client.SendAsync(Report(report));

        var preview = await dry.ReadAsync<DedupPreview>();
        Assert.Equal(["snippet"], unmerged.SeparatedBy);
        Assert.Equal((2L, 0L, 0L), (preview.Findings, preview.Splits, preview.Merges));
        Assert.Empty((await client.GetAsync<DecisionPage>("/findings/decisions?outcome=released")).Items);
        Assert.Equal((0L, 3L, 0L), (again.New, again.Matched, again.FindingsChanged));
        Assert.Equal([finding.Id, finding.Id, unmerged.NewFinding], again.Items?.Select(item => item.Finding ?? default));
    }

    [Fact]
    public async Task Rules_that_split_a_finding_whose_key_was_refined_say_so_and_do_so()
    {
        using var client = await host.OperatorAsync("unmerge-then-finer");
        string[] report = [.. ((string[])["x()", "y()", "z()"]).Select((code, i) => Sast("R1", "src/a.cs", 10 * (i + 1), code, """{"id":"same"}"""))];
        await client.ShowAsync(report);
        var finding = await client.OnlyFindingAsync();
        await client.UnmergeAsync(finding.Id, identity => identity.Line == 30);
        DedupKeyRule[] keys = [new("sast", [FindingKind.Sast], ["rule", "path", "code", "occurrence"]), Position];

        using var dry = await client.PutRulesAsync(new DedupRulesChange(keys), query: "?dryRun=true");
        await client.ChangeRulesAsync(keys);
        var again = await client.ShowAsync(report);

        var preview = await dry.ReadAsync<DedupPreview>();
        Assert.Equal((1L, 1L, 2L), (preview.Splits, again.New, again.Matched));
        var released = Assert.Single((await client.GetAsync<DecisionPage>($"/findings/decisions?finding={finding.Id}&outcome=released")).Items);
        Assert.Equal([released.Observation ?? default], Assert.Single(preview.SplitFindings).Parts[1].Observations);
    }

    [Fact]
    public async Task A_drift_that_was_no_move_is_undone_and_the_finding_is_known_in_its_old_place_again()
    {
        const string tenant = "unmerge-drift";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("generic", Service, Report(Sast("R1", "src/a.cs", 10, "x()")), "&scope=complete");
        var finding = await client.OnlyFindingAsync();
        await client.ImportAsync("generic", Service, Report(Sast("R1", "src/a.cs", 30, "y()")), "&scope=complete");
        Assert.Equal("finding.drifted", (await client.FindingAsync(finding.Id)).History[0].Change);

        var unmerged = await client.UnmergeAsync(finding.Id, identity => identity.Line == 30);
        var both = await client.ImportAsync("generic", Service, Report(Sast("R1", "src/a.cs", 10, "x()"), Sast("R1", "src/a.cs", 30, "y()")), "&scope=complete");

        Assert.Equal((0L, 2L), (both.New, both.Matched));
        Assert.Equal(
            [(finding.Id, 10), (unmerged.NewFinding, 30)],
            (await client.FindingsAsync()).Items.Select(item => (item.Id, item.Location?.Line ?? 0)).OrderBy(item => item.Item2));
        Assert.Equal(0L, await host.ScalarAsync<long>(Broken, tenant));
    }

    [Fact]
    public async Task Imports_at_the_same_time_end_with_both_findings_or_refuse_nothing()
    {
        const string tenant = "unmerge-parallel";
        using var client = await host.OperatorAsync(tenant);
        await client.ShowAsync(Sca("1.0.0"), Sca("2.0.0"));
        var finding = await client.OnlyFindingAsync();
        var leaving = await client.ObservationsAsync(finding.Id, identity => identity.ComponentVersion == "2.0.0");

        var imports = Enumerable.Range(0, 6).Select(i => client.ShowAsync(Sca("1.0.0", more: $$"""{"description":"{{i}}"}"""), Sca("2.0.0", more: $$"""{"description":"{{i}}"}"""))).ToArray();
        var splits = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => client.PostUnmergeAsync(finding.Id, new UnmergeRequest(leaving, "two problems"))));
        var results = await Task.WhenAll(imports);
        var last = await client.ShowAsync(Sca("1.0.0"), Sca("2.0.0"));

        Assert.Single(splits, split => split.StatusCode == HttpStatusCode.OK);
        Assert.All(results, result => Assert.Equal((2L, 2L), (result.Observations, result.Matched + result.New)));
        Assert.Equal((0L, 2L), (last.New, last.Matched));
        Assert.Equal(0L, await host.ScalarAsync<long>(Broken, tenant));
        Assert.Equal(0L, await host.ScalarAsync<long>("""
            select count(*) from vuln_center.never_merge n join vuln_center.observation o on o.tenant = n.tenant and o.finding = n.finding
            join vuln_center.observation p on p.tenant = n.tenant and p.finding = n.other and p.payload_hash = o.payload_hash where n.tenant = $1
            """, tenant));
    }

    [Fact]
    public async Task A_split_needs_the_version_it_was_decided_on_and_a_repeated_one_gives_the_first_answer()
    {
        using var client = await host.OperatorAsync("unmerge-versions");
        await client.ShowAsync(Sca("1.0.0"), Sca("2.0.0"));
        var finding = await client.OnlyFindingAsync();
        using (var triage = await client.MoveAsync(finding.Id, new { status = "triaged" }, "\"1\""))
        {
            triage.EnsureSuccessStatusCode();
        }

        var body = new UnmergeRequest(await client.ObservationsAsync(finding.Id, identity => identity.ComponentVersion == "2.0.0"), "two problems", KeepStatus: true);
        using var missing = await client.PostUnmergeAsync(finding.Id, body, ifMatch: null);
        using var stale = await client.PostUnmergeAsync(finding.Id, body, "\"1\"");
        using var done = await client.PostUnmergeAsync(finding.Id, body, "\"2\"", "split-1");
        using var again = await client.PostUnmergeAsync(finding.Id, body, "\"2\"", "split-1");

        Assert.Equal(
            (HttpStatusCode.PreconditionRequired, HttpStatusCode.PreconditionFailed, HttpStatusCode.OK, HttpStatusCode.OK),
            (missing.StatusCode, stale.StatusCode, done.StatusCode, again.StatusCode));
        var unmerged = await done.ReadAsync<Unmerged>();
        Assert.Equal(unmerged.NewFinding, (await again.ReadAsync<Unmerged>()).NewFinding);
        Assert.Equal("\"3\"", done.Headers.ETag?.Tag);
        Assert.Equal(FindingStatus.Triaged, (await client.FindingAsync(unmerged.NewFinding)).Finding.Status);
        // The grain remembers version 2.
        using var moved = await client.MoveAsync(finding.Id, new { status = "fixed", reason = "upgraded" }, "\"3\"");
        Assert.Equal(HttpStatusCode.OK, moved.StatusCode);
    }

    [Fact]
    public async Task What_cannot_be_split_is_refused_with_the_field_and_nothing_is_changed()
    {
        const string tenant = "unmerge-refused";
        using var client = await host.OperatorAsync(tenant);
        using var stranger = await host.OperatorAsync("unmerge-stranger");
        using var reader = await host.Module.ClientAsync(tenant, TestContext.Current.CancellationToken, "reader");
        await client.ShowAsync(Sca("1.0.0"), Sca("1.0.0"), Sca("2.0.0"));
        var finding = await client.OnlyFindingAsync();
        var all = (await client.FindingAsync(finding.Id)).Observations.Select(o => o.Id).ToArray();
        var same = await client.ObservationsAsync(finding.Id, identity => identity.ComponentVersion == "1.0.0");
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);

        async Task<(HttpStatusCode, string)> RefusedAsync(HttpClient caller, object body)
        {
            using var answer = await caller.PostUnmergeAsync(finding.Id, body);
            var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
            return (answer.StatusCode, problem.TryGetProperty("errors", out var errors) ? errors[0].GetProperty("pointer").GetString() ?? "" : problem.GetProperty("code").GetString() ?? "");
        }

        Assert.Equal((HttpStatusCode.BadRequest, "/observations"), await RefusedAsync(client, new { observations = all, reason = "x" }));
        Assert.Equal((HttpStatusCode.BadRequest, "/observations/1"), await RefusedAsync(client, new { observations = (Guid[])[all[0], finding.Id], reason = "x" }));
        Assert.Equal((HttpStatusCode.BadRequest, "/observations"), await RefusedAsync(client, new { observations = Array.Empty<Guid>(), reason = "x" }));
        Assert.Equal((HttpStatusCode.BadRequest, "/observations"), await RefusedAsync(client, new { observations = (Guid[])[all[0], all[0]], reason = "x" }));
        Assert.Equal((HttpStatusCode.BadRequest, "/reason"), await RefusedAsync(client, new { observations = all[..1], reason = " " }));
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "finding.inseparable"), await RefusedAsync(client, new { observations = same[..1], reason = "x" }));
        Assert.Equal((HttpStatusCode.NotFound, "not-found"), await RefusedAsync(stranger, new { observations = all[..1], reason = "x" }));
        using var forbidden = await reader.PostUnmergeAsync(finding.Id, new { observations = all[..1], reason = "x" });
        Assert.Equal(HttpStatusCode.Forbidden, forbidden.StatusCode);
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from vuln_center.dedup_refinement where tenant = $1", tenant));
    }

    [Fact]
    public async Task Of_many_splits_each_is_done_or_refused_by_itself()
    {
        using var client = await host.OperatorAsync("unmerge-many");
        await client.ShowAsync(Sca("1.0.0"), Sca("2.0.0"));
        var finding = await client.OnlyFindingAsync();
        var leaving = await client.ObservationsAsync(finding.Id, identity => identity.ComponentVersion == "2.0.0");
        var batch = new UnmergeBatch([new(Guid.Empty, leaving, "x"), new(finding.Id, leaving, "two problems", Version: 1), new(finding.Id, leaving, "x", Version: 1)]);

        using var answer = await client.SendAsync(HttpMethod.Post, "/findings/unmerge", batch, ifMatch: null);
        using var bad = await client.SendAsync(HttpMethod.Post, "/findings/unmerge", new UnmergeBatch([new(finding.Id, [], "x")]), ifMatch: null);

        var items = (await answer.ReadAsync<UnmergeBatchResult>()).Items;
        Assert.Equal(["not-found", null, "precondition.failed"], items.Select(item => item.Code));
        Assert.Equal(2, (await client.FindingsAsync()).Items.Count);
        Assert.Equal(HttpStatusCode.BadRequest, bad.StatusCode);
        Assert.Contains("/items/0/observations", await bad.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }
}

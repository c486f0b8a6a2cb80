using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Npgsql;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Tests.Groups;

public sealed class GroupTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Service = "shop-api";

    [Fact]
    public async Task Findings_of_two_sources_with_the_same_cve_and_component_are_one_group_that_says_why()
    {
        using var client = await host.OperatorAsync("same-cve");
        var trivy = await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001") { Severity = "medium" }, new Vulnerable("CVE-2026-0002", "lodash", "CVE-2026-0002"));
        var grype = await client.ReportAsync(Service, "grype", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001") { Severity = "critical" });

        var group = Assert.Single(await client.GroupsAsync());

        Assert.Equal((Service, Severity.Critical, false), (group.Service, group.Severity, group.Manual));
        Assert.Equal(new[] { trivy[0], grype[0] }.Order(), group.Findings());
        var why = Assert.Single(group.Why);
        Assert.Equal(("identifier", "pkg:npm/lodash"), (why.Kind, why.Component));
        Assert.Equal(["CVE-2026-0001"], why.Identifiers);
        Assert.Equal(group.Id, (await client.GroupOfAsync(trivy[0]))?.Id);
        Assert.Null(await client.GroupOfAsync(trivy[1]));
    }

    [Fact]
    public async Task Those_who_wait_for_a_busy_service_do_not_keep_others_from_the_database()
    {
        using var client = await host.OperatorAsync("busy");
        using var other = await host.OperatorAsync("not-busy");
        var a = Assert.Single(await client.ReportAsync("shop", "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001")));
        var b = Assert.Single(await client.ReportAsync("shop", "grype", new Vulnerable("CVE-2026-0002", "lodash", "CVE-2026-0002")));
        await using var import = new NpgsqlConnection(host.Database);
        await import.OpenAsync(TestContext.Current.CancellationToken);
        await using var merge = await import.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await using (var holds = new NpgsqlCommand(MergeSql.Lock, import) { Parameters = { new NpgsqlParameter<string> { TypedValue = "busy" }, new NpgsqlParameter<string> { TypedValue = "shop" } } })
        {
            await holds.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        var links = Enumerable.Range(0, 30).Select(i => client.LinkAsync($"reason {i}", a, b)).ToList();
        while (await host.ScalarAsync<long>("select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'") == 0)
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        }

        for (var i = 0; i < 20; i++)
        {
            Assert.Empty((await other.FindingsAsync()).Items);
        }

        Assert.Equal(1L, await host.ScalarAsync<long>("select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'"));
        await merge.CommitAsync(TestContext.Current.CancellationToken);
        foreach (var answer in await Task.WhenAll(links))
        {
            using (answer)
            {
                Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}");
            }
        }
    }

    [Theory]
    [InlineData("another service")]
    [InlineData("another component")]
    [InlineData("the same source")]
    [InlineData("no component")]
    [InlineData("no identifier")]
    public async Task Findings_are_not_grouped_across(string difference)
    {
        var tenant = $"apart-{difference.Replace(' ', '-')}";
        using var client = await host.OperatorAsync(tenant);
        var first = new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001");
        await client.ReportAsync(Service, "trivy", difference == "no identifier" ? new Vulnerable("prototype-pollution", "lodash") : first);
        await client.ReportAsync(difference == "another service" ? "shop-web" : Service, difference == "the same source" ? "trivy" : "grype", difference switch
        {
            "another component" => first with { Package = "lodash.merge" },
            "no identifier" => new Vulnerable("prototype-pollution", "lodash"),
            _ => first with { Manifest = "yarn.lock" },
        });
        if (difference == "no component")
        {
            // Two sources that name the CVE and no component, beside the one that does.
            foreach (var source in (string[])["nuclei", "pentest"])
            {
                using var answer = await client.PostAsJsonAsync(
                    $"/findings?service={Service}&wait=60",
                    new { schemaVersion = "1", source, findings = new[] { new { rule = "CVE-2026-0001", title = "CVE-2026-0001", kind = "dast", severity = "high", url = "https://shop.example/" } } },
                    TestContext.Current.CancellationToken);
                Assert.Equal("succeeded", (await answer.ReadAsync<Import>()).State);
            }

            Assert.Equal(2, Assert.Single(await client.GroupsAsync()).Members.Count);
            return;
        }

        Assert.Empty(await client.GroupsAsync());
    }

    [Fact]
    public async Task Ids_that_edges_join_group_and_removing_the_edge_splits_the_group_again()
    {
        using var client = await host.OperatorAsync("edges");
        var trivy = await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001"));
        var npm = await client.ReportAsync(Service, "npm-audit", new Vulnerable("GHSA-aaaa-bbbb-cccc", "lodash", "GHSA-aaaa-bbbb-cccc"));
        Assert.Empty(await client.GroupsAsync());

        var added = await client.AliasesAsync("ghsa", replace: false, "GHSA-aaaa-bbbb-cccc PYSEC-2026-9", "CVE-2026-0001 PYSEC-2026-9");

        Assert.Equal((2L, 1L), (added.Added, added.Progress.Groups));
        var group = Assert.Single(await client.GroupsAsync());
        Assert.Equal(new[] { trivy[0], npm[0] }.Order(), group.Findings());
        var why = Assert.Single(group.Why);
        Assert.Equal("alias", why.Kind);
        Assert.Equal([("CVE-2026-0001", "PYSEC-2026-9", "ghsa"), ("GHSA-AAAA-BBBB-CCCC", "PYSEC-2026-9", "ghsa")], why.Edges.Select(edge => (edge.A, edge.B, edge.Source)));

        var removed = await client.RemoveEdgeAsync("PYSEC-2026-9", "cve-2026-0001");

        Assert.Equal((1L, 1L), (removed.Removed, removed.Progress.Groups));
        Assert.Empty(await client.GroupsAsync());
        await client.AliasesAsync("ghsa", replace: false, "CVE-2026-0001 PYSEC-2026-9");
        Assert.Empty(await client.GroupsAsync());
        await client.FeedAsync("aliases", """{"aliases":[{"a":"CVE-2026-0001","b":"PYSEC-2026-9"}]}""", "&source=ghsa&force=true");
        Assert.Single(await client.GroupsAsync());
    }

    [Fact]
    public async Task A_report_that_states_an_alias_groups_with_who_names_either_id_and_what_people_removed_it_does_not_state_again()
    {
        using var client = await host.OperatorAsync("stated");
        var (trivy, npm) = (
            (await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001")))[0],
            (await client.ReportAsync(Service, "npm-audit", new Vulnerable("GHSA-aaaa-bbbb-cccc", "lodash", "GHSA-aaaa-bbbb-cccc")))[0]);
        byte[] Report(string version) => JsonSerializer.SerializeToUtf8Bytes(new
        {
            matches = new[]
            {
                Match("GHSA-aaaa-bbbb-cccc", "github:language:javascript", "CVE-2026-0001"),
                Match("ELSA-2026-1", "oracle:distro:oraclelinux:9", "CVE-2026-0002"),
            },
            source = new { type = "directory", target = "/" },
            descriptor = new { name = "grype", version },
        });

        await client.ImportAsync("grype", Service, Report("1"));

        var group = Assert.Single(await client.GroupsAsync());
        Assert.Equal(3, group.Members.Count);
        Assert.Contains(trivy, group.Findings());
        Assert.Contains(npm, group.Findings());
        Assert.Equal([("CVE-2026-0001", "GHSA-AAAA-BBBB-CCCC", "grype")], group.Why.SelectMany(why => why.Edges).Select(edge => (edge.A, edge.B, edge.Source)));

        await client.RemoveEdgeAsync("CVE-2026-0001", "GHSA-AAAA-BBBB-CCCC");
        await client.ImportAsync("grype", Service, Report("2"));

        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from vuln_center.alias_edge where tenant = 'stated'"));

        static object Match(string id, string space, string related) => new
        {
            vulnerability = new Dictionary<string, string> { ["id"] = id, ["severity"] = "High", ["namespace"] = space },
            relatedVulnerabilities = new[] { new { id = related } },
            artifact = new { name = "lodash", version = "1.0.0", type = "npm", purl = "pkg:npm/lodash@1.0.0" },
        };
    }

    [Fact]
    public async Task A_bulletin_that_bundles_cves_joins_none_of_them_and_counts_only_as_itself()
    {
        using var client = await host.OperatorAsync("bundle");
        var one = await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "openssl", "CVE-2026-0001", "RHSA-2026:1"), new Vulnerable("CVE-2026-0002", "openssl", "CVE-2026-0002", "RHSA-2026:1"));
        var two = await client.ReportAsync(Service, "openscap", new Vulnerable("RHSA-2026:1", "openssl", "RHSA-2026:1", "CVE-2026-0001", "CVE-2026-0002"));
        Assert.Empty(await client.GroupsAsync());
        var three = await client.ReportAsync(Service, "nessus", new Vulnerable("RHSA-2026:1", "openssl", "RHSA-2026:1", "CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003"));
        var four = await client.ReportAsync(Service, "grype", new Vulnerable("CVE-2026-0002", "openssl", "CVE-2026-0002"));

        var groups = await client.GroupsAsync();

        Assert.Equal(
            new[] { string.Join(' ', new[] { two[0], three[0] }.Order()), string.Join(' ', new[] { one[1], four[0] }.Order()) }.Order(StringComparer.Ordinal),
            groups.Select(group => string.Join(' ', group.Findings())).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_shared_advisory_does_not_make_one_of_two_cves()
    {
        using var client = await host.OperatorAsync("torn");
        var first = await client.ReportAsync(Service, "a", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001", "GHSA-aaaa-bbbb-cccc"));
        var second = await client.ReportAsync(Service, "b", new Vulnerable("GHSA-aaaa-bbbb-cccc", "lodash", "GHSA-aaaa-bbbb-cccc"));
        Assert.Equal(new[] { first[0], second[0] }.Order(), Assert.Single(await client.GroupsAsync()).Findings());

        await client.ReportAsync(Service, "c", new Vulnerable("CVE-2026-0002", "lodash", "CVE-2026-0002", "GHSA-aaaa-bbbb-cccc"));

        Assert.Empty(await client.GroupsAsync());
    }

    [Fact]
    public async Task A_group_takes_its_severity_from_members_that_are_open_and_changes_none_of_them()
    {
        using var client = await host.OperatorAsync("severity");
        var trivy = await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001") { Severity = "medium" });
        var grype = await client.ReportAsync(Service, "grype", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001") { Severity = "critical" });
        Assert.Equal(Severity.Critical, Assert.Single(await client.GroupsAsync()).Severity);
        foreach (var change in (object[])[new { status = "triaged", reason = "reachable" }, new { status = "fixed", reason = "upgraded" }])
        {
            using var answer = await client.MoveAsync(grype[0], change, "*");
            answer.EnsureSuccessStatusCode();
        }

        var group = Assert.Single(await client.GroupsAsync());

        Assert.Equal(Severity.Medium, group.Severity);
        Assert.Equal([(trivy[0], FindingStatus.Open), (grype[0], FindingStatus.Fixed)], group.Members.OrderByDescending(member => member.Source, StringComparer.Ordinal).Select(member => (member.Finding, member.Status)));
        Assert.Equal(1L, (await client.FindingAsync(trivy[0])).Finding.Version);
    }

    [Fact]
    public async Task A_group_keeps_its_id_while_members_come_and_go()
    {
        using var client = await host.OperatorAsync("stable");
        await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001"));
        await client.ReportAsync(Service, "grype", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001"));
        var first = Assert.Single(await client.GroupsAsync());
        var snyk = await client.ReportAsync(Service, "snyk", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001"));
        var larger = Assert.Single(await client.GroupsAsync());
        using var split = await client.SplitAsync(larger.Id, "another code path", snyk[0]);
        var smaller = Assert.Single(await client.GroupsAsync());

        Assert.Equal((first.Id, first.Id), (larger.Id, smaller.Id));
        Assert.Equal((2, 3, 2), (first.Members.Count, larger.Members.Count, smaller.Members.Count));
        Assert.True(first.Version < larger.Version && larger.Version < smaller.Version);
    }

    [Fact]
    public async Task What_was_split_stays_apart_whatever_is_imported_until_somebody_links_it_again()
    {
        const string tenant = "split";
        using var client = await host.OperatorAsync(tenant);
        var report = new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001");
        var (trivy, grype, snyk) = ((await client.ReportAsync(Service, "trivy", report))[0], (await client.ReportAsync(Service, "grype", report))[0], (await client.ReportAsync(Service, "snyk", report))[0]);
        var group = Assert.Single(await client.GroupsAsync());
        using var split = await client.SplitAsync(group.Id, "not the same call", trivy);
        Assert.Equal(HttpStatusCode.OK, split.StatusCode);
        Assert.Empty((await split.ReadAsync<GroupsChanged>()).Groups);
        await client.ReportAsync(Service, "trivy", report with { Severity = "critical" });
        var npm = (await client.ReportAsync(Service, "npm-audit", report))[0];

        Assert.Equal(new[] { grype, snyk, npm }.Order(), Assert.Single(await client.GroupsAsync()).Findings());

        using var linked = await client.LinkAsync("it is after all", trivy, grype);
        var again = Assert.Single((await linked.ReadAsync<GroupsChanged>()).Groups);
        Assert.True(again.Manual);
        Assert.Contains(again.Why, why => why is { Kind: "manual", Reason: "it is after all", Actor: "split-tester" });
        Assert.Equal(
            ["group.split 1", "group.linked 1"],
            (await host.ScalarAsync<string>("select string_agg(canonical::json ->> 'action' || ' 1', ',' order by id) from platform.audit_leaf where tenant = $1 and entity like 'group/%'", tenant)).Split(','));
    }

    [Fact]
    public async Task Findings_that_nothing_joins_can_be_linked_by_hand_and_split_again()
    {
        using var client = await host.OperatorAsync("manual");
        var trivy = (await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001")))[0];
        var pentest = (await client.ReportAsync(Service, "pentest", new Vulnerable("RT-7", "lodash-es")))[0];
        using var linked = await client.LinkAsync("shown by the exploit", pentest, trivy);
        var group = Assert.Single((await linked.ReadAsync<GroupsChanged>()).Groups);
        Assert.Equal(new[] { trivy, pentest }.Order(), group.Findings());
        await client.ReportAsync(Service, "trivy", new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001") { Severity = "low" });
        Assert.Equal(group.Id, Assert.Single(await client.GroupsAsync($"?service={Service}")).Id);
        Assert.Empty(await client.GroupsAsync("?service=shop-web"));

        using var split = await client.SplitAsync(group.Id, "it was another hole", pentest);

        Assert.Equal(HttpStatusCode.OK, split.StatusCode);
        Assert.Empty(await client.GroupsAsync());
    }

    [Fact]
    public async Task A_bulk_request_does_all_or_nothing_and_names_what_is_wrong()
    {
        using var client = await host.OperatorAsync("bulk");
        var report = new[] { new Vulnerable("CVE-2026-0001", "a", "CVE-2026-0001"), new Vulnerable("CVE-2026-0002", "b", "CVE-2026-0002") };
        var (trivy, grype) = (await client.ReportAsync(Service, "trivy", report), await client.ReportAsync(Service, "grype", report));
        var groups = await client.GroupsAsync();
        Assert.Equal(2, groups.Count);
        var (first, second) = (groups.Single(group => group.Findings().Contains(trivy[0])), groups.Single(group => group.Findings().Contains(trivy[1])));

        using var refused = await client.PostAsJsonAsync(
            "/findings/groups/split",
            new { splits = new[] { new { group = first.Id, findings = new[] { trivy[0] }, reason = "r" }, new { group = second.Id, findings = new[] { grype[1], grype[0] }, reason = "r" } } },
            TestContext.Current.CancellationToken);
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "group.not-a-member", "/splits/1/findings/1"), await refused.RefusalAsync());
        Assert.Equal(2, (await client.GroupsAsync()).Count);

        using var split = await client.PostAsJsonAsync(
            "/findings/groups/split",
            new { splits = new[] { new { group = first.Id, findings = new[] { trivy[0] }, reason = "r" }, new { group = second.Id, findings = new[] { grype[1] }, reason = "r" } } },
            TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, split.StatusCode);
        Assert.Empty(await client.GroupsAsync());

        using var linked = await client.PostAsJsonAsync(
            "/findings/groups",
            new { groups = new[] { new { findings = new[] { trivy[0], grype[0] }, reason = "r" }, new { findings = new[] { trivy[1], grype[1] }, reason = "r" } } },
            TestContext.Current.CancellationToken);
        Assert.Equal(2, (await linked.ReadAsync<GroupsChanged>()).Groups.Count);
    }

    [Fact]
    public async Task A_link_that_cannot_be_one_group_is_refused_with_the_field()
    {
        using var client = await host.OperatorAsync("refusals");
        using var stranger = await host.OperatorAsync("refusals-stranger");
        var report = new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001");
        var here = (await client.ReportAsync(Service, "trivy", report, report with { Package = "b" }));
        var other = (await client.ReportAsync("shop-web", "grype", report))[0];
        var foreign = (await stranger.ReportAsync(Service, "grype", report))[0];

        using var services = await client.LinkAsync("r", here[0], other);
        using var tenants = await client.LinkAsync("r", here[0], foreign);
        using var sources = await client.LinkAsync("r", here[0], here[1]);
        using var single = await client.LinkAsync("r", here[0]);
        using var silent = await client.LinkAsync(" ", here[0], here[1]);
        using var nothing = await client.PostAsJsonAsync("/findings/groups", new { groups = new object?[] { null } }, TestContext.Current.CancellationToken);

        Assert.Equal((HttpStatusCode.BadRequest, "request.invalid", "/findings/1"), await services.RefusalAsync());
        Assert.Equal((HttpStatusCode.NotFound, "not-found", "/findings/1"), await tenants.RefusalAsync());
        Assert.Equal((HttpStatusCode.BadRequest, "request.invalid", "/findings"), await sources.RefusalAsync());
        Assert.Equal((HttpStatusCode.BadRequest, "request.invalid", "/findings"), await single.RefusalAsync());
        Assert.Equal((HttpStatusCode.BadRequest, "request.invalid", "/reason"), await silent.RefusalAsync());
        Assert.Equal((HttpStatusCode.BadRequest, "request.invalid", "/groups/0/findings"), await nothing.RefusalAsync());
    }

    [Fact]
    public async Task A_foreign_tenants_group_is_nothing_to_another()
    {
        using var client = await host.OperatorAsync("owner-of-group");
        using var stranger = await host.OperatorAsync("stranger-to-group");
        var report = new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001");
        var trivy = (await client.ReportAsync(Service, "trivy", report))[0];
        await client.ReportAsync(Service, "grype", report);
        var group = Assert.Single(await client.GroupsAsync());

        using var seen = await stranger.GetAsync(new Uri($"/findings/groups/{group.Id}", UriKind.Relative), TestContext.Current.CancellationToken);
        using var split = await stranger.SplitAsync(group.Id, "r", trivy);

        Assert.Equal((HttpStatusCode.NotFound, HttpStatusCode.NotFound), (seen.StatusCode, split.StatusCode));
        Assert.Empty(await stranger.GroupsAsync());
        Assert.Single(await client.GroupsAsync());
    }

    [Fact]
    public async Task A_link_that_another_statement_rules_out_is_refused_and_leaves_nothing()
    {
        const string tenant = "kept-apart";
        using var client = await host.OperatorAsync(tenant);
        var findings = new List<Guid>();
        foreach (var source in (string[])["a", "b", "c"])
        {
            findings.Add((await client.ReportAsync(Service, source, new Vulnerable("CVE-2026-0001", "lodash", "CVE-2026-0001")))[0]);
        }

        using var split = await client.SplitAsync(Assert.Single(await client.GroupsAsync()).Id, "r", findings[0]);
        using var half = await client.LinkAsync("r", findings[0], findings[1]);
        Assert.Equal(HttpStatusCode.OK, half.StatusCode);
        var before = await host.ScalarAsync<string>("select string_agg(p::text, E'\n' order by a, b) from vuln_center.group_pair p where tenant = $1", tenant);

        using var refused = await client.LinkAsync("r", findings[1], findings[2]);

        Assert.Equal((HttpStatusCode.Conflict, "group.kept-apart"), (refused.StatusCode, await refused.CodeOfAsync()));
        Assert.Equal(before, await host.ScalarAsync<string>("select string_agg(p::text, E'\n' order by a, b) from vuln_center.group_pair p where tenant = $1", tenant));
        Assert.Equal(findings.Take(2).Order(), Assert.Single(await client.GroupsAsync()).Findings());
    }

    [Fact]
    public async Task Groups_come_a_page_at_a_time_each_once()
    {
        using var client = await host.OperatorAsync("pages");
        Vulnerable[] report = [.. Enumerable.Range(1, 7).Select(i => new Vulnerable($"CVE-2026-{i:0000}", "lodash", $"CVE-2026-{i:0000}"))];
        await client.ReportAsync(Service, "trivy", report);
        await client.ReportAsync(Service, "grype", report);
        List<Guid> seen = [];
        string? cursor = null;
        do
        {
            var page = await client.GetFromJsonAsync<GroupPage>(
                $"/findings/groups?service={Service}&limit=3{(cursor is null ? "" : $"&cursor={Uri.EscapeDataString(cursor)}")}", VulnCenterCalls.Json, TestContext.Current.CancellationToken);
            Assert.NotNull(page);
            Assert.InRange(page.Items.Count, 1, 3);
            seen.AddRange(page.Items.Select(group => group.Id));
            cursor = page.Next;
        }
        while (cursor is not null);

        Assert.Equal((7, 7), (seen.Count, seen.Distinct().Count()));
    }

    [Fact]
    public async Task Imports_of_several_sources_at_once_end_in_the_same_groups_as_one_after_the_other()
    {
        Vulnerable[] report = [.. Enumerable.Range(1, 20).Select(i => new Vulnerable($"CVE-2026-{i % 7:0000}", $"p{i % 5}", $"CVE-2026-{i % 7:0000}"))];
        string[] sources = ["a", "b", "c", "d"];
        using var parallel = await host.OperatorAsync("parallel");
        using var sequence = await host.OperatorAsync("sequence");
        await Task.WhenAll(sources.Select(source => parallel.ReportAsync(Service, source, report)));
        foreach (var source in sources)
        {
            await sequence.ReportAsync(Service, source, report);
        }

        Assert.Equal(Shape(await sequence.GroupsAsync("?limit=500")), Shape(await parallel.GroupsAsync("?limit=500")));

        static IEnumerable<string> Shape(IEnumerable<FindingGroup> groups) => groups
            .Select(group => string.Join(' ', group.Members.Select(member => $"{member.Source}:{member.Rule}:{member.Component}").Order(StringComparer.Ordinal))).Order(StringComparer.Ordinal);
    }
}

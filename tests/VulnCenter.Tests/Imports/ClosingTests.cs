using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>What a scan no longer shows is fixed only if the scan would have shown it.</summary>
public sealed class ClosingTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Fact]
    public async Task A_complete_scan_closes_what_it_no_longer_shows_and_says_so()
    {
        using var client = await host.OperatorAsync("close");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete");

        var second = await client.ImportAsync("generic", "shop", Report("a"), "&scope=complete");

        Assert.Equal((1L, 0L, 1L, null), (second.Matched, second.New, second.FindingsFixed, second.Scans[0].ClosesNothing));
        var gone = Assert.Single((await client.FindingsAsync("?status=fixed")).Items);
        var history = (await client.FindingAsync(gone.Id)).History;
        Assert.Equal(("b", "finding.gone-from-scan", second.Scans[0].Scan), (gone.Rule, history[0].Change, history[0].Scan));
    }

    [Fact]
    public async Task The_same_complete_report_again_changes_nothing_and_closes_nothing()
    {
        using var client = await host.OperatorAsync("again");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete");
        await client.ImportAsync("generic", "shop", Report("a"), "&scope=complete");
        var state = await host.ScalarAsync<string>(ImportTests.State, "again");

        var again = await client.ImportAsync("generic", "shop", Report("a"), "&scope=complete");

        Assert.Equal((1L, 0L, 0L, 0L), (again.Matched, again.New, again.FindingsChanged, again.FindingsFixed));
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, "again"));
    }

    [Fact]
    public async Task What_comes_back_is_a_regression_with_a_new_deadline()
    {
        using var client = await host.OperatorAsync("regression");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete");
        await client.ImportAsync("generic", "shop", Report("a"), "&scope=complete");

        var third = await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete");

        Assert.Equal((1L, 1L, 0L), (third.Reopened, third.Matched, third.FindingsFixed));
        var back = Assert.Single((await client.FindingsAsync("?status=open")).Items, finding => finding.Rule == "b");
        Assert.True(back.Regression);
        Assert.Equal((SlaState.Running, back.StatusSince), (back.Sla.State, back.Sla.Since));
    }

    [Theory]
    [InlineData("")]
    [InlineData("&scope=partial")]
    public async Task A_partial_scan_closes_nothing(string scope)
    {
        using var client = await host.OperatorAsync($"partial{scope.Length}");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete");

        var second = await client.ImportAsync("generic", "shop", Report("a"), scope);

        Assert.Equal((0L, null), (second.FindingsFixed, second.Scans[0].ClosesNothing));
        Assert.Equal(2, (await client.FindingsAsync("?status=open")).Items.Count);
    }

    [Fact]
    public async Task An_empty_scan_closes_nothing_unless_that_is_expected()
    {
        using var client = await host.OperatorAsync("empty");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete&source=scanner");

        var empty = await client.ImportAsync("generic", "shop", Generic([]), "&scope=complete&source=scanner");
        Assert.Equal(0, empty.FindingsFixed);
        Assert.Contains("expectEmpty", empty.Scans[0].ClosesNothing, StringComparison.Ordinal);

        var expected = await client.ImportAsync("generic", "shop", Generic([]), "&scope=complete&source=scanner&expectEmpty=true");
        Assert.Equal((2L, null), (expected.FindingsFixed, expected.Scans[0].ClosesNothing));
    }

    [Fact]
    public async Task A_scan_that_failed_closes_nothing()
    {
        using var client = await host.OperatorAsync("failed");
        await client.ImportAsync("sarif", "shop", Sarif(failed: false, null, "r1", "r2"), "&scope=complete");

        var failed = await client.ImportAsync("sarif", "shop", Sarif(failed: true, null, "r1"), "&scope=complete");

        Assert.Equal(0, failed.FindingsFixed);
        Assert.Contains("did not finish", failed.Scans[0].ClosesNothing, StringComparison.Ordinal);
        Assert.Equal(2, (await client.FindingsAsync("?status=open")).Items.Count);
    }

    [Fact]
    public async Task A_scan_with_a_result_that_could_not_be_read_closes_nothing()
    {
        using var client = await host.OperatorAsync("unreadable");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete");

        var second = await client.ImportAsync("generic", "shop", Generic([Finding("a"), """{"kind":"sast"}"""]), "&scope=complete");

        Assert.Equal((1L, 1L, 0L), (second.Matched, second.Rejected, second.FindingsFixed));
        Assert.Contains("could not be read", second.Scans[0].ClosesNothing, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_source_and_another_service_are_left_alone()
    {
        using var client = await host.OperatorAsync("others");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete&source=one");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete&source=two");
        await client.ImportAsync("generic", "mail", Report("a", "b"), "&scope=complete&source=one");

        var second = await client.ImportAsync("generic", "shop", Report("a"), "&scope=complete&source=one");

        Assert.Equal(1, second.FindingsFixed);
        Assert.Equal(5, (await client.FindingsAsync("?status=open")).Items.Count);
    }

    [Theory]
    [InlineData("path:src/web", "c")]
    [InlineData("path:src/web/", "c")]
    [InlineData("src/web", "c")]
    [InlineData("path:src/we", "")]
    [InlineData("image:registry.example/shop", "")]
    [InlineData("host:shop.example", "")]
    public async Task A_filtered_scan_closes_only_what_is_within_its_filter(string filter, string closed)
    {
        var tenant = $"filter-{filter.GetHashCode(StringComparison.Ordinal):x}";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("generic", "shop", Report(("a", "src/api/a.cs"), ("b", "src/webshop.cs"), ("c", "src/web/c.cs"), ("d", "src/web/d.cs")), "&scope=complete");

        await client.ImportAsync("generic", "shop", Report(("d", "src/web/d.cs")), $"&scope=complete&scopeFilter={Uri.EscapeDataString(filter)}");

        Assert.Equal(closed, string.Join(',', (await client.FindingsAsync("?status=fixed")).Items.Select(finding => finding.Rule)));
    }

    [Fact]
    public async Task A_scan_of_a_host_closes_only_that_hosts_findings()
    {
        using var client = await host.OperatorAsync("hosts");
        await client.ImportAsync("generic", "shop", Web("https://shop.example/a", "https://user:x@SHOP.example/b", "https://mail.example/c", "https://shop.example:8443/d"), "&scope=complete");

        var second = await client.ImportAsync("generic", "shop", Web("https://shop.example/a"), "&scope=complete&scopeFilter=host:Shop.Example");

        Assert.Equal(2, second.FindingsFixed);
        Assert.Equal(["/b", "/d"], (await client.FindingsAsync("?status=fixed")).Items.Select(finding => finding.Location?.Url?[^2..]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_scan_of_one_image_says_nothing_of_another()
    {
        using var client = await host.OperatorAsync("images");
        await client.ImportAsync("trivy", "shop", Trivy("shop/api:1", "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        await client.ImportAsync("trivy", "shop", Trivy("shop/web:1", "CVE-2024-2000"), "&scope=complete");

        var second = await client.ImportAsync("trivy", "shop", Trivy("shop/api:2", "CVE-2024-1000"), "&scope=complete");

        Assert.Equal(1, second.FindingsFixed);
        Assert.Equal("CVE-2024-1001", Assert.Single((await client.FindingsAsync("?status=fixed")).Items).Rule);
    }

    [Fact]
    public async Task What_a_scan_did_not_look_for_is_not_fixed()
    {
        using var client = await host.OperatorAsync("kinds");
        var both = """{"SchemaVersion":2,"ArtifactName":"shop/api:1","ArtifactType":"container_image","Results":[{"Target":"os","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{"VulnerabilityID":"CVE-2024-1000","PkgName":"openssl"}]},{"Target":"/app/key","Class":"secret","Secrets":[{"RuleID":"aws","Title":"AWS key","Severity":"CRITICAL","StartLine":1,"EndLine":1,"Match":"AKIA****"}]}]}""";
        await client.ImportAsync("trivy", "shop", Encoding.UTF8.GetBytes(both), "&scope=complete");

        var vulnerabilities = await client.ImportAsync("trivy", "shop", Trivy("shop/api:2", "CVE-2024-1000"), "&scope=complete");
        Assert.Equal(0, vulnerabilities.FindingsFixed);

        var said = await client.ImportAsync("trivy", "shop", Trivy("shop/api:3", "CVE-2024-1000"), "&scope=complete&kinds=sca,secret");
        Assert.Equal(1, said.FindingsFixed);
        Assert.Equal(FindingKind.Secret, Assert.Single((await client.FindingsAsync("?status=fixed")).Items).Kind);
    }

    [Fact]
    public async Task Runs_of_one_tool_with_names_of_their_own_say_nothing_of_each_other()
    {
        using var client = await host.OperatorAsync("runs");
        await client.ImportAsync("sarif", "shop", Sarif(failed: false, "java/17", "r1", "r2"), "&scope=complete");
        await client.ImportAsync("sarif", "shop", Sarif(failed: false, "python/17", "p1"), "&scope=complete");

        var second = await client.ImportAsync("sarif", "shop", Sarif(failed: false, "java/18", "r1"), "&scope=complete");

        Assert.Equal(1, second.FindingsFixed);
        Assert.Equal("r2", Assert.Single((await client.FindingsAsync("?status=fixed")).Items).Rule);
    }

    [Fact]
    public async Task A_critical_that_is_gone_leaves_the_gate_and_its_deadline()
    {
        using var client = await host.OperatorAsync("gate-gone");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete");
        Assert.Equal(2L, await host.ScalarAsync<long>("select count(*) from platform.due where tenant = $1", "gate-gone"));

        await client.ImportAsync("generic", "shop", Report("a"), "&scope=complete");

        var gone = Assert.Single((await client.FindingsAsync("?status=fixed")).Items);
        Assert.Equal((false, SlaState.Met, null), (gone.Gate, gone.Sla.State, gone.Sla.Due));
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(*) from platform.due where tenant = $1", "gate-gone"));
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(*) from platform.event where tenant = $1 and type = 'wave16.vuln-center.gate-withdrawn.v1'", "gate-gone"));
    }

    [Fact]
    public async Task Another_severity_changes_the_deadline_and_neither_closes_nor_restarts_anything()
    {
        using var client = await host.OperatorAsync("severity");
        await client.ImportAsync("generic", "shop", Report("a"), "&scope=complete");
        var before = Assert.Single((await client.FindingsAsync()).Items);

        var second = await client.ImportAsync("generic", "shop", Generic([Finding("a").Replace("critical", "high", StringComparison.Ordinal)]), "&scope=complete");

        var after = Assert.Single((await client.FindingsAsync()).Items);
        Assert.Equal((0L, 1L, 1L), (second.FindingsFixed, second.FindingsChanged, second.Matched));
        Assert.Equal((before.Id, Severity.High, before.Sla.Since), (after.Id, after.Severity, after.Sla.Since));
        Assert.Equal((before.Sla.Since + TimeSpan.FromDays(7), before.Sla.Since + TimeSpan.FromDays(30)), (before.Sla.Due, after.Sla.Due));
    }

    [Fact]
    public async Task A_fixed_finding_is_verified_by_the_latest_scan_that_shows_it_to_be_gone()
    {
        using var client = await host.OperatorAsync("verify");
        await client.ImportAsync("generic", "shop", Report("a", "b"), "&scope=complete");
        await client.ImportAsync("generic", "shop", Report("a"), "&scope=complete");
        var gone = Assert.Single((await client.FindingsAsync("?status=fixed")).Items);
        using var early = await client.MoveAsync(gone.Id, new { status = "verified" }, "*");
        Assert.Equal("finding.evidence-insufficient", await early.CodeOfAsync());
        await client.ImportAsync("generic", "shop", Report("a", "c"), "&scope=partial");
        using var partial = await client.MoveAsync(gone.Id, new { status = "verified" }, "*");
        Assert.Equal("finding.evidence-insufficient", await partial.CodeOfAsync());

        var later = await client.ImportAsync("generic", "shop", Report("a", "c"), "&scope=complete");
        using var verified = await client.MoveAsync(gone.Id, new { status = "verified" }, "*");

        var detail = await verified.ReadAsync<FindingDetail>();
        Assert.Equal((FindingStatus.Verified, later.Scans[0].Scan), (detail.Finding.Status, Assert.Single(detail.Evidence).Scan));
    }

    [Fact]
    public async Task A_scan_says_what_it_looked_at_and_what_it_changed_and_to_its_own_tenant_only()
    {
        using var client = await host.OperatorAsync("scans");
        await client.ImportAsync("trivy", "shop", Trivy("registry.example/shop/api:1", "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete&commit=c0ffee");
        var second = await client.ImportAsync("trivy", "shop", Trivy("registry.example/shop/api:2", "CVE-2024-1000"), "&scope=complete");

        var scan = await new VulnCenterClient(client).GetScanAsync(second.Scans[0].Scan, TestContext.Current.CancellationToken);
        var first = await client.GetFromJsonAsync<JsonElement>("/findings/scans?service=shop&source=trivy&limit=1", TestContext.Current.CancellationToken);
        var next = await client.GetFromJsonAsync<JsonElement>(
            $"/findings/scans?service=shop&source=trivy&limit=1&cursor={first.GetProperty("next").GetString()}", TestContext.Current.CancellationToken);

        Assert.Equal(("shop", "trivy", ScanScope.Complete, 1L, 1L), (scan.Service, scan.Source, scan.Scope, scan.Counts.Matched, scan.Counts.FindingsFixed));
        Assert.Equal(["registry.example/shop/api"], scan.Images);
        Assert.Equal([FindingKind.Sca], scan.Kinds ?? []);
        Assert.Equal(scan.Id, first.GetProperty("items")[0].GetProperty("id").GetGuid());
        Assert.Equal("c0ffee", next.GetProperty("items")[0].GetProperty("commit").GetString());
        using var stranger = await host.OperatorAsync("scans-stranger");
        using var foreign = await stranger.GetAsync(new Uri($"/findings/scans/{scan.Id}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NotFound, foreign.StatusCode);
    }

    private static byte[] Report(params string[] rules) => Report([.. rules.Select(rule => (rule, $"src/{rule}.cs"))]);

    private static byte[] Report(params (string Rule, string Path)[] results) => Generic(results.Select(result => Finding(result.Rule, result.Path)));

    private static byte[] Generic(IEnumerable<string> findings) => Encoding.UTF8.GetBytes($$"""{"schemaVersion":"1","findings":[{{string.Join(',', findings)}}]}""");

    private static string Finding(string rule, string? path = null) => $$$"""
        {"kind":"sast","rule":"{{{rule}}}","title":"{{{rule}}}","severity":"critical","location":{"path":"{{{path ?? $"src/{rule}.cs"}}}","startLine":1,"snippet":"{{{rule}}}()"}}
        """;

    private static byte[] Web(params string[] urls) =>
        Generic(urls.Select(url => $$$"""{"kind":"dast","rule":"xss","title":"xss","severity":"low","web":{"method":"GET","url":"{{{url}}}"}}"""));

    private static byte[] Trivy(string image, params string[] advisories)
    {
        var found = advisories.Select(id => $$"""{"VulnerabilityID":"{{id}}","PkgName":"openssl","InstalledVersion":"3.0","Severity":"HIGH"}""");
        return Encoding.UTF8.GetBytes($$"""
            {"SchemaVersion":2,"ArtifactName":"{{image}}","ArtifactType":"container_image","Results":[
              {"Target":"{{image}} (debian 12)","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{{string.Join(',', found)}}]}]}
            """);
    }

    private static byte[] Sarif(bool failed, string? run, params string[] rules)
    {
        var results = rules.Select(rule => $$$"""
            {"ruleId":"{{{rule}}}","message":{"text":"{{{rule}}}"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/{{{rule}}}.cs"},"region":{"startLine":3}} }]}
            """);
        var details = run is null ? "" : $$"""
            "automationDetails":{"id":"{{run}}"},
            """;
        return Encoding.UTF8.GetBytes($$$"""
            {"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},{{{details}}}"invocations":[{"executionSuccessful":{{{(failed ? "false" : "true")}}} }],
              "results":[{{{string.Join(',', results)}}}]}]}
            """);
    }
}

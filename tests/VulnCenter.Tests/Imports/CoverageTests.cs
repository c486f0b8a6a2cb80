using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>A complete scan closes what it covers: its hosts, its filter, what it looked for. What else is open it names.</summary>
public sealed class CoverageTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [InlineData("path:./src", "path:src")]
    [InlineData("path:/src/web/", "path:src/web")]
    [InlineData(@"PATH:.\src\web", "path:src/web")]
    [InlineData("./src", "src")]
    [InlineData("image:registry.example:5000/shop/api:2.4@sha256:00", "image:registry.example:5000/shop/api")]
    [InlineData("image:shop/api:2.4", "image:shop/api")]
    [InlineData("registry.example:5000/shop/api", "registry.example:5000/shop/api")]
    [InlineData("host:Shop.Example", "host:shop.example")]
    [InlineData("host:shop.example:8443", "host:shop.example:8443")]
    [InlineData("host:https://shop.example/login", "host:shop.example:443")]
    [InlineData("host:[fe80::1]:443", "host:[fe80::1]:443")]
    [InlineData("folder:src", null)]
    [InlineData("shop/api:2.4", null)]
    [InlineData("path:.", null)]
    [InlineData("host:", null)]
    public void A_filter_is_read_as_people_write_it(string given, string? kept)
    {
        Assert.Equal(kept, ScanCoverage.FilterOf(given, out var refusal));
        Assert.Equal(kept is null, refusal is not null);
    }

    [Theory]
    [InlineData("https://user:x@SHOP.example/a?b", "shop.example:443")]
    [InlineData("http://shop.example", "shop.example:80")]
    [InlineData("https://shop.example:8443/a", "shop.example:8443")]
    [InlineData("shop.example:22", "shop.example:22")]
    [InlineData("https://[fe80::1]/", "[fe80::1]:443")]
    [InlineData("/path", null)]
    public async Task The_store_and_the_reader_name_a_host_alike(string address, string? authority)
    {
        Assert.Equal(authority, ScanHosts.Of(address));
        Assert.Equal(authority ?? "", await host.ScalarAsync<string>(
            $"select coalesce({ScanCoverage.AuthorityOf("r")}, '') from (select $1::text as url, null::text as resource, 3 as kind) r", address));
    }

    [Fact]
    public async Task An_unknown_kind_of_filter_is_refused_and_the_field_named()
    {
        using var client = await host.OperatorAsync("folder");

        using var answer = await client.PostReportAsync("zap", "shop", Zap("https://a.example", 1), more: "&scope=complete&scopeFilter=folder:src");

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("scopeFilter", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("host:shop.example", 1)]
    [InlineData("host:shop.example:8443", 1)]
    [InlineData("host:shop.example:443", 0)]
    public async Task A_host_filter_finds_addresses_with_a_port(string filter, long closed)
    {
        using var client = await host.OperatorAsync($"port{filter.Length}-{closed}");
        await client.ImportAsync("zap", "shop", Zap("https://shop.example:8443", 3), "&scope=complete");

        var second = await client.ImportAsync("zap", "shop", Zap("https://shop.example:8443", 2), $"&scope=complete&scopeFilter={filter}");

        Assert.Equal(closed, second.FindingsFixed);
        Assert.Equal(closed == 0, second.Scans[0].ClosesNothing is not null);
    }

    [Theory]
    [InlineData("host:10.0.0.5", 1)]
    [InlineData("host:10.0.0.5:443", 0)]
    [InlineData("", 1)]
    public async Task A_network_scan_is_of_the_hosts_it_lists(string filter, long closed)
    {
        using var client = await host.OperatorAsync($"net{filter.Length}");
        await client.ImportAsync("nessus", "shop", Nessus(("10.0.0.5", [22, 443]), ("10.0.0.6", [22])), "&scope=complete");

        var second = await client.ImportAsync("nessus", "shop", Nessus(("10.0.0.5", [443])), $"&scope=complete{(filter.Length == 0 ? "" : $"&scopeFilter={filter}")}");

        Assert.Equal(closed, second.FindingsFixed);
        Assert.Equal(["10.0.0.6:22/tcp"], (await client.FindingsAsync("?status=open")).Items.Select(finding => finding.Location?.Resource).Where(resource => resource?.Contains(".6:", StringComparison.Ordinal) == true));
        if (filter.Length == 0)
        {
            Assert.Equal(1, second.Scans[0].NotJudged?.Findings);
            Assert.Equal(["10.0.0.6:22"], second.Scans[0].NotJudged?.Hosts ?? []);
        }
    }

    [Fact]
    public async Task A_host_whose_network_findings_are_all_gone_is_scanned_all_the_same()
    {
        using var client = await host.OperatorAsync("net-clean");
        await client.ImportAsync("nessus", "shop", Nessus(("10.0.0.5", [22]), ("10.0.0.6", [22])), "&scope=complete");

        var second = await client.ImportAsync("nessus", "shop", Nessus(("10.0.0.5", []), ("10.0.0.6", [22])), "&scope=complete");

        Assert.Equal((1L, null), (second.FindingsFixed, second.Scans[0].NotJudged));
    }

    [Theory]
    [InlineData("zap")]
    [InlineData("zap-xml")]
    [InlineData("burp")]
    [InlineData("nuclei")]
    public async Task A_complete_scan_of_one_web_host_leaves_the_findings_of_another_alone_and_names_it(string format)
    {
        using var client = await host.OperatorAsync($"web-{format}");
        await client.ImportAsync(Format(format), "shop", Web(format, "https://a.example", 2), "&scope=complete");

        var other = await client.ImportAsync(Format(format), "shop", Web(format, "https://b.example", 1), "&scope=complete");
        Assert.Equal(0, other.FindingsFixed);
        Assert.Equal(2, other.Scans[0].NotJudged?.Findings);
        Assert.Equal(["a.example:443"], other.Scans[0].NotJudged?.Hosts ?? []);

        var same = await client.ImportAsync(Format(format), "shop", Web(format, "https://a.example", 1), "&scope=complete");
        Assert.Equal(1, same.FindingsFixed);
        var scan = await new VulnCenterClient(client).GetScanAsync(same.Scans[0].Scan, TestContext.Current.CancellationToken);
        Assert.Equal(["a.example:443"], scan.Hosts);
        Assert.Equal(["b.example:443"], scan.NotJudged?.Hosts ?? []);

        static string Format(string name) => name == "zap-xml" ? "zap" : name;
    }

    [Fact]
    public async Task A_site_that_ZAP_scanned_without_an_alert_is_covered()
    {
        using var client = await host.OperatorAsync("clean-site");
        await client.ImportAsync("zap", "shop", ZapSites(("https://a.example", 1), ("https://b.example", 1)), "&scope=complete");

        var second = await client.ImportAsync("zap", "shop", ZapSites(("https://a.example", 0), ("https://b.example", 1)), "&scope=complete");

        Assert.Equal(1, second.FindingsFixed);
    }

    [Fact]
    public async Task A_filter_by_host_that_the_report_does_not_list_closes_nothing()
    {
        using var client = await host.OperatorAsync("wrong-host");
        await client.ImportAsync("zap", "shop", Zap("https://a.example", 1), "&scope=complete");

        var second = await client.ImportAsync("zap", "shop", Zap("https://b.example", 1), "&scope=complete&scopeFilter=host:a.example");

        Assert.Equal(0, second.FindingsFixed);
        Assert.Contains("names other hosts", second.Scans[0].ClosesNothing, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("path:./src/web")]
    [InlineData("path:/src/web")]
    [InlineData("src/web")]
    public async Task A_folder_is_the_same_however_tool_and_caller_begin_it(string filter)
    {
        using var client = await host.OperatorAsync($"folder{filter.Length}");
        await client.ImportAsync("generic", "shop", Code("./src/web/a.cs", "/src/web/b.cs", "src/web/c.cs", "src/api/d.cs"), "&scope=complete");

        var second = await client.ImportAsync("generic", "shop", Code("src/web/c.cs"), $"&scope=complete&scopeFilter={Uri.EscapeDataString(filter)}");

        Assert.Equal((2L, null), (second.FindingsFixed, second.Scans[0].ClosesNothing));
    }

    [Fact]
    public async Task A_filter_in_which_nothing_stands_closes_nothing_and_says_so()
    {
        using var client = await host.OperatorAsync("nothing-there");
        await client.ImportAsync("generic", "shop", Code("src/a.cs", "src/b.cs"), "&scope=complete");

        var second = await client.ImportAsync("generic", "shop", Code("src/a.cs"), "&scope=complete&scopeFilter=path:source");

        Assert.Equal(0, second.FindingsFixed);
        Assert.Contains("path:source", second.Scans[0].ClosesNothing, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_filter_may_name_a_tag()
    {
        using var client = await host.OperatorAsync("tag");
        await client.ImportAsync("trivy", "shop", Trivy("CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");

        var second = await client.ImportAsync("trivy", "shop", Trivy("CVE-2024-1000"), "&scope=complete&scopeFilter=image:shop/api:2");

        Assert.Equal(1, second.FindingsFixed);
    }

    [Fact]
    public async Task A_scan_names_the_kinds_it_did_not_judge()
    {
        using var client = await host.OperatorAsync("kinds-left");
        var both = """{"SchemaVersion":2,"ArtifactName":"shop/api:1","ArtifactType":"container_image","Results":[{"Target":"os","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{"VulnerabilityID":"CVE-2024-1000","PkgName":"openssl"}]},{"Target":"/app/key","Class":"secret","Secrets":[{"RuleID":"aws","Title":"AWS key","Severity":"CRITICAL","StartLine":1,"EndLine":1,"Match":"AKIA****"}]}]}""";
        await client.ImportAsync("trivy", "shop", Encoding.UTF8.GetBytes(both), "&scope=complete");

        var second = await client.ImportAsync("trivy", "shop", Trivy("CVE-2024-1000"), "&scope=complete");

        Assert.Equal((0L, null), (second.FindingsFixed, second.Scans[0].ClosesNothing));
        Assert.Equal(1, second.Scans[0].NotJudged?.Findings);
        Assert.Equal([FindingKind.Secret], second.Scans[0].NotJudged?.Kinds ?? []);
        var said = await client.ImportAsync("trivy", "shop", Trivy("CVE-2024-1000"), "&scope=complete&kinds=sca,secret");
        Assert.Equal((1L, null), (said.FindingsFixed, said.Scans[0].NotJudged));
    }

    [Fact]
    public async Task Snyks_scans_of_packages_and_of_infrastructure_close_nothing_of_each_other_and_a_file_that_failed_keeps_all_open()
    {
        using var client = await host.OperatorAsync("snyk-iac");
        const string failed = """{"ok":false,"code":1010,"error":"Failed to parse Terraform file","path":"b.tf"}""";
        await client.ImportAsync("snyk", "shop", Snyk(Package("A")), "&scope=complete");
        await client.ImportAsync("snyk", "shop", Snyk(File("a.tf", "R-1", "R-2"), File("b.tf", "R-1")), "&scope=complete");

        var packages = await client.ImportAsync("snyk", "shop", Snyk(Package("A")), "&scope=complete");
        var broken = await client.ImportAsync("snyk", "shop", Snyk(failed, File("a.tf", "R-1")), "&scope=complete");
        var files = await client.ImportAsync("snyk", "shop", Snyk(File("a.tf", "R-1"), File("b.tf")), "&scope=complete");

        Assert.Equal((0L, null), (packages.FindingsFixed, packages.Scans[0].ClosesNothing));
        Assert.Equal([FindingKind.Config], packages.Scans[0].NotJudged?.Kinds ?? []);
        Assert.Equal(0L, broken.FindingsFixed);
        Assert.Contains("Failed to parse Terraform file", broken.Scans[0].ClosesNothing, StringComparison.Ordinal);
        Assert.Equal((2L, null), (files.FindingsFixed, files.Scans[0].ClosesNothing));
        Assert.Equal(["R-1", "SNYK-JS-QS-A"], (await client.FindingsAsync("?status=open")).Items.Select(finding => finding.Rule).Order(StringComparer.Ordinal));

        static byte[] Snyk(params string[] projects) => Encoding.UTF8.GetBytes($"[{string.Join(',', projects)}]");
        static string Package(string id) =>
            $$"""{"ok":false,"dependencyCount":1,"packageManager":"npm","projectName":"shop","vulnerabilities":[{"id":"SNYK-JS-QS-{{id}}","title":"t","severity":"high","packageManager":"npm","name":"qs","version":"1.0.0"}]}""";
        static string File(string path, params string[] rules) =>
            $$"""{"ok":false,"dependencyCount":0,"packageManager":"terraformconfig","projectName":"shop","vulnerabilities":[],"targetFile":"{{path}}","infrastructureAsCodeIssues":[{{string.Join(',', rules.Select(rule => $$"""{"id":"{{rule}}","title":"t","severity":"high","msg":"resource.a[b]"}"""))}}]}""";
    }

    [Fact]
    public async Task A_finding_that_names_no_service_where_the_request_names_none_is_refused_with_its_place()
    {
        using var client = await host.OperatorAsync("homeless");

        using var answer = await client.PostAsJsonAsync("/findings", new { rule = "r", title = "t", kind = "config", severity = "low", resource = "r" }, TestContext.Current.CancellationToken);
        using var listed = await client.PostAsJsonAsync("/findings", new { findings = new[] { new { rule = "r", title = "t", kind = "config", resource = "r" } } }, TestContext.Current.CancellationToken);

        Assert.Equal((HttpStatusCode.UnprocessableEntity, HttpStatusCode.UnprocessableEntity), (answer.StatusCode, listed.StatusCode));
        Assert.Contains("\"/service\"", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Contains("\"/findings/0/service\"", await listed.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from vuln_center.scan where tenant = $1", "homeless"));
    }

    [Fact]
    public async Task A_finding_without_a_service_among_others_keeps_all_scans_of_the_request_from_closing()
    {
        using var client = await host.OperatorAsync("half-homeless");
        object Of(string? service, string rule) => new { service, rule, title = "t", kind = "config", severity = "low", resource = "r" };
        await PostAsync(Of("a", "1"), Of("a", "2"), Of("b", "1"), Of("b", "2"));

        var second = await PostAsync(Of("a", "1"), Of("b", "1"), Of(null, "2"));

        Assert.Equal((3L, 2L, 1L, 0L), (second.Observations, second.Matched, second.Rejected, second.FindingsFixed));
        Assert.All(second.Scans, scan => Assert.Contains("could not be read", scan.ClosesNothing, StringComparison.Ordinal));

        async Task<ImportResult> PostAsync(params object[] findings)
        {
            using var answer = await client.PostAsJsonAsync("/findings?scope=complete", new { source = "audit", findings }, TestContext.Current.CancellationToken);
            return (await answer.ReadAsync<Import>()).Result ?? throw new InvalidOperationException("No result.");
        }
    }

    [Fact]
    public async Task Names_are_trimmed_and_sources_are_one_in_whatever_case_they_are_written()
    {
        using var client = await host.OperatorAsync("names");
        await client.ImportAsync("generic", " shop ", Code("src/a.cs"), "&source=Red-Team");

        var second = await client.ImportAsync("generic", "shop", Code("src/a.cs"), "&source=red%20team");

        Assert.Equal((1L, 0L), (second.Matched, second.New));
        var finding = Assert.Single((await client.FindingsAsync()).Items);
        Assert.Equal(("shop", "red-team"), (finding.Service, finding.Source));
        var rules = await client.GetFromJsonAsync<DedupRules>("/findings/dedup-rules/Red-Team", VulnCenterCalls.Json, TestContext.Current.CancellationToken);
        Assert.Equal("red-team", rules?.Source);
    }

    [Theory]
    [InlineData("sh\u200bop")]
    [InlineData("sh\u202eop")]
    [InlineData("sh\u2028op")]
    [InlineData("\u0007")]
    public async Task A_name_with_something_in_it_that_nobody_sees_is_refused(string name)
    {
        using var client = await host.OperatorAsync("unseen");

        foreach (var (field, names) in new[] { ("service", $"service={Uri.EscapeDataString(name)}"), ("source", $"service=shop&source={Uri.EscapeDataString(name)}") })
        {
            using var content = new ByteArrayContent(Code("src/a.cs"));
            using var answer = await client.PostAsync(new Uri($"/findings/imports?format=generic&{names}", UriKind.Relative), content, TestContext.Current.CancellationToken);
            Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
            var error = Assert.Single((await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken)).GetProperty("errors").EnumerateArray());
            Assert.EndsWith(field, error.GetProperty("pointer").GetString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task The_profile_of_a_service_with_a_slash_is_its_findings_profile()
    {
        using var client = await host.Module.ClientAsync("slash", TestContext.Current.CancellationToken, "operator", "auditor", "approver");
        using var put = new HttpRequestMessage(HttpMethod.Put, "/findings/services/team%2Fapp") { Content = JsonContent.Create(new { repository = "https://git.example/team/app" }, options: VulnCenterCalls.Json) };
        put.Headers.TryAddWithoutValidation("If-Match", "*");
        using var answer = await client.SendAsync(put, TestContext.Current.CancellationToken);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));

        await client.ImportAsync("generic", "team/app", Code("src/a.cs"), "&commit=c0ffee");

        var view = await client.GetFromJsonAsync<JsonElement>("/findings/services/team%2Fapp", TestContext.Current.CancellationToken);
        Assert.Equal("team/app", view.GetProperty("service").GetString());
        Assert.Equal("https://git.example/team/app", (await client.FindingAsync(Assert.Single((await client.FindingsAsync()).Items).Id)).Code?.Repository);
    }

    private static byte[] Web(string format, string site, int alerts) => format switch
    {
        "zap" => Zap(site, alerts),
        "zap-xml" => Encoding.UTF8.GetBytes(
            $"<OWASPZAPReport version=\"2.15.0\"><site name=\"{site}\" host=\"h\" port=\"443\" ssl=\"true\"><alerts>{Each(alerts, i => $"<alertitem><pluginid>{i}</pluginid><name>A{i}</name><riskcode>3</riskcode><confidence>2</confidence><instances><instance><uri>{site}/a</uri><method>GET</method></instance></instances></alertitem>")}</alerts></site></OWASPZAPReport>"),
        "burp" => Encoding.UTF8.GetBytes($"<issues burpVersion=\"2024.1\">{Each(alerts, i => $"<issue><type>{i}</type><name>A{i}</name><host>{site}</host><path>/a</path><severity>High</severity></issue>")}</issues>"),
        "nuclei" => Encoding.UTF8.GetBytes($"[{string.Join(',', Enumerable.Range(1, alerts).Select(i => $$$"""{"template-id":"t{{{i}}}","info":{"name":"n","severity":"low"},"host":"{{{site}}}","matched-at":"{{{site}}}/a"}"""))}]"),
        _ => throw new ArgumentOutOfRangeException(nameof(format)),
    };

    private static string Each(int count, Func<int, string> item) => string.Concat(Enumerable.Range(1, count).Select(item));

    private static byte[] Zap(string site, int alerts) => ZapSites((site, alerts));

    private static byte[] ZapSites(params (string Site, int Alerts)[] sites) => Encoding.UTF8.GetBytes($$"""
        {"@version":"2.15.0","site":[{{string.Join(',', sites.Select(site => $$"""{"@name":"{{site.Site}}","@host":"h","@port":"443","alerts":[{{string.Join(',', Enumerable.Range(1, site.Alerts).Select(i => Alert(site.Site, i)))}}]}"""))}}]}
        """);

    private static string Alert(string site, int i) => string.Create(
        CultureInfo.InvariantCulture, $$"""{"pluginid":"{{i}}","name":"A{{i}}","riskcode":"3","confidence":"2","instances":[{"uri":"{{site}}/a","method":"GET","param":""}]}""");

    private static byte[] Nessus(params (string Host, int[] Ports)[] hosts) => Encoding.UTF8.GetBytes(
        $"<NessusClientData_v2><Report name=\"r\">{string.Concat(hosts.Select(one => $"<ReportHost name=\"{one.Host}\"><HostProperties><tag name=\"HOST_END\">x</tag></HostProperties>{string.Concat(one.Ports.Select(port => $"<ReportItem port=\"{port}\" protocol=\"tcp\" severity=\"3\" pluginID=\"10\" pluginName=\"p\"/>"))}</ReportHost>"))}</Report></NessusClientData_v2>");

    private static byte[] Code(params string[] paths) => Encoding.UTF8.GetBytes($$"""
        {"schemaVersion":"1","findings":[{{string.Join(',', paths.Select(path => $$$"""{"kind":"sast","rule":"{{{path[^4]}}}","title":"t","severity":"low","location":{"path":"{{{path}}}","startLine":1,"snippet":"{{{path[^4]}}}()"}}"""))}}]}
        """);

    private static byte[] Trivy(params string[] advisories) => Encoding.UTF8.GetBytes($$"""
        {"SchemaVersion":2,"ArtifactName":"shop/api:1","ArtifactType":"container_image","Results":[{"Target":"os","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{{string.Join(',', advisories.Select(id => $$"""{"VulnerabilityID":"{{id}}","PkgName":"openssl"}"""))}}]}]}
        """);
}

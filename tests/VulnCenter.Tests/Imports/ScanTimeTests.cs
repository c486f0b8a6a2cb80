using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>What a report says counts from when it was scanned, not from when it came.</summary>
public sealed class ScanTimeTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static readonly string New = Ago(1);
    private static readonly string Old = Ago(10);

    [Theory]
    [InlineData("")]
    [InlineData("&scannedAt=")]
    public async Task An_older_report_that_comes_later_closes_nothing_and_says_so(string said)
    {
        var tenant = $"older{said.Length}";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("trivy", "shop", said.Length == 0 ? Trivy(New, "CVE-2024-1000", "CVE-2024-1001") : Trivy(null, "CVE-2024-1000", "CVE-2024-1001"), said.Length == 0 ? "&scope=complete" : $"&scope=complete{said}{New}");
        var seen = (await client.FindingsAsync()).Items[0].LastSeen;

        var older = await client.ImportAsync("trivy", "shop", said.Length == 0 ? Trivy(Old, "CVE-2024-1000") : Trivy(null, "CVE-2024-1000"), said.Length == 0 ? "&scope=complete" : $"&scope=complete{said}{Old}");

        Assert.Equal((1L, 0L, 0L), (older.Matched, older.FindingsFixed, older.FindingsChanged));
        Assert.Contains("before the latest complete scan", older.Scans[0].ClosesNothing, StringComparison.Ordinal);
        var open = (await client.FindingsAsync("?status=open")).Items;
        Assert.Equal([seen, seen], open.Select(finding => finding.LastSeen));
    }

    [Fact]
    public async Task An_older_report_does_not_take_back_what_a_newer_one_changed()
    {
        using var client = await host.OperatorAsync("content");
        await client.ImportAsync("trivy", "shop", Trivy(New, "CVE-2024-1000"), "&scope=complete");
        var before = Assert.Single((await client.FindingsAsync()).Items);

        await client.ImportAsync("trivy", "shop", Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(Trivy(Old, "CVE-2024-1000")).Replace("HIGH", "LOW", StringComparison.Ordinal)));

        var after = Assert.Single((await client.FindingsAsync()).Items);
        Assert.Equal((before.Version, before.Severity), (after.Version, after.Severity));
    }

    [Fact]
    public async Task What_only_an_older_report_shows_is_new_until_a_newer_complete_scan_closes_it()
    {
        using var client = await host.OperatorAsync("only-older");
        await client.ImportAsync("trivy", "shop", Trivy(Ago(5), "CVE-2024-1000"), "&scope=complete");
        await client.ImportAsync("trivy", "shop", Trivy(Old, "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        Assert.Equal(2, (await client.FindingsAsync("?status=open")).Items.Count);

        var next = await client.ImportAsync("trivy", "shop", Trivy(New, "CVE-2024-1000"), "&scope=complete");

        Assert.Equal(1, next.FindingsFixed);
        Assert.Equal("CVE-2024-1001", Assert.Single((await client.FindingsAsync("?status=fixed")).Items).Rule);
    }

    [Fact]
    public async Task An_older_report_that_shows_what_a_newer_scan_closed_is_no_regression()
    {
        using var client = await host.OperatorAsync("no-regression");
        await client.ImportAsync("trivy", "shop", Trivy(Old, "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        await client.ImportAsync("trivy", "shop", Trivy(New, "CVE-2024-1000"), "&scope=complete");

        var between = await client.ImportAsync("trivy", "shop", Trivy(Ago(5), "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");

        Assert.Equal((2L, 0L, 0L), (between.Matched, between.Reopened, between.FindingsFixed));
        var closed = Assert.Single((await client.FindingsAsync("?status=fixed")).Items);
        var decision = (await client.FindingAsync(closed.Id)).Decisions[0];
        Assert.Equal((Outcome.Matched, between.Scans[0].Scan), (decision.Outcome, decision.Scan));
        Assert.Contains("no regression", decision.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_newer_scan_that_shows_what_an_older_one_no_longer_showed_is_a_regression_whenever_it_comes()
    {
        using var client = await host.OperatorAsync("regression");
        await client.ImportAsync("trivy", "shop", Trivy(Ago(12), "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        await client.ImportAsync("trivy", "shop", Trivy(Old, "CVE-2024-1000"), "&scope=complete");

        var back = await client.ImportAsync("trivy", "shop", Trivy(Ago(9), "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");

        Assert.Equal(1, back.Reopened);
        Assert.True(Assert.Single((await client.FindingsAsync("?status=open")).Items, finding => finding.Rule == "CVE-2024-1001").Regression);
    }

    [Fact]
    public async Task A_report_from_before_somebody_claimed_the_fix_neither_reopens_nor_verifies_the_finding()
    {
        using var client = await host.OperatorAsync("claimed");
        await client.ImportAsync("trivy", "shop", Trivy(Old, "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        var finding = Assert.Single((await client.FindingsAsync()).Items, finding => finding.Rule == "CVE-2024-1001");
        using var triaged = await client.MoveAsync(finding.Id, new { status = "triaged" }, "*");
        using var claimed = await client.MoveAsync(finding.Id, new { status = "fixed", reason = "upgraded" }, "*");

        var shows = await client.ImportAsync("trivy", "shop", Trivy(Ago(5), "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        Assert.Equal((2L, 0L), (shows.Matched, shows.Reopened));
        var clean = await client.ImportAsync("trivy", "shop", Trivy(New, "CVE-2024-1000"), "&scope=complete");
        using var early = await client.MoveAsync(finding.Id, new { status = "verified" }, "*");
        Assert.Equal("finding.evidence-insufficient", await early.CodeOfAsync());
        using var named = await client.MoveAsync(finding.Id, new { status = "verified", evidence = new { scan = clean.Scans[0].Scan } }, "*");
        Assert.Equal("finding.evidence-insufficient", await named.CodeOfAsync());

        await client.ImportAsync("trivy", "shop", Trivy(null, "CVE-2024-1000"), "&scope=complete");
        using var verified = await client.MoveAsync(finding.Id, new { status = "verified" }, "*");
        Assert.Equal(HttpStatusCode.OK, verified.StatusCode);
    }

    [Fact]
    public async Task The_same_older_report_again_adds_no_decision_and_changes_no_state()
    {
        using var client = await host.OperatorAsync("older-again");
        await client.ImportAsync("trivy", "shop", Trivy(Ago(12), "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        await client.ImportAsync("trivy", "shop", Trivy(New, "CVE-2024-1000"), "&scope=complete");
        await client.ImportAsync("trivy", "shop", Trivy(Old, "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        var state = await host.ScalarAsync<string>(ImportTests.State, "older-again");
        var decisions = await host.ScalarAsync<long>("select count(*) from vuln_center.decision where tenant = $1", "older-again");

        await client.ImportAsync("trivy", "shop", Trivy(Old, "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");

        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, "older-again"));
        Assert.Equal(decisions, await host.ScalarAsync<long>("select count(*) from vuln_center.decision where tenant = $1", "older-again"));
    }

    [Fact]
    public async Task An_older_scan_of_another_image_closes_what_is_gone_there()
    {
        using var client = await host.OperatorAsync("other-image");
        await client.ImportAsync("trivy", "shop", Trivy(Ago(12), "CVE-2024-1000", "CVE-2024-1001"), "&scope=complete");
        await client.ImportAsync("trivy", "shop", Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(Trivy(New, "CVE-2024-3000")).Replace("shop/api", "shop/web", StringComparison.Ordinal)), "&scope=complete");

        var older = await client.ImportAsync("trivy", "shop", Trivy(Old, "CVE-2024-1000"), "&scope=complete");

        Assert.Equal((1L, null), (older.FindingsFixed, older.Scans[0].ClosesNothing));
    }

    [Fact]
    public async Task What_the_import_says_comes_before_what_the_report_says()
    {
        using var client = await host.OperatorAsync("said");

        var import = await client.ImportAsync("trivy", "shop", Trivy(Old, "CVE-2024-1000"), $"&scannedAt={New}");

        var scan = await new VulnCenterClient(client).GetScanAsync(import.Scans[0].Scan, TestContext.Current.CancellationToken);
        Assert.Equal(New, Time(scan.StartedAt));
    }

    [Theory]
    [InlineData("2999-01-01T00:00:00Z")]
    [InlineData("2024-01-01T00:00:00")]
    [InlineData("yesterday")]
    public async Task A_time_that_is_to_come_or_has_no_offset_is_refused(string time)
    {
        using var client = await host.OperatorAsync("bad-time");

        using var answer = await client.PostReportAsync("trivy", "shop", Trivy(null, "CVE-2024-1000"), more: $"&scannedAt={Uri.EscapeDataString(time)}");

        Assert.Equal((HttpStatusCode.BadRequest, "request.invalid"), (answer.StatusCode, await answer.CodeOfAsync()));
    }

    [Fact]
    public async Task A_report_from_a_clock_that_is_ahead_was_scanned_when_it_came()
    {
        using var client = await host.OperatorAsync("ahead");
        var before = DateTimeOffset.UtcNow;

        var import = await client.ImportAsync("trivy", "shop", Trivy("2999-01-01T00:00:00Z", "CVE-2024-1000"), "&scope=complete");

        var scan = await new VulnCenterClient(client).GetScanAsync(import.Scans[0].Scan, TestContext.Current.CancellationToken);
        Assert.InRange(scan.StartedAt, before.AddSeconds(-1), scan.FinishedAt);
    }

    [Theory]
    [InlineData("trivy", """{"SchemaVersion":2,"CreatedAt":"2024-12-20T09:14:03.512447123+01:00","ArtifactName":"a","Results":[]}""", "2024-12-20T08:14:03Z")]
    [InlineData("trivy", """{"SchemaVersion":2,"CreatedAt":"0001-01-01T00:00:00Z","ArtifactName":"a","Results":[]}""", null)]
    [InlineData("grype", """{"matches":[],"descriptor":{"name":"grype","timestamp":"2024-02-22T19:46:26.372724916+01:00"}}""", "2024-02-22T18:46:26Z")]
    [InlineData("cyclonedx", """{"bomFormat":"CycloneDX","metadata":{"timestamp":"2024-12-20T09:20:41.113Z"},"vulnerabilities":[]}""", "2024-12-20T09:20:41Z")]
    [InlineData("cyclonedx", """<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><metadata><timestamp>2024-12-20T09:20:41Z</timestamp></metadata><vulnerabilities/></bom>""", "2024-12-20T09:20:41Z")]
    [InlineData("openvex", """{"@context":"https://openvex.dev/ns","timestamp":"2024-01-01T00:00:00Z","last_updated":"2024-02-01T00:00:00Z","statements":[]}""", "2024-02-01T00:00:00Z")]
    [InlineData("sarif", """{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}},"invocations":[{"startTimeUtc":"2024-03-01T10:00:00.5Z"},{"startTimeUtc":"2024-03-01T09:00:00","endTimeUtc":"2024-03-01T11:00:00Z"}],"results":[]}]}""", "2024-03-01T09:00:00Z")]
    [InlineData("sarif", """{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}},"invocations":[{"endTimeUtc":"2024-03-01T11:00:00Z"}],"results":[]}]}""", "2024-03-01T11:00:00Z")]
    [InlineData("zap", """{"@version":"2.16.0","@generated":"Mon, 9 Dec 2024 10:02:11","created":"2024-12-09T10:02:11.402Z","site":[]}""", "2024-12-09T10:02:11Z")]
    [InlineData("zap", """{"@version":"2.14.0","@generated":"Mon, 9 Dec 2024 10:02:11","site":[]}""", null)]
    [InlineData("zap", """<OWASPZAPReport version="2.16.0" generated="Mon, 9 Dec 2024 10:02:11" created="2024-12-09T10:02:11.4Z"/>""", "2024-12-09T10:02:11Z")]
    [InlineData("burp", """<issues burpVersion="2024" exportTime="Thu Jan 07 14:44:42 UTC 2021"/>""", "2021-01-07T14:44:42Z")]
    [InlineData("burp", """<issues burpVersion="2024" exportTime="Thu Jan 07 14:44:42 CST 2021"/>""", null)]
    [InlineData("dependency-check", """<analysis xmlns="https://jeremylong.github.io/DependencyCheck/dependency-check.4.0.xsd"><projectInfo><name>a</name><reportDate>2019-07-16T13:00:03.000+0200</reportDate></projectInfo></analysis>""", "2019-07-16T11:00:03Z")]
    [InlineData("nessus", """<NessusClientData_v2><Report name="r"><ReportHost name="a"><HostProperties><tag name="HOST_START">Mon Nov 3 03:02:11 2025</tag><tag name="HOST_START_TIMESTAMP">1762138931</tag><tag name="HOST_END">x</tag></HostProperties></ReportHost><ReportHost name="b"><HostProperties><tag name="HOST_START_TIMESTAMP">1762138900</tag><tag name="HOST_END">x</tag></HostProperties></ReportHost></Report></NessusClientData_v2>""", "2025-11-03T03:01:40Z")]
    [InlineData("nessus", """<NessusClientData_v2><Report name="r"><ReportHost name="a"><HostProperties><tag name="HOST_START">Mon Nov 3 03:02:11 2025</tag><tag name="HOST_END">x</tag></HostProperties></ReportHost></Report></NessusClientData_v2>""", null)]
    [InlineData("nuclei", """[{"template-id":"t","info":{"name":"n","severity":"low"},"matched-at":"https://a.example/","timestamp":"2021-05-20T11:11:01.667748+03:00"}]""", "2021-05-20T08:11:01Z")]
    [InlineData("generic", """{"schemaVersion":"1","findings":[],"scannedAt":"2024-03-01T09:30:00+01:00"}""", "2024-03-01T08:30:00Z")]
    [InlineData("generic", """{"schemaVersion":"1","scannedAt":null,"findings":[]}""", null)]
    [InlineData("generic", """{"schemaVersion":"1","scannedAt":"2024-03-01T09:30:00Z","rule":"r","title":"t","kind":"config","resource":"x"}""", "2024-03-01T09:30:00Z")]
    public async Task A_format_gives_the_time_its_report_states_with_an_offset(string format, string report, string? time)
    {
        var seen = (await Reports.ReadAsync(format, report)).OfType<ReportItem.ScannerSeen>().Single();

        Assert.Equal(time, seen.ScannedAt is { } stated ? Time(stated) : null);
    }

    [Theory]
    [InlineData("/findings?service=shop", "\"2024-03-01T09:30:00\"")]
    [InlineData("/findings?service=shop", "\"yesterday\"")]
    [InlineData("/findings?service=shop", "1709285400")]
    [InlineData("/findings/imports?format=generic&service=shop", "\"2024-03-01\"")]
    [InlineData("/findings/imports?format=red-team&service=shop", "{}")]
    public async Task A_normalized_report_with_a_time_that_is_none_or_has_no_offset_is_refused_with_its_field(string address, string time)
    {
        using var client = await host.OperatorAsync("bad-stated-time");

        using var answer = await client.PostAsync(new Uri(address, UriKind.Relative), new StringContent(Normalized(time), Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken);

        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "import.report-unreadable"), (answer.StatusCode, problem.GetProperty("code").GetString()));
        var error = Assert.Single(problem.GetProperty("errors").EnumerateArray());
        Assert.Equal("/scannedAt", error.GetProperty("pointer").GetString());
        Assert.Empty((await client.FindingsAsync()).Items);
    }

    [Fact]
    public async Task Normalized_findings_were_seen_when_they_say_and_an_older_scan_closes_nothing()
    {
        using var client = await host.OperatorAsync("stated-time");
        var between = Ago(3);
        await client.ImportAsync("generic", "shop", Encoding.UTF8.GetBytes(Normalized($"\"{New}\"", "a", "b")), "&scope=complete");

        var older = await client.ImportAsync("generic", "shop", Encoding.UTF8.GetBytes(Normalized($"\"{Old}\"", "a")), "&scope=complete");
        var said = await client.ImportAsync("generic", "shop", Encoding.UTF8.GetBytes(Normalized($"\"{Old}\"", "a")), $"&scannedAt={between}");

        Assert.Contains("before the latest complete scan", older.Scans[0].ClosesNothing, StringComparison.Ordinal);
        Assert.Equal([Old, between], [await BeganAsync(older), await BeganAsync(said)]);

        async Task<string> BeganAsync(ImportResult import) =>
            Time((await new VulnCenterClient(client).GetScanAsync(import.Scans[0].Scan, TestContext.Current.CancellationToken)).StartedAt);
    }

    [Fact]
    public async Task When_a_lone_finding_was_looked_for_is_no_field_that_is_not_known()
    {
        var alone = Assert.Single(await Reports.ObservationsAsync("generic", """{"scannedAt":"2024-03-01T09:30:00Z","rule":"r","title":"t","kind":"config","resource":"x"}"""));
        var among = Assert.Single(await Reports.ObservationsAsync("generic", """{"findings":[{"scannedAt":"on a Monday","rule":"r","title":"t","kind":"config","resource":"x"}]}"""));

        Assert.Equal((null, """{"scannedAt":"on a Monday"}"""), (alone.Extra, among.Extra));
    }

    private static string Normalized(string time, params string[] resources) => $$"""
        {"schemaVersion":"1","source":"audit","scannedAt":{{time}},"findings":[{{string.Join(',', resources.Select(resource => $$"""{"rule":"r","title":"t","kind":"config","severity":"high","resource":"{{resource}}"}"""))}}]}
        """;

    private static string Ago(int days) => Time(DateTimeOffset.UtcNow.AddDays(-days));

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    private static byte[] Trivy(string? createdAt, params string[] advisories)
    {
        var found = advisories.Select(id => $$"""{"VulnerabilityID":"{{id}}","PkgName":"openssl","InstalledVersion":"3.0","Severity":"HIGH"}""");
        return Encoding.UTF8.GetBytes($$"""
            {"SchemaVersion":2,{{(createdAt is null ? "" : $"\"CreatedAt\":\"{createdAt}\",")}}"ArtifactName":"shop/api:1","ArtifactType":"container_image","Results":[
              {"Target":"shop/api:1 (debian 12)","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{{string.Join(',', found)}}]}]}
            """);
    }
}

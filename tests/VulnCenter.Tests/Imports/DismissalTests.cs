using System.Net;
using System.Net.Http.Json;
using System.Text;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>A report that calls a result no problem does not say that it is gone, and sets nothing aside.</summary>
public sealed class DismissalTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [InlineData("cyclonedx", "in_triage", "not_affected", "Stated as not_affected (code_not_reachable).")]
    [InlineData("cyclonedx", "exploitable", "false_positive", "Stated as false_positive (code_not_reachable).")]
    [InlineData("cyclonedx", "exploitable", "resolved", "Stated as resolved (code_not_reachable).")]
    [InlineData("openvex", "affected", "not_affected", "Stated as not_affected (component_not_present).")]
    [InlineData("openvex", "under_investigation", "fixed", "Stated as fixed (component_not_present).")]
    [InlineData("zap", "2", "0", "Marked as a false positive in ZAP.")]
    [InlineData("burp", "High", "False positive", "Marked as a false positive in Burp.")]
    [InlineData("dependency-check", "vulnerability", "suppressedVulnerability", "Suppressed in Dependency-Check: not shipped.")]
    [InlineData("trivy", "FAIL", "EXCEPTION", "The check is excepted in Trivy.")]
    [InlineData("trivy", "FAIL", "ignored", "Suppressed in Trivy as ignored (.trivyignore.yaml): built from scratch.")]
    [InlineData("grype", "matches", "ignored", "Ignored in Grype: not reachable.")]
    [InlineData("grype", "matches", "vex", "Ignored in Grype: Stated as not_affected (code_not_present).")]
    [InlineData("snyk", "vulnerabilities", "ignore", "Ignored in Snyk: not reachable.")]
    [InlineData("snyk", "vulnerabilities", "patch", "Patched by Snyk.")]
    [InlineData("snyk", "iac", "iac-ignored", "Ignored in Snyk: no reason.")]
    public async Task What_a_complete_report_calls_no_problem_stays_open_and_shows_who_said_so(string format, string problem, string dismissed, string said)
    {
        using var client = await host.OperatorAsync($"dismissed-{format}-{dismissed.Replace(' ', '-').ToLowerInvariant()}");
        await client.ImportAsync(format, "shop", Report(format, problem), "&scope=complete");
        var before = (await client.FindingsAsync()).Items;

        var second = await client.ImportAsync(format, "shop", Report(format, dismissed), "&scope=complete");

        Assert.Equal((1L, 1L, 0L, null), (second.Matched, second.Rejected, second.FindingsFixed, second.Scans[0].ClosesNothing));
        Assert.Equal(before.Select(finding => (finding.Id, finding.Status, finding.Gate)), (await client.FindingsAsync()).Items.Select(finding => (finding.Id, finding.Status, finding.Gate)));
        var spokenOf = (await client.GetFromJsonAsync<DecisionPage>("/findings/decisions?outcome=rejected", VulnCenterCalls.Json, TestContext.Current.CancellationToken))?.Items.Single();
        var detail = await client.FindingAsync(spokenOf?.Finding ?? Guid.Empty);
        var decision = Assert.Single(detail.Decisions, decision => decision.Outcome == Outcome.Rejected);
        Assert.Equal(($"result.not-a-problem: {said}", second.Scans[0].Scan, spokenOf?.Key), (decision.Reason, decision.Scan, decision.Key));
        Assert.Null(detail.Finding.Suppression);
    }

    [Theory]
    [InlineData("trivy", "ignored")]
    [InlineData("grype", "ignored")]
    [InlineData("snyk", "ignore")]
    public async Task What_a_tool_was_told_to_ignore_opens_no_finding_and_is_accounted_for(string format, string ignored)
    {
        using var client = await host.OperatorAsync($"ignored-{format}");

        var import = await client.ImportAsync(format, "shop", Report(format, ignored), "&scope=complete");

        Assert.Equal((2L, 1L, 0L, 0L, 1L), (import.Observations, import.New, import.Matched, import.Reopened, import.Rejected));
        Assert.Single((await client.FindingsAsync()).Items);
    }

    [Theory]
    [InlineData("trivy", "FAIL", "ignored")]
    [InlineData("grype", "matches", "ignored")]
    [InlineData("snyk", "vulnerabilities", "ignore")]
    public async Task What_a_tool_ignored_and_no_longer_reports_at_all_is_fixed(string format, string problem, string ignored)
    {
        using var client = await host.OperatorAsync($"ignored-gone-{format}");
        await client.ImportAsync(format, "shop", Report(format, problem), "&scope=complete");
        await client.ImportAsync(format, "shop", Report(format, ignored), "&scope=complete");

        var gone = await client.ImportAsync(format, "shop", Report(format, null), "&scope=complete");

        Assert.Equal(1L, gone.FindingsFixed);
    }

    [Fact]
    public async Task A_critical_that_a_VEX_statement_calls_not_affected_stays_at_the_gate()
    {
        using var client = await host.OperatorAsync("dismissed-gate");
        await client.ImportAsync("cyclonedx", "shop", Report("cyclonedx", "exploitable"), "&scope=complete");

        await client.ImportAsync("cyclonedx", "shop", Report("cyclonedx", "not_affected"), "&scope=complete");

        Assert.True(Assert.Single((await client.FindingsAsync("?severity=critical")).Items).Gate);
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from platform.event where tenant = $1 and type = 'wave16.vuln-center.gate-withdrawn.v1'", "dismissed-gate"));
    }

    [Fact]
    public async Task A_scan_that_calls_the_finding_no_problem_does_not_verify_it()
    {
        using var client = await host.OperatorAsync("dismissed-evidence");
        await client.ImportAsync("openvex", "shop", Report("openvex", "affected"), "&scope=complete");
        var finding = Assert.Single((await client.FindingsAsync("?cve=CVE-2024-1000")).Items);
        using var triaged = await client.MoveAsync(finding.Id, new { status = "triaged" }, "*");
        using var claimed = await client.MoveAsync(finding.Id, new { status = "fixed", reason = "upgraded" }, "*");

        var vex = await client.ImportAsync("openvex", "shop", Report("openvex", "not_affected"), "&scope=complete");

        using var unnamed = await client.MoveAsync(finding.Id, new { status = "verified" }, "*");
        Assert.Equal("finding.evidence-insufficient", await unnamed.CodeOfAsync());
        using var named = await client.MoveAsync(finding.Id, new { status = "verified", evidence = new { scan = vex.Scans[0].Scan } }, "*");
        Assert.Equal("finding.evidence-insufficient", await named.CodeOfAsync());
        await client.ImportAsync("openvex", "shop", Report("openvex", null), "&scope=complete");
        using var verified = await client.MoveAsync(finding.Id, new { status = "verified" }, "*");
        Assert.Equal(HttpStatusCode.OK, verified.StatusCode);
    }

    [Fact]
    public async Task A_report_of_dismissals_alone_closes_nothing_unless_that_is_expected()
    {
        using var client = await host.OperatorAsync("dismissed-all");
        await client.ImportAsync("openvex", "shop", Report("openvex", "affected"), "&scope=complete");

        var vex = await client.ImportAsync("openvex", "shop", OpenVex(Statement("CVE-2024-1000", "not_affected")), "&scope=complete");

        Assert.Equal(0, vex.FindingsFixed);
        Assert.Contains("expectEmpty", vex.Scans[0].ClosesNothing, StringComparison.Ordinal);
        var expected = await client.ImportAsync("openvex", "shop", OpenVex(Statement("CVE-2024-1000", "not_affected")), "&scope=complete&expectEmpty=true");
        Assert.Equal(1, expected.FindingsFixed);
        Assert.Equal("CVE-2024-2000", Assert.Single((await client.FindingsAsync("?status=fixed")).Items).Rule);
    }

    [Fact]
    public async Task The_same_statement_again_adds_no_decision_and_changes_no_state()
    {
        using var client = await host.OperatorAsync("dismissed-again");
        await client.ImportAsync("openvex", "shop", Report("openvex", "affected"), "&scope=complete");
        await client.ImportAsync("openvex", "shop", Report("openvex", "not_affected"), "&scope=complete");
        var state = await host.ScalarAsync<string>(ImportTests.State, "dismissed-again");
        var decisions = await host.ScalarAsync<long>("select count(*) from vuln_center.decision where tenant = $1", "dismissed-again");

        await client.ImportAsync("openvex", "shop", Report("openvex", "not_affected"), "&scope=complete");

        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, "dismissed-again"));
        Assert.Equal(decisions, await host.ScalarAsync<long>("select count(*) from vuln_center.decision where tenant = $1", "dismissed-again"));
    }

    [Fact]
    public async Task A_check_that_passed_is_gone_and_closes_its_finding()
    {
        using var client = await host.OperatorAsync("dismissed-passed");
        await client.ImportAsync("trivy", "shop", Report("trivy", "FAIL"), "&scope=complete");

        var second = await client.ImportAsync("trivy", "shop", Report("trivy", "PASS"), "&scope=complete");

        Assert.Equal((1L, 1L), (second.Rejected, second.FindingsFixed));
    }

    [Fact]
    public async Task From_the_statement_of_a_report_to_a_suppression_is_one_request()
    {
        using var client = await host.OperatorAsync("dismissed-suppress");
        await client.ImportAsync("openvex", "shop", Report("openvex", "affected"), "&scope=complete");
        await client.ImportAsync("openvex", "shop", Report("openvex", "not_affected"));
        var page = await client.GetFromJsonAsync<DecisionPage>("/findings/decisions?outcome=rejected&service=shop", VulnCenterCalls.Json, TestContext.Current.CancellationToken);
        var said = Assert.Single(page?.Items ?? [], decision => decision.Finding is not null);

        using var request = new HttpRequestMessage(HttpMethod.Put, $"/findings/{said.Finding}/suppression")
        {
            Content = JsonContent.Create(new { kind = "false-positive", reason = said.Reason, until = DateTimeOffset.UtcNow.AddDays(90) }, options: VulnCenterCalls.Json),
        };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var suppressed = await client.SendAsync(request, TestContext.Current.CancellationToken);

        Assert.Equal(HttpStatusCode.OK, suppressed.StatusCode);
        Assert.Equal(said.Reason, (await client.FindingAsync(said.Finding ?? Guid.Empty)).Finding.Suppression?.Reason);
    }

    /// <summary>A result in the given state beside another one that is a problem; null: without it.</summary>
    private static byte[] Report(string format, string? state) => format switch
    {
        "cyclonedx" => Json($$$"""
            {"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[{"type":"library","bom-ref":"a","name":"lodash","version":"4.17.20","purl":"pkg:npm/lodash@4.17.20"},{"type":"library","bom-ref":"b","name":"qs","version":"1.0.0","purl":"pkg:npm/qs@1.0.0"}],
             "vulnerabilities":[{"id":"CVE-2024-1000","ratings":[{"severity":"critical"}],"affects":[{"ref":"a"}],"analysis":{"state":"{{{state}}}","justification":"code_not_reachable"}},{"id":"CVE-2024-2000","ratings":[{"severity":"high"}],"affects":[{"ref":"b"}]}]}
            """),
        "openvex" => OpenVex([.. state is null ? [] : new[] { Statement("CVE-2024-1000", state) }, Statement("CVE-2024-2000", "affected")]),
        "zap" => Json($$"""
            {"@version":"2.14.0","site":[{"@name":"https://shop.example","@host":"shop.example","@port":"443","@ssl":"true","alerts":[
              {"pluginid":"40018","name":"SQL Injection","riskcode":"3","confidence":"{{state}}","instances":[{"uri":"https://shop.example/a?id=1","method":"GET","param":"id"}]},
              {"pluginid":"10038","name":"CSP","riskcode":"2","confidence":"3","instances":[{"uri":"https://shop.example/","method":"GET","param":""}]}]}]}
            """),
        "burp" => Json($"""
            <issues burpVersion="2024.1"><issue><type>1</type><name>XSS</name><host>https://shop.example</host><path>/a</path><severity>{state}</severity></issue><issue><type>2</type><name>CSP</name><host>https://shop.example</host><path>/b</path><severity>Low</severity></issue></issues>
            """),
        "dependency-check" => Json($"""
            <analysis xmlns="https://jeremylong.github.io/DependencyCheck/dependency-check.4.0.xsd"><dependencies><dependency><fileName>a.jar</fileName><identifiers><package><id>pkg:maven/a/a@1</id></package></identifiers><vulnerabilities>
              <{state}><name>CVE-2024-1000</name><severity>HIGH</severity><notes>not shipped</notes></{state}><vulnerability><name>CVE-2024-2000</name><severity>HIGH</severity></vulnerability></vulnerabilities></dependency></dependencies></analysis>
            """),
        "grype" => Grype(state),
        "snyk" when state is "iac" or "iac-ignored" => Json($$"""
            [{"ok":false,"vulnerabilities":[],"dependencyCount":0,"projectName":"shop","targetFile":"main.tf","infrastructureAsCodeIssues":[
              {"id":"SNYK-CC-TF-1","title":"open","severity":"high","isIgnored":{{(state == "iac" ? "false" : "true")}},"msg":"resource.a[b]","lineNumber":1},
              {"id":"SNYK-CC-TF-2","title":"plain","severity":"high","isIgnored":false,"msg":"resource.a[b]","lineNumber":1}]}]
            """),
        "snyk" => Snyk(state),
        "trivy" when state is "ignored" or null => Json($$"""
            {"SchemaVersion":2,"ArtifactName":"deploy","ArtifactType":"filesystem","Results":[{"Target":"Dockerfile","Class":"config","Type":"dockerfile",
              "Misconfigurations":[{"ID":"DS002","Title":"root","Severity":"HIGH","Status":"FAIL"}],"ExperimentalModifiedFindings":[{{(state is null ? "" : SuppressedInTrivy)}}] } ] }
            """),
        "trivy" => Json($$$"""
            {"SchemaVersion":2,"ArtifactName":"deploy","ArtifactType":"filesystem","Results":[{"Target":"Dockerfile","Class":"config","Type":"dockerfile","Misconfigurations":[
              {"ID":"DS001","Title":"latest","Severity":"HIGH","Status":"{{{state}}}"},{"ID":"DS002","Title":"root","Severity":"HIGH","Status":"FAIL"}]}]}
            """),
        _ => throw new ArgumentOutOfRangeException(nameof(format)),
    };

    private const string SuppressedInTrivy = """
        {"Type":"misconfiguration","Status":"ignored","Statement":"built from scratch","Source":".trivyignore.yaml","Finding":{"ID":"DS001","Title":"latest","Severity":"HIGH","Status":"FAIL"}}
        """;

    private static byte[] Grype(string? state)
    {
        var rule = state == "vex"
            ? """{"namespace":"vex","vex-status":"not_affected","vex-justification":"code_not_present"}"""
            : """{"vulnerability":"CVE-2024-1000","reason":"not reachable.","namespace":""}""";
        return Json($$"""
            {"matches":[{{(state == "matches" ? Match("CVE-2024-1000") + "," : "")}}{{Match("CVE-2024-2000")}}],
             "ignoredMatches":[{{(state is "ignored" or "vex" ? Match("CVE-2024-1000", $",\"appliedIgnoreRules\":[{rule}]") : "")}}],
             "source":{"type":"directory","target":"."},"descriptor":{"name":"grype","version":"0.90.0"} }
            """);

        static string Match(string id, string more = "") =>
            $$$"""{"vulnerability":{"id":"{{{id}}}","severity":"High"},"artifact":{"name":"qs","version":"1.0.0","type":"npm","purl":"pkg:npm/qs@1.0.0"}{{{more}}}}""";
    }

    private static byte[] Snyk(string? state)
    {
        const string reasons = """{"ignored":[{"reason":"not reachable","source":"cli","path":["*"]}]}""";
        return Json($$"""
            {"ok":false,"dependencyCount":2,"packageManager":"npm","projectName":"shop","vulnerabilities":[{{(state == "vulnerabilities" ? Issue("A") + "," : "")}}{{Issue("B")}}],
             "filtered":{"ignore":[{{(state == "ignore" ? Issue("A", $",\"filtered\":{reasons}") : "")}}],"patch":[{{(state == "patch" ? Issue("A") : "")}}] } }
            """);

        static string Issue(string id, string more = "") =>
            $$"""{"id":"SNYK-JS-QS-{{id}}","title":"Prototype pollution","severity":"high","packageManager":"npm","name":"qs","version":"1.0.0"{{more}}}""";
    }

    private static byte[] Json(string text) => Encoding.UTF8.GetBytes(text);

    private static byte[] OpenVex(params string[] statements) => Json($$"""
        {"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:vex","author":"shop","version":1,"statements":[{{string.Join(',', statements)}}]}
        """);

    private static string Statement(string id, string status)
    {
        var justification = status is "not_affected" or "fixed" ? ",\"justification\":\"component_not_present\"" : "";
        return $$$"""{"vulnerability":{"name":"{{{id}}}"},"products":[{"@id":"pkg:oci/shop-api"}],"status":"{{{status}}}"{{{justification}}}}""";
    }
}

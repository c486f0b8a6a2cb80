using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>What each scanner's words become.</summary>
public sealed class JsonReportTests
{
    [Fact]
    public async Task Semgrep_without_a_login_gives_neither_code_nor_fingerprint()
    {
        var observations = await Reports.ObservationsAsync("semgrep", Reports.Bytes("semgrep-shop-api.json"));

        var (loggedIn, masked) = (observations[0], observations[1]);
        Assert.Equal(Sha256Digest.Of("res.redirect(req.query.next);"u8), loggedIn.Location?.SnippetHash);
        Assert.Equal("matchBasedId/v1", Assert.Single(loggedIn.Fingerprints).Algorithm);
        Assert.Equal((null, 0), (masked.Location?.SnippetHash, masked.Fingerprints.Count));
        Assert.Equal(new SourceSuppression("inSource", "nosemgrep"), masked.SuppressedInSource);
    }

    [Fact]
    public async Task Semgrep_and_its_SARIF_are_known_by_the_same_key()
    {
        const string fingerprint = "9d0c1a6f3be24f7ea0c51d4b8f7c2a11_0";
        var json = (await Reports.ObservationsAsync("semgrep", Reports.Bytes("semgrep-shop-api.json")))[0];
        var sarif = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif("Semgrep OSS", "", $$"""
            {"ruleId":"javascript.express.security.audit.express-open-redirect","fingerprints":{"matchBasedId/v1":"{{fingerprint}}"},"locations":[{"physicalLocation":
             {"artifactLocation":{"uri":"src/routes/login.js"},"region":{"startLine":41,"snippet":{"text":"    res.redirect(req.query.next);"} } } }]}
            """)));

        Assert.Equal(KeysOf(sarif), KeysOf(json));
    }

    [Fact]
    public async Task Semgrep_supply_chain_results_are_about_a_package_in_a_lock_file()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("semgrep", Reports.Bytes("semgrep-shop-api.json")), o => o.Kind == FindingKind.Sca);

        Assert.Equal(("CVE-2024-28849", "pkg:npm/follow-redirects", "1.15.2", "package-lock.json"),
            (observation.RuleId, observation.Component?.PurlWithoutVersion, observation.Component?.Version, observation.Manifest));
        Assert.Equal(["1.15.6"], observation.Component?.FixedVersions);
    }

    [Theory]
    [InlineData("""{"results":[],"errors":[],"paths":{"scanned":[]}}""", null)]
    [InlineData("""{"results":[],"errors":[{"level":"warn","type":"Syntax error","path":"a.js"}],"paths":{"scanned":[]}}""", null)]
    [InlineData("""{"results":[],"errors":[{"level":"error","type":"Timeout","path":"a.js","message":"x = 'fake-secret'"},{"level":"error"}],"paths":{"scanned":[]}}""", "Semgrep reports 2 errors, the first: Timeout in a.js.")]
    [InlineData("""{"results":[],"errors":[]}""", "The report says neither what was found nor what was scanned.")]
    public async Task Semgrep_says_itself_whether_its_scan_completed(string report, string? failure) =>
        Assert.Equal(failure, (await ScannerAsync("semgrep", report)).Failure);

    [Fact]
    public async Task Gitleaks_gives_the_same_findings_as_its_SARIF()
    {
        const string secret = "AKIAFAKE0SHOP0API042";
        var json = (await Reports.ObservationsAsync("gitleaks", Reports.Bytes("gitleaks-v8.json")))[0];
        var sarif = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif("gitleaks", "", $$"""
            {"ruleId":"aws-access-token","locations":[{"physicalLocation":{"artifactLocation":{"uri":"deploy/terraform/main.tf"},"region":{"startLine":4,"snippet":{"text":"{{secret}}"} } } }]}
            """)));

        Assert.Equal(KeysOf(sarif), KeysOf(json));
    }

    [Fact]
    public async Task A_secret_in_two_commits_of_a_file_is_one_finding_and_another_value_another()
    {
        var observations = await Reports.ObservationsAsync("gitleaks", Reports.Bytes("gitleaks-v8.json"));

        Assert.Equal(KeysOf(observations[0])[0], KeysOf(observations[1])[0]);
        Assert.Equal(3, observations.Select(o => KeysOf(o)[0]).Distinct().Count());
        Assert.Equal("In commit 3f6d1b0c9a8e7f6054321bcdef00112233445566 of 2024-10-02T08:11:54Z.", observations[0].Description);
        Assert.Equal("scripts/load test.sh", observations[2].Location?.Path);
    }

    [Fact]
    public async Task A_secret_that_its_own_description_repeats_is_blotted_out()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("gitleaks", """
            [{"RuleID":"r","File":"a","Secret":"fake-4711-secret","Description":"found fake-4711-secret","Link":"https://a.example/?q=fake-4711-secret","Commit":"fake-4711-secret"}]
            """));

        Assert.DoesNotContain("fake-4711-secret", JsonSerializer.Serialize(observation), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Npm_7_rejects_what_is_affected_through_another_package_and_names_it()
    {
        var rejected = (await Reports.ReadAsync("npm-audit", Reports.Bytes("npm-audit-7.json"))).OfType<ReportItem.Rejected>().ToList();

        Assert.Equal(
            ["/vulnerabilities/@shop~1web/via/0", "/vulnerabilities/@shop~1web/via/1", "/vulnerabilities/ws/via/2", "/vulnerabilities/ws/via/3", "/vulnerabilities/~0odd~1name~0/via/1"],
            rejected.Select(item => item.Pointer));
        Assert.Equal("Affected only through semver, which the report lists itself.", rejected[0].Reason);
        Assert.Equal((RejectionCodes.Unreadable, "Affected through left-out, which the report does not list."), (rejected[4].Code, rejected[4].Reason));
    }

    [Fact]
    public async Task A_package_that_a_nosemgrep_comment_marks_is_a_finding_that_says_so()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("semgrep", """
            {"version":"1.100.0","errors":[],"paths":{"scanned":[]},"results":[{"check_id":"ssc-1","path":"package-lock.json","extra":{"severity":"HIGH","is_ignored":true,
              "sca_info":{"dependency_match":{"found_dependency":{"package":"qs","version":"1","ecosystem":"npm"}}}}}]}
            """));

        Assert.Equal((FindingKind.Sca, new SourceSuppression("inSource", "nosemgrep")), (observation.Kind, observation.SuppressedInSource));
    }

    [Fact]
    public async Task Npm_6_and_7_know_an_advisory_by_its_GHSA_where_they_have_it()
    {
        var six = await Reports.ObservationsAsync("npm-audit", Reports.Bytes("npm-audit-6.json"));
        var seven = await Reports.ObservationsAsync("npm-audit", Reports.Bytes("npm-audit-7.json"));

        Assert.Equal(["1755", "GHSA-xvch-5gv4-984h", "1500"], six.Select(o => o.RuleId));
        Assert.Equal(["GHSA-c2qf-rxjj-qqgw", "GHSA-3h5v-q93c-6h6q", "1748", "1"], seven.Select(o => o.RuleId));
        Assert.Equal(["CVE-2021-44906", "GHSA-XVCH-5GV4-984H"], six[1].Identifiers.Select(id => id.Value).Order(StringComparer.Ordinal));
        Assert.Equal("pkg:npm/%40shop/ws-tools", six[2].Component?.PurlWithoutVersion);
        Assert.Equal([125, 400], six[2].Cwes);
        Assert.Equal(9.8m, Assert.Single(six[1].Cvss).Score);
    }

    [Theory]
    [InlineData("""{"error":{"code":"ENOLOCK","summary":"This command requires an existing lockfile.","detail":""}}""", "npm reports an error: ENOLOCK This command requires an existing lockfile.")]
    [InlineData("""{"auditReportVersion":2,"vulnerabilities":{},"metadata":{}}""", null)]
    public async Task An_audit_that_npm_could_not_make_is_a_failed_scan(string report, string? failure) =>
        Assert.Equal(failure, (await ScannerAsync("npm-audit", report)).Failure);

    [Fact]
    public async Task Snyk_projects_are_scans_of_their_own_and_paths_to_one_package_one_finding()
    {
        var items = await Reports.ReadAsync("snyk", Reports.Bytes("snyk-projects.json"));

        Assert.Equal([4, 1, 0], items.OfType<ReportItem.ScannerSeen>().Select(scan => scan.Results));
        var observations = items.OfType<ReportItem.Observed>().Select(item => item.Observation).ToList();
        Assert.Equal(KeysOf(observations[0])[0], KeysOf(observations[1])[0]);
        Assert.Equal(("web/package-lock.json", "pkg:npm/lodash"), (observations[0].Manifest, observations[0].Component?.PurlWithoutVersion));
        Assert.Equal((FindingKind.License, "GPL-3.0"), (observations[2].Kind, observations[2].RuleId));
        Assert.Equal("pkg:maven/org.yaml/snakeyaml", observations[3].Component?.PurlWithoutVersion);
    }

    [Fact]
    public async Task Snyk_names_a_distributions_package_as_other_scanners_do()
    {
        var observations = await Reports.ObservationsAsync("snyk", Reports.Bytes("snyk-container.json"));

        Assert.Equal(("pkg:deb/debian/libssl3", "registry.example/shop/api", null),
            (observations[0].Component?.PurlWithoutVersion, observations[0].ImageRepository, observations[0].Manifest));
        Assert.Equal(["3.1", "4.0"], observations[0].Cvss.Select(cvss => cvss.Version));
        Assert.Equal(("pkg:npm/express", "/app/package-lock.json"), (observations[1].Component?.PurlWithoutVersion, observations[1].Manifest));
    }

    [Theory]
    [InlineData("""{"filtered":{"ignored":[{"reason":"vendored","source":"cli"},{"reasonType":"wont-fix","source":"api"}]}}""", "Ignored in Snyk: vendored; wont-fix.")]
    [InlineData("""{"filtered":{"ignored":"?"}}""", "Ignored in Snyk: no reason.")]
    public async Task What_a_policy_of_Snyk_ignored_in_an_application_of_an_image_is_about_the_finding_it_would_be(string ignored, string reason)
    {
        const string issue = "\"id\":\"SNYK-JS-QS-1\",\"title\":\"t\",\"severity\":\"high\",\"packageManager\":\"npm\",\"name\":\"qs\",\"version\":\"1\"";

        var items = await Reports.ReadAsync("snyk", $$$"""
            {"ok":false,"vulnerabilities":[],"dependencyCount":1,"projectName":"docker-image|shop/api","filtered":null,"applications":[
              {"ok":false,"vulnerabilities":[{{{{issue}}}}],"dependencyCount":1,"projectName":"app","filtered":{"patch":[],"ignore":[{{{{issue}}},{{{ignored[1..]}}}]}}]}
            """);

        Assert.Equal([0, 2], items.OfType<ReportItem.ScannerSeen>().Select(scan => scan.Results));
        var dismissed = Assert.Single(items.OfType<ReportItem.Rejected>());
        Assert.Equal(("/applications/0/filtered/ignore/0", RejectionCodes.NotAProblem, reason), (dismissed.Pointer, dismissed.Code, dismissed.Reason));
        Assert.Equal(KeysOf(Assert.Single(items.OfType<ReportItem.Observed>()).Observation), KeysOf(Assert.IsType<RawObservation>(dismissed.About)));
    }

    [Theory]
    [InlineData("""[{"vulnerability":"CVE-2024-1000","reason":"vendored"},{"fix-state":"unknown"}]""", "Ignored in Grype: vendored; fix state unknown.")]
    [InlineData("""[{"vex-status":"fixed"}]""", "Ignored in Grype: Stated as fixed.")]
    [InlineData("""[{"vulnerability":"CVE-2024-1000","package":{"name":"qs"}}]""", "Ignored in Grype: no reason.")]
    [InlineData("null", "Ignored in Grype: no reason.")]
    public async Task What_Grype_ignored_says_by_which_rule(string rules, string reason)
    {
        var items = await Reports.ReadAsync("grype", $$$"""
            {"ignoredMatches":[{"vulnerability":{"id":"CVE-2024-1000","severity":"High"},"artifact":{"name":"qs","version":"1","type":"npm"},"appliedIgnoreRules":{{{rules}}}}],"matches":[],"descriptor":{"name":"grype"}}
            """);

        Assert.Equal(1, Assert.Single(items.OfType<ReportItem.ScannerSeen>()).Results);
        var dismissed = Assert.Single(items.OfType<ReportItem.Rejected>());
        Assert.Equal(("/ignoredMatches/0", reason, "CVE-2024-1000"), (dismissed.Pointer, dismissed.Reason, dismissed.About?.RuleId));
    }

    [Theory]
    [InlineData("Vulnerabilities", "vulnerability", """{"VulnerabilityID":"CVE-2024-1000","PkgName":"qs","InstalledVersion":"1","Severity":"HIGH"}""")]
    [InlineData("Misconfigurations", "misconfiguration", """{"ID":"DS001","Title":"t","Severity":"HIGH","Status":"FAIL"}""")]
    [InlineData("Secrets", "secret", """{"RuleID":"aws-access-key-id","Title":"t","Severity":"HIGH","StartLine":3,"Match":"key = ****"}""")]
    [InlineData("Licenses", "license", """{"Name":"GPL-3.0","PkgName":"qs","Severity":"HIGH"}""")]
    public async Task What_Trivy_suppressed_is_about_the_finding_it_would_be(string list, string type, string finding)
    {
        var open = await Reports.ReadAsync("trivy", Result($$"""
            "{{list}}":[{{finding}}]
            """));
        var suppressed = await Reports.ReadAsync("trivy", Result($$"""
            "ExperimentalModifiedFindings":[{"Type":"{{type}}","Status":"ignored","Statement":"","Source":".trivyignore","Finding":{{finding}}}]
            """));

        var dismissed = Assert.Single(suppressed.OfType<ReportItem.Rejected>());
        Assert.Equal("Suppressed in Trivy as ignored (.trivyignore): no statement.", dismissed.Reason);
        Assert.Equal(KeysOf(Assert.Single(open.OfType<ReportItem.Observed>()).Observation), KeysOf(Assert.IsType<RawObservation>(dismissed.About)));
        Assert.Null(Assert.Single(suppressed.OfType<ReportItem.ScannerSeen>()).Kinds);

        static string Result(string list) => $$"""{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"app/package-lock.json","Type":"npm",{{list}}}]}""";
    }

    [Theory]
    [InlineData("""{"Type":"misconfiguration","Status":"ignored","Finding":{"ID":"DS001","Status":"PASS"}}""", RejectionCodes.NotAProblem)]
    [InlineData("""{"Type":"package","Status":"ignored","Finding":{"ID":"DS001"}}""", RejectionCodes.Unreadable)]
    [InlineData("""{"Type":"vulnerability","Status":"ignored"}""", RejectionCodes.Unreadable)]
    [InlineData("""{"Type":"vulnerability","Status":"affected","Finding":{"VulnerabilityID":"CVE-2024-1000","PkgName":"qs"}}""", null)]
    public async Task Of_what_Trivy_suppressed_only_a_problem_it_no_longer_counts_is_a_statement(string modified, string? code)
    {
        var items = await Reports.ReadAsync("trivy", $$"""{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Class":"lang-pkgs","Type":"npm","ExperimentalModifiedFindings":[{{modified}}]}]}""");

        var rejected = items.OfType<ReportItem.Rejected>().SingleOrDefault();
        Assert.Equal((code, null), (rejected?.Code, rejected?.About));
        Assert.Equal(code is null, items.OfType<ReportItem.Observed>().Any());
    }

    [Fact]
    public async Task A_project_that_Snyk_could_not_test_fails_the_scan()
    {
        var items = await Reports.ReadAsync("snyk", """[{"ok":true,"vulnerabilities":[],"dependencyCount":1},{"ok":false,"error":"Could not detect supported target files","path":"/src"}]""");

        Assert.Equal([null, "Snyk reports an error: Could not detect supported target files"], items.OfType<ReportItem.ScannerSeen>().Select(scan => scan.Failure));
    }

    [Fact]
    public async Task Snyk_knows_a_misconfiguration_by_rule_file_and_the_resources_path_and_shows_its_line_where_it_has_one()
    {
        var items = await Reports.ReadAsync("snyk", Reports.Bytes("snyk-iac.json"));

        Assert.Equal([4, 3, 0], items.OfType<ReportItem.ScannerSeen>().Select(scan => scan.Results));
        Assert.All(items.OfType<ReportItem.ScannerSeen>(), scan => Assert.Equal((null, FindingKind.Config), (scan.Failure, Assert.Single(scan.Kinds ?? []))));
        var observations = items.OfType<ReportItem.Observed>().Select(item => item.Observation).ToList();
        Assert.Equal(
            [
                ("SNYK-CC-TF-1", "network/main.tf", 12, "resource.aws_security_group[allow_ssh].ingress", Severity.Medium),
                ("SNYK-CC-TF-1", "network/main.tf", 31, "resource.aws_security_group[allow_admin].ingress", Severity.Medium),
                ("CUSTOM-7", "network/main.tf", null, "resource.aws_s3_bucket[logs].tags", Severity.Low),
                ("SNYK-CC-K8S-1", "k8s/shop.yaml", 22, "[DocId: 0].input.spec.template.spec.containers[web].securityContext.privileged", Severity.High),
                ("SNYK-CC-K8S-1", "k8s/shop.yaml", 71, "[DocId: 1].input.spec.template.spec.containers[web].securityContext.privileged", Severity.High),
            ],
            observations.Select(o => (o.RuleId, o.Location?.Path, o.Location?.StartLine, o.Resource, o.Severity)));
        Assert.All(observations, observation => Assert.Equal(FindingKind.Config, observation.Kind));
        Assert.Equal(5, observations.Select(observation => KeysOf(observation)[0]).Distinct().Count());
        Assert.Equal("Anybody can reach the port.\n\nServices behind it are open to the world.\n\nSet `cidr_blocks` to the networks that need it.", observations[0].Description);
        Assert.Equal(["https://security.snyk.io/rules/cloud/SNYK-CC-TF-1", "https://cloud.example/vpc/security-groups"], observations[0].References);
        var rejected = items.OfType<ReportItem.Rejected>().ToList();
        Assert.Equal([("/0/infrastructureAsCodeIssues/2", RejectionCodes.NotAProblem), ("/1/infrastructureAsCodeIssues/2", RejectionCodes.Unreadable)], rejected.Select(item => (item.Pointer, item.Code)));
        Assert.Equal(("resource.aws_s3_bucket[logs].server_side_encryption", null), (rejected[0].About?.Resource, rejected[0].About?.Location?.StartLine));
    }

    [Theory]
    [InlineData("""{"msg":"a.b","path":["[DocId: 2]","a","b"]}""", "[DocId: 2].a.b")]
    [InlineData("""{"msg":"a.b","path":["a"]}""", "a.b")]
    [InlineData("""{"path":["Resources[Queue]","Properties",7,"KmsMasterKeyId"]}""", "Resources[Queue].Properties.KmsMasterKeyId")]
    [InlineData("""{"msg":"","path":[]}""", "main.tf")]
    [InlineData("{}", "main.tf")]
    public async Task A_misconfigured_resource_has_the_name_Snyk_gives_it_or_its_file_s(string place, string resource)
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("snyk", $$"""
            {"ok":false,"targetFile":"main.tf","infrastructureAsCodeIssues":[{"publicId":"R-1","severity":"critical",{{place.TrimStart('{')}}]}
            """.Replace(",}", "}", StringComparison.Ordinal)));

        Assert.Equal(("R-1", "R-1", resource, Severity.Critical), (observation.RuleId, observation.Title, observation.Resource, observation.Severity));
    }

    [Fact]
    public async Task A_file_of_infrastructure_that_Snyk_could_not_test_fails_the_scan_and_says_nothing_of_packages()
    {
        var items = await Reports.ReadAsync("snyk", """
            [{"ok":false,"code":1010,"error":"Failed to parse Terraform file","path":"broken.tf"},{"ok":true,"targetFile":"main.tf","vulnerabilities":[],"infrastructureAsCodeIssues":[]}]
            """);

        Assert.Equal([("Snyk reports an error: Failed to parse Terraform file", 1), (null, 1)], items.OfType<ReportItem.ScannerSeen>().Select(scan => (scan.Failure, scan.Kinds?.Count)));
        Assert.All(items.OfType<ReportItem.ScannerSeen>(), scan => Assert.Equal([FindingKind.Config], scan.Kinds));
    }

    [Fact]
    public async Task Osv_aliases_and_groups_are_identifiers_and_a_group_scores_where_its_records_do_not()
    {
        var observations = await Reports.ObservationsAsync("osv-scanner", Reports.Bytes("osv-shop-api.json"));

        Assert.Equal(["BIT-GOLANG-2023-39325", "CVE-2023-39325", "GHSA-4374-P667-P6C8", "GO-2023-2102"], observations[1].Identifiers.Select(id => id.Value).Order(StringComparer.Ordinal));
        Assert.Equal(
            [(Severity.High, "HIGH"), (Severity.High, "max_severity 7.5"), (Severity.Unknown, null), (Severity.Medium, "max_severity 4.0"), (Severity.Unknown, null)],
            observations.Select(o => (o.Severity, o.RawSeverity)));
        Assert.Equal(["0.17.0"], observations[0].Component?.FixedVersions);
        Assert.Equal(["pkg:golang/golang.org/x/net", "pkg:golang/golang.org/x/net", "pkg:npm/%40shop/left", null, "pkg:deb/debian/openssl"], observations.Select(o => o.Component?.PurlWithoutVersion));
        Assert.Equal(("registry.example/shop/api", null), (observations[4].ImageRepository, observations[4].Manifest));
    }

    [Fact]
    public async Task Nuclei_matchers_are_rules_of_their_own_and_ids_in_addresses_are_replaced()
    {
        var observations = await Reports.ObservationsAsync("nuclei", Reports.Bytes("nuclei-shop.jsonl"));

        Assert.Equal(["CVE-2021-44228", "tech-detect:nginx", "tech-detect:express", "exposed-env-file", "openssh-detect:banner"], observations.Select(o => o.RuleId));
        Assert.Equal(["/0", "/1", "/2", "/3", "/4"], observations.Select(o => o.Pointer));
        Assert.Equal(("shop.example", "/orders/{id}"), (observations[0].Web?.Host, observations[0].Web?.PathTemplate));
        Assert.Equal("shop.example:22", observations[4].Web?.Host);
        Assert.Equal(["https://a.example/env", "https://b.example/env"], observations[3].References);
        Assert.Equal("CVE-2021-44228", Assert.Single(observations[0].Identifiers).Value);
    }

    [Theory]
    [InlineData("{0}", "")]
    [InlineData("{0}\n", "")]
    [InlineData("[{0}]", "/0")]
    [InlineData("{0}\r\n\r\n{0}", "/0")]
    public async Task A_nuclei_result_may_stand_alone_in_an_array_or_on_a_line(string form, string pointer)
    {
        var report = form.Replace("{0}", """{"template-id":"t","info":{"name":"n","severity":"low"},"matched-at":"https://shop.example/a"}""", StringComparison.Ordinal);

        var observations = await Reports.ObservationsAsync("nuclei", report);

        Assert.Equal(pointer, observations[0].Pointer);
    }

    [Theory]
    [InlineData("[{\"template-id\":\"t\"}]\n{\"template-id\":\"u\"}", ReportFormatException.Malformed)]
    [InlineData("{\"template-id\":\"t\"}\n{\"template-id\":", ReportFormatException.Truncated)]
    [InlineData("{\"template-id\":\"t\"}\n{\"template-id\":,}", ReportFormatException.Malformed)]
    [InlineData("\n\n", ReportFormatException.Empty)]
    [InlineData("null", ReportFormatException.Foreign)]
    public async Task Lines_that_are_broken_are_refused(string report, string code) =>
        Assert.Equal(code, (await Reports.RefusedAsync("nuclei", report)).Code);

    [Fact]
    public async Task Cyclonedx_analysis_decides_what_is_no_problem_and_its_words_are_the_reason()
    {
        var items = await Reports.ReadAsync("cyclonedx", Reports.Bytes("cyclonedx-shop-api.json"));

        Assert.Equal(
            [
                ("/vulnerabilities/0/affects/3", "All versions named are unaffected."),
                ("/vulnerabilities/1/affects/0", "Stated as not_affected (code_not_reachable): HTTP/2 ends at the proxy."),
                ("/vulnerabilities/1/affects/1", "Stated as not_affected (code_not_reachable): HTTP/2 ends at the proxy."),
                ("/vulnerabilities/3/affects/0", "Stated as resolved_with_pedigree."),
                ("/vulnerabilities/4", "Stated as false_positive."),
                ("/vulnerabilities/6/affects/0", "id is missing."),
                ("/vulnerabilities/7/affects/0", "ref is missing."),
            ],
            items.OfType<ReportItem.Rejected>().Select(item => (item.Pointer, item.Reason)));
        Assert.Equal(["CVE-2024-37890", "CVE-2024-37890", "CVE-2024-37890", "CVE-2024-29041", "CVE-2024-0727"], items.OfType<ReportItem.Observed>().Select(item => item.Observation.RuleId));
    }

    [Fact]
    public async Task Cyclonedx_components_are_found_by_reference_by_link_and_by_package_url()
    {
        var observations = await Reports.ObservationsAsync("cyclonedx", Reports.Bytes("cyclonedx-shop-api.json"));

        Assert.Equal(
            [("ws", "8.16.0", "pkg:npm/ws"), ("@shop/ws-inner", "0.1.0", null), ("isomorphic-ws", "5.0.0", "pkg:npm/isomorphic-ws"), ("express", "4.18.2", "pkg:npm/express"), (null, null, null)],
            observations.Select(o => (o.Component?.Name, o.Component?.Version, o.Component?.PurlWithoutVersion)));
        Assert.Equal(("high", Severity.High), (observations[0].RawSeverity, observations[0].Severity));
        Assert.Equal(["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"], observations[0].Cvss.Select(cvss => cvss.Vector));
        Assert.All(observations, observation => Assert.Equal("registry.example/shop/api", observation.ImageRepository));
        Assert.Equal("app/package-lock.json", observations[3].Manifest);
    }

    [Fact]
    public async Task A_BOM_that_is_only_an_inventory_is_no_scan()
    {
        var scan = await ScannerAsync("cyclonedx", """{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":"a","bom-ref":"a"}]}""");

        Assert.Equal("The BOM has no list of vulnerabilities: it is an inventory, not a scan.", scan.Failure);
    }

    [Fact]
    public async Task An_OpenVEX_statement_is_a_result_for_each_product_or_subcomponent()
    {
        var items = await Reports.ReadAsync("openvex", Reports.Bytes("openvex-shop-api.json"));

        Assert.Equal(
            [
                ("/statements/0/products/0/subcomponents/0", "pkg:golang/golang.org/x/net", "pkg:oci/shop-api"),
                ("/statements/0/products/0/subcomponents/1", "pkg:deb/debian/nghttp2", "pkg:oci/shop-api"),
                ("/statements/0/products/1", "pkg:oci/shop-worker", null),
                ("/statements/2/products/0", null, null),
                ("/statements/4", null, null),
            ],
            items.OfType<ReportItem.Observed>().Select(item => (item.Observation.Pointer, item.Observation.Component?.PurlWithoutVersion, item.Observation.Manifest)));
        Assert.Equal(
            [
                "The subcomponent has neither an @id nor a purl.",
                "Stated as not_affected (vulnerable_code_not_in_execute_path): PKCS12 files are not read.",
                "Stated as not_affected (vulnerable_code_not_in_execute_path): PKCS12 files are not read.",
                "Stated as fixed.",
                "The product has neither an @id nor a purl.",
                "The product has neither an @id nor a purl.",
                "status is none of affected, under_investigation, not_affected, fixed.",
            ],
            items.OfType<ReportItem.Rejected>().Select(item => item.Reason));
    }

    [Fact]
    public async Task Zap_places_that_differ_only_in_ids_are_one_finding()
    {
        var observations = await Reports.ObservationsAsync("zap", Reports.Bytes("zap-shop.json"));

        Assert.Equal(KeysOf(observations[0])[0], KeysOf(observations[1])[0]);
        Assert.Equal(4, observations.Select(o => KeysOf(o)[0]).Distinct().Count());
        Assert.Equal(("40018", "GET", "shop.example", "/orders/{id}/items", "sort"),
            (observations[0].RuleId, observations[0].Web?.Method, observations[0].Web?.Host, observations[0].Web?.PathTemplate, observations[0].Web?.Parameter));
        Assert.Equal(["https://cheatsheets.example/sql", "https://owasp.example/sqli"], observations[0].References);
    }

    [Theory]
    [InlineData("sarif", """{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"versionControlProvenance":[{"repositoryUri":"https://git.example/shop/api","revisionId":"3f6d1b0c","branch":"main"}],"results":[]}]}""")]
    [InlineData("trivy", """{"SchemaVersion":2,"ArtifactName":"https://git.example/shop/api","ArtifactType":"repository","Metadata":{"RepoURL":"https://git.example/shop/api","Branch":"main","Commit":"3f6d1b0c"},"Results":[]}""")]
    public async Task A_scan_says_which_commit_of_which_repository_was_scanned(string format, string report)
    {
        var scan = await ScannerAsync(format, report);

        Assert.Equal(("https://git.example/shop/api", "3f6d1b0c"), (scan.Repository, scan.Commit));
    }

    [Fact]
    public async Task Of_several_repositories_in_one_run_none_is_named()
    {
        var scan = await ScannerAsync("sarif", """
            {"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"versionControlProvenance":[{"repositoryUri":"https://a.example"},{"repositoryUri":"https://b.example"}],"results":[]}]}
            """);

        Assert.Equal((null, null), (scan.Repository, scan.Commit));
    }

    [Theory]
    [InlineData("npm-audit", """{"advisories":{"1":{},"\u0031":{}},"metadata":{}}""", "/advisories/1")]
    [InlineData("cyclonedx", """{"bomFormat":"CycloneDX","vulnerabilities":[],"vulnerabilities":[]}""", "/vulnerabilities")]
    public async Task A_name_that_occurs_twice_where_results_stand_is_refused(string format, string report, string pointer)
    {
        var refused = await Reports.RefusedAsync(format, report);

        Assert.Equal((ReportFormatException.DuplicateKey, pointer), (refused.Code, refused.Pointer));
    }

    [Theory]
    [InlineData("cyclonedx", """{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"a","affects":[#]}]}""", "/vulnerabilities/0")]
    [InlineData("openvex", """{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{"products":[{"subcomponents":[#]}]}]}""", "/statements/0")]
    [InlineData("npm-audit", """{"auditReportVersion":2,"vulnerabilities":{"a/b":{"via":[#]}}}""", "/vulnerabilities/a~1b")]
    [InlineData("zap", """{"@version":"2","site":[{"alerts":[{"instances":[#]}]}]}""", "/site/0/alerts/0")]
    public async Task More_results_in_one_element_than_a_report_may_have_are_refused_before_any_is_read(string format, string report, string pointer)
    {
        var many = report.Replace("#", string.Join(',', Enumerable.Repeat("0", 1_001)), StringComparison.Ordinal);

        var refused = await Reports.RefusedAsync(format, many, Reports.Context with { MaxElements = 1_000 });

        Assert.Equal((ReportFormatException.TooMany, pointer), (refused.Code, refused.Pointer));
    }

    [Fact]
    public async Task Of_an_array_that_occurs_twice_in_a_result_the_last_one_counts()
    {
        var items = await Reports.ReadAsync("cyclonedx", """
            {"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-2024-1000","affects":[{"ref":"pkg:npm/a@1"},{"ref":"pkg:npm/b@1"}],"\u0061ffects":[{"ref":"pkg:npm/c@1"}]}]}
            """);

        Assert.Equal("c", Assert.IsType<ReportItem.Observed>(Assert.Single(items.Skip(1))).Observation.Component?.Name);
        Assert.Equal(1, Assert.IsType<ReportItem.ScannerSeen>(items[0]).Results);
    }

    [Fact]
    public async Task A_hundred_thousand_nested_components_are_refused_as_too_deep()
    {
        var nested = string.Concat(Enumerable.Repeat("{\"components\":[", 100_000));

        var refused = await Reports.RefusedAsync("cyclonedx", $$"""{"bomFormat":"CycloneDX","vulnerabilities":[],"components":[{{nested}}""");

        Assert.Equal(ReportFormatException.TooDeep, refused.Code);
    }

    static async Task<ReportItem.ScannerSeen> ScannerAsync(string format, string report) =>
        Assert.Single((await Reports.ReadAsync(format, Encoding.UTF8.GetBytes(report))).OfType<ReportItem.ScannerSeen>());

    static List<Sha256Digest> KeysOf(RawObservation observation) => [.. DedupKeys.KeysOf(observation, SourceRules.Default("any")).Select(key => key.Hash)];
}

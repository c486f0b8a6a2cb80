using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class SarifTests
{
    [Fact]
    public async Task Rules_may_follow_the_results_and_be_named_by_index_alone()
    {
        const string json = """
            {"version":"2.1.0","runs":[{"results":[{"ruleIndex":1,"message":{"id":"default","arguments":["ptr"]},"locations":[{"physicalLocation":{"artifactLocation":{"index":0}}}]}],
             "artifacts":[{"location":{"uri":"src/a%20b.c"}}],
             "tool":{"driver":{"name":"lint","rules":[{"id":"A"},{"id":"B","name":"UseAfterFree","messageStrings":{"default":{"text":"'{0}' is used after free."}},"defaultConfiguration":{"level":"error"}}]}}}]}
            """;

        var observation = Assert.Single(await Reports.ObservationsAsync("sarif", json));

        Assert.Equal(("B", "UseAfterFree", "'ptr' is used after free."), (observation.RuleId, observation.Title, observation.Description));
        Assert.Equal(("src/a b.c", Severity.High), (observation.Location?.Path, observation.Severity));
    }

    [Fact]
    public async Task Every_run_is_a_scan_of_its_own_even_without_results_before_it()
    {
        const string json = """
            {"version":"2.1.0","runs":[{"tool":{"driver":{}}},{"tool":{"driver":{"name":"first","semanticVersion":"1.2.3"}},"automationDetails":{"id":"nightly/"},"results":[]},
             {"tool":{"driver":{"name":"second"}},"results":[{"ruleId":"x","message":{"text":"y"}}]}]}
            """;

        var items = await Reports.ReadAsync("sarif", json);

        Assert.Equal(
            [("unnamed", null, null, 0), ("first", "1.2.3", "nightly/", 0), ("second", null, null, 1)],
            items.OfType<ReportItem.ScannerSeen>().Select(scan => (scan.Tool, scan.Version, scan.Category, scan.Results)));
        Assert.Equal("/runs/2/results/0", Assert.Single(items.OfType<ReportItem.Observed>()).Observation.Pointer);
    }

    [Theory]
    [InlineData("\"security-severity\":\"9.8\"", "note", nameof(Severity.Critical))]
    [InlineData("\"security-severity\":7.0", "note", nameof(Severity.High))]
    [InlineData("\"security-severity\":\"0.0\"", "error", nameof(Severity.None))]
    [InlineData("\"security-severity\":\"high\"", "error", nameof(Severity.High))]
    [InlineData("\"precision\":\"high\"", "note", nameof(Severity.Low))]
    public async Task Security_severity_decides_over_the_level(string property, string level, string severity)
    {
        var rule = $$"""{"id":"r","properties":{ {{property}} },"defaultConfiguration":{"level":"{{level}}"} }""";

        var observation = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif("lint", rule, """{"ruleId":"r","message":{"text":"m"}}""")));

        Assert.Equal(severity, observation.Severity.ToString());
    }

    [Theory]
    [InlineData("""{"ruleId":"r","kind":"pass","message":{"text":"m"}}""", RejectionCodes.NotAProblem)]
    [InlineData("""{"ruleId":"r","kind":"notApplicable","message":{"text":"m"}}""", RejectionCodes.NotAProblem)]
    [InlineData("""{"ruleId":"r","baselineState":"absent","message":{"text":"m"}}""", RejectionCodes.Absent)]
    [InlineData("[]", RejectionCodes.Unreadable)]
    public async Task What_is_no_problem_now_is_rejected_with_its_reason(string result, string code)
    {
        var items = await Reports.ReadAsync("sarif", Reports.Sarif("lint", "", result));

        Assert.Equal(code, Assert.Single(items.OfType<ReportItem.Rejected>()).Code);
    }

    [Theory]
    [InlineData("""[{"kind":"inSource","justification":"test code"}]""", "inSource: test code")]
    [InlineData("""[{"kind":"external","status":"accepted"}]""", "external: ")]
    [InlineData("""[{"kind":"external","status":"underReview"}]""", null)]
    [InlineData("""[{"kind":"inSource"},{"kind":"external","status":"rejected"}]""", null)]
    [InlineData("[]", null)]
    public async Task A_suppressed_result_is_observed_with_the_reason(string suppressions, string? reason)
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif("lint", "", $$"""{"ruleId":"r","message":{"text":"m"},"suppressions":{{suppressions}} }""")));

        Assert.Equal(reason, observation.SuppressedInSource is { } suppression ? $"{suppression.Kind}: {suppression.Justification}" : null);
    }

    [Theory]
    [InlineData("""{"fingerprints":{"matchBasedId/v1":"requires login"}}""", "")]
    [InlineData("""{"fingerprints":{"id/v1":"a","id/v2":"b"}}""", "id/v2=b id/v1=a")]
    [InlineData("""{"partialFingerprints":{"primaryLocationLineHash":"ab:1","primaryLocationStartColumnFingerprint":"4"}}""", "primaryLocationLineHash=ab:1")]
    [InlineData("""{"partialFingerprints":{"commitSha":"ab","email":"a@b.example"}}""", "")]
    [InlineData("""{"partialFingerprints":{"two":"2","one":"1"},"fingerprints":{"full":"f"}}""", "full=f partial(one,two)=1:1|1:2")]
    [InlineData("""{"correlationGuid":"7c1d","fingerprints":{"full":5,"other":null}}""", "correlationGuid=7c1d full=5")]
    public async Task Fingerprints_come_best_first_and_what_is_none_is_left_out(string fields, string expected)
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif("lint", "", $$"""{"ruleId":"r",{{fields[1..]}}""")));

        Assert.Equal(expected, string.Join(' ', observation.Fingerprints.Select(fingerprint => $"{fingerprint.Algorithm}={fingerprint.Value}")));
    }

    [Theory]
    [InlineData("gitleaks", "x", "", nameof(FindingKind.Secret))]
    [InlineData("Trivy", "CVE-2024-1000", "", nameof(FindingKind.Sca))]
    [InlineData("Grype", "GHSA-jfh8-c2jp-5v3q-log4j-core", "", nameof(FindingKind.Sca))]
    [InlineData("Trivy", "DS002", "\"misconfiguration\"", nameof(FindingKind.Config))]
    [InlineData("Checkov", "CKV_AWS_1", "", nameof(FindingKind.Config))]
    [InlineData("CodeQL", "js/xss", "\"security\"", nameof(FindingKind.Sast))]
    public async Task The_kind_follows_from_tool_tags_and_rule(string tool, string rule, string tags, string kind)
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif(
            tool, $$"""{"id":"{{rule}}","properties":{"tags":[{{tags}}]} }""", $$"""{"ruleId":"{{rule}}","message":{"text":"m"} }""")));

        Assert.Equal(kind, observation.Kind.ToString());
    }

    [Fact]
    public async Task CWEs_come_from_tags_properties_and_taxa()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif(
            "lint",
            """{"id":"r","properties":{"tags":["external/cwe/cwe-079","CWE-80: Basic XSS","security"]},"relationships":[{"target":{"id":"83","toolComponent":{"name":"CWE"}}},{"target":{"id":"A03","toolComponent":{"name":"OWASP"}}}]}""",
            """{"ruleId":"r","message":{"text":"m"},"properties":{"cwe":"CWE-81: another"},"taxa":[{"id":"CWE-82","toolComponent":{"name":"cwe"}}]}""")));

        Assert.Equal([79, 80, 81, 82, 83], observation.Cwes);
    }

    [Theory]
    [InlineData("file:///src/app.py", "/src/app.py")]
    [InlineData("file://///src/app.py", "/src/app.py")]
    [InlineData("./src/App.py", "src/App.py")]
    [InlineData("src\\\\win\\\\a.cs", "src/win/a.cs")]
    [InlineData("file:///C:/code/a%2Bb.c", "/C:/code/a+b.c")]
    public async Task A_file_is_named_by_one_spelling(string uri, string path)
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif(
            "lint", "", $$"""{"ruleId":"r","locations":[{"physicalLocation":{"artifactLocation":{"uri":"{{uri}}"} } }]}""")));

        Assert.Equal(path, observation.Location?.Path);
    }
}

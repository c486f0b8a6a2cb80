using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>Members of the normalized schema that are not what they should be, severities nobody knows, and what is kept besides.</summary>
public sealed class ShapeTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [InlineData("""{"location":"src/a.py:10"}""", "/location", "an object")]
    [InlineData("""{"location":{"path":"a.py","startLine":"10"}}""", "/location/startLine", "an integer")]
    [InlineData("""{"severity":9.8}""", "/severity", "a string")]
    [InlineData("""{"severity":["high"]}""", "/severity", "a string")]
    [InlineData("""{"identifiers":"CVE-2024-1000"}""", "/identifiers", "an array of strings")]
    [InlineData("""{"identifiers":["CVE-2024-1000",7]}""", "/identifiers/1", "a string")]
    [InlineData("""{"cvss":[{"vector":"AV:N","score":"9.8"}]}""", "/cvss/0/score", "a number")]
    [InlineData("""{"cwes":[true]}""", "/cwes/0", "a string or an integer")]
    [InlineData("""{"component":{"name":"a","version":1}}""", "/component/version", "a string")]
    [InlineData("""{"web":"https://shop.example"}""", "/web", "an object")]
    [InlineData("""{"secret":"abcd"}""", "/secret", "an object")]
    [InlineData("""{"fingerprints":{"a":1}}""", "/fingerprints", "an object of strings")]
    [InlineData("""{"environments":"prod"}""", "/environments", "an array of strings")]
    public async Task A_member_of_another_type_is_rejected_with_its_pointer_and_what_it_must_be(string member, string pointer, string expected)
    {
        using var client = await host.OperatorAsync("shape-types");
        var report = Reports.Generic($$"""{"id":"1","kind":"sast","rule":"r","title":"t",{{member[1..]}}""", """{"id":"2","kind":"sast","rule":"r","title":"t","severity":"high"}""");

        var result = await client.ImportAsync("generic", "shop-api", Encoding.UTF8.GetBytes(report), "&scope=complete");

        Assert.Equal((2L, 1L), (result.Observations, result.Rejected));
        var rejection = Assert.Single(result.Rejections);
        Assert.Equal(($"/findings/0{pointer}", "result.unreadable", $"{pointer[1..]} must be {expected}."), (rejection.Pointer, rejection.Code, rejection.Reason));
        Assert.NotNull(Assert.Single(result.Scans).ClosesNothing);
    }

    [Fact]
    public async Task A_null_counts_as_missing()
    {
        using var client = await host.OperatorAsync("shape-null");

        var result = await client.ImportAsync("generic", "shop-api", Encoding.UTF8.GetBytes(Reports.Generic(
            """{"id":"1","kind":"sast","rule":"r","title":"t","severity":"high","location":null,"cwes":null,"component":{"name":null},"fingerprints":{"a":null}}""")));

        Assert.Equal((1L, 0L), (result.New, result.Rejected));
    }

    [Fact]
    public async Task Severities_are_trimmed_and_those_that_nobody_knows_are_said()
    {
        using var client = await host.OperatorAsync("shape-severity");
        string[] words = ["HIGH ", "Severe", "blocker", " severe", "unheard of"];

        var result = await client.ImportAsync("generic", "shop-api", Encoding.UTF8.GetBytes(Reports.Generic([.. words.Select((word, i) =>
            $$"""{"id":"{{i}}","kind":"sast","rule":"r","title":"{{word}}","severity":"{{word}}","location":{"path":"p{{i}}"} }""")])));

        Assert.Equal(
            ["/findings/1 Severe 2", "/findings/2 blocker 1", "/findings/4 unheard of 1"],
            (result.Warnings ?? []).OrderBy(warning => warning.Pointer, StringComparer.Ordinal).Select(warning => $"{warning.Pointer} {warning.Value} {warning.Count}"));
        Assert.All(result.Warnings ?? [], warning => Assert.Equal("severity.unmapped", warning.Code));
        Assert.Equal(Severity.High, (await client.FindingsAsync()).Items.Single(finding => finding.Title == "HIGH").Severity);
    }

    [Theory]
    [InlineData("trivy", "trivy-shop-api.json", "\"Severity\": \"HIGH\"")]
    [InlineData("semgrep", "semgrep-shop-api.json", "\"severity\": \"ERROR\"")]
    public async Task A_scanners_own_unknown_severity_is_said_too(string format, string file, string severity)
    {
        using var client = await host.OperatorAsync($"shape-{format}");
        var text = Encoding.UTF8.GetString(Reports.Bytes(file));
        Assert.Contains(severity, text, StringComparison.Ordinal);

        var known = await client.ImportAsync(format, "known", Encoding.UTF8.GetBytes(text));
        var unknown = await client.ImportAsync(format, "unknown", Encoding.UTF8.GetBytes(text.Replace(severity, severity[..(severity.LastIndexOf('"', severity.Length - 2) + 1)] + "Dire\"", StringComparison.Ordinal)));

        Assert.Empty(known.Warnings ?? []);
        Assert.Equal("Dire", Assert.Single(unknown.Warnings ?? []).Value);
    }

    [Fact]
    public async Task At_most_a_hundred_warnings_are_listed()
    {
        using var client = await host.OperatorAsync("shape-bounded");

        var result = await client.ImportAsync("generic", "shop-api", Encoding.UTF8.GetBytes(Reports.Generic([.. Enumerable.Range(0, 150).Select(i =>
            $$"""{"id":"{{i}}","kind":"sast","rule":"r","title":"t","severity":"word {{i}}"}""")])));

        Assert.Equal(100, result.Warnings?.Count);
    }

    [Fact]
    public async Task Fields_that_the_schema_does_not_know_are_shown_as_they_were_sent()
    {
        using var client = await host.OperatorAsync("shape-extra");
        await client.ImportAsync("generic", "shop-api", Encoding.UTF8.GetBytes(Reports.Generic(
            """{"id":"1","kind":"sast","rule":"r","title":"t","severity":"high","cost":{"eur":12},"location":{"path":"a","owner":"team-7"}}""")));

        var detail = await client.FindingAsync(Assert.Single((await client.FindingsAsync()).Items).Id);

        Assert.Equal("""{"cost":{"eur":12},"location":{"owner":"team-7"}}""", JsonSerializer.Serialize(detail.Extra));
    }

    [Fact]
    public async Task What_its_own_tool_set_aside_is_shown_with_the_reason_and_stays_open_at_the_gate()
    {
        using var client = await host.OperatorAsync("shape-suppressed");
        await client.ImportAsync("sarif", "shop-api", Encoding.UTF8.GetBytes(Reports.Sarif("lint", """{"id":"r","properties":{"security-severity":"9.8"}}""",
            """{"ruleId":"r","message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.cs"}}}],"suppressions":[{"kind":"inSource","justification":"only in tests"}]}""")));

        var detail = await client.FindingAsync(Assert.Single((await client.FindingsAsync()).Items).Id);

        Assert.Equal(new SourceSuppression("inSource", "only in tests"), detail.SuppressedInSource);
        Assert.Equal((FindingStatus.Open, null, true), (detail.Finding.Status, detail.Finding.Suppression, detail.Finding.Gate));
    }
}

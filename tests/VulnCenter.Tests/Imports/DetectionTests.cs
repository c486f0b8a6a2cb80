using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class DetectionTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [MemberData(nameof(Reports.Fixtures), MemberType = typeof(Reports))]
    public async Task A_report_is_recognised_by_its_own_format_alone(string format, string file)
    {
        var detected = await DetectAsync(Reports.Bytes(file));

        Assert.Equal([format], detected.Candidates.Select(candidate => candidate.Name));
    }

    [Theory]
    [MemberData(nameof(Reports.Fixtures), MemberType = typeof(Reports))]
    public async Task A_report_is_recognised_with_a_byte_order_mark_and_when_it_arrives_byte_by_byte(string format, string file)
    {
        using var dripped = new DripStream([0xEF, 0xBB, 0xBF, .. Reports.Bytes(file)]);

        var detected = await ReportFormats.DetectAsync(dripped, Reports.Context, TestContext.Current.CancellationToken);

        Assert.Equal(format, detected.Format?.Name);
    }

    [Fact]
    public async Task The_telling_names_may_come_after_megabytes_of_others()
    {
        var filler = string.Join(',', Enumerable.Range(0, 20_000).Select(i => $"{{\"id\":{i},\"text\":\"{new string('x', 400)}\"}}"));
        var report = $$"""{"ignoredMatches":[{{filler}}],"matches":[],"descriptor":{"name":"grype"} }""";

        var detected = await DetectAsync(Encoding.UTF8.GetBytes(report));

        Assert.Equal("grype", detected.Format?.Name);
    }

    [Theory]
    [InlineData("""[{"ok":false,"code":1010,"error":"Failed to parse Terraform file","path":"broken.tf"},{"ok":true,"targetFile":"main.tf","infrastructureAsCodeIssues":[]}]""")]
    [InlineData("""{"ok":false,"error":"Could not find any valid infrastructure as code files","path":"/src"}""")]
    [InlineData("""{"ok":true,"targetFile":"main.tf","infrastructureAsCodeIssues":[]}""")]
    public async Task A_report_of_Snyk_is_recognised_by_the_first_file_though_that_could_not_be_tested_and_without_a_list_of_vulnerabilities(string report)
    {
        var detected = await DetectAsync(Encoding.UTF8.GetBytes(report));

        Assert.Equal("snyk", detected.Format?.Name);
    }

    [Fact]
    public async Task What_two_formats_recognise_is_neither()
    {
        var detected = await DetectAsync("""{"version":"2.1.0","runs":[],"matches":[],"descriptor":{"name":"grype"}}"""u8.ToArray());

        Assert.Equal(["grype", "sarif"], detected.Candidates.Select(candidate => candidate.Name).Order(StringComparer.Ordinal));
        Assert.Null(detected.Format);
    }

    [Theory]
    [InlineData("{}", "a JSON object without members")]
    [InlineData("[]", "an empty JSON array")]
    [InlineData(" [ ]\n", "an empty JSON array")]
    [InlineData("[null, 1]", "a JSON array without objects")]
    [InlineData("[[{\"a\":1}]]", "a JSON array without objects")]
    [InlineData(" {\"findings\":[{\"title\":\"x\"}],\"when\":1}", "a JSON object with findings, when")]
    [InlineData("[null,{\"a\":1,\"b\":null},{\"c\":1}]", "a JSON array of objects with a, b")]
    [InlineData("{\"a\":1}\n{\"b\":1}", "JSON Lines, the first with a")]
    [InlineData("<?xml version=\"1.0\"?><!DOCTYPE x SYSTEM \"file:///etc/passwd\"><r xmlns=\"urn:x\"/>", "XML with the root element r in urn:x")]
    [InlineData("<html", "XML without a root element that could be read")]
    [InlineData("Plugin,Host\r\n1,a", "text that begins 'Plugin,Host'")]
    [InlineData("null", "text that begins 'null'")]
    public async Task What_no_format_recognises_is_described(string report, string description)
    {
        var detected = await DetectAsync(Encoding.UTF8.GetBytes(report));

        Assert.Empty(detected.Candidates);
        Assert.Equal(description, detected.Peek.Description);
    }

    [Theory]
    [InlineData("{\"a\":", ReportFormatException.Truncated)]
    [InlineData("{\"a\":,}", ReportFormatException.Malformed)]
    [InlineData(" ", ReportFormatException.Empty)]
    [InlineData("{\"a\":1}}", ReportFormatException.Malformed)]
    public async Task What_is_broken_besides_is_refused_as_broken(string report, string code)
    {
        var refused = await Assert.ThrowsAsync<ReportFormatException>(() => DetectAsync(Encoding.UTF8.GetBytes(report)));

        Assert.Equal(code, refused.Code);
    }

    [Theory]
    [InlineData('[', ']')]
    [InlineData('{', '}')]
    public async Task Nesting_of_a_hundred_thousand_levels_is_refused_as_such(char open, char close)
    {
        var nested = string.Concat(Enumerable.Repeat(open == '{' ? "{\"a\":" : "[", 100_000)) + "1" + new string(close, 100_000);

        var refused = await Assert.ThrowsAsync<ReportFormatException>(() => DetectAsync(Encoding.UTF8.GetBytes(nested)));

        Assert.Equal(ReportFormatException.TooDeep, refused.Code);
    }

    [Fact]
    public async Task A_hundred_thousand_members_leave_the_description_short()
    {
        var report = $"{{{string.Join(',', Enumerable.Range(0, 100_000).Select(i => $"\"{i}-{new string('n', 90)}\":1"))}}}";

        var detected = await DetectAsync(Encoding.UTF8.GetBytes(report));

        Assert.InRange(detected.Peek.Description.Length, 1_000, 3_000);
    }

    [Theory]
    [InlineData("auto", "&format=auto")]
    [InlineData("capitals", "&format=AUTO")]
    [InlineData("omitted", "")]
    public async Task An_import_says_what_it_saw(string tenant, string format)
    {
        using var client = await host.OperatorAsync(tenant);

        using var answer = await PostAsync(client, format, await File.ReadAllBytesAsync(VulnCenterCalls.Fixture("grype-shop-api.json"), TestContext.Current.CancellationToken));

        var import = await answer.ReadAsync<Import>();
        Assert.Equal(("grype", 9L), (import.Result?.Format, import.Result?.New));
    }

    [Theory]
    [InlineData("""{"findings":[{"title":"x"}]}""", "import.unrecognised-format", "a JSON object with findings, which is none of the formats known: ")]
    [InlineData("[]", "import.unrecognised-format", "an empty JSON array, which several scanners write when they find nothing; say with format= whose it is.")]
    [InlineData("""{"version":"2.1.0","runs":[],"matches":[],"descriptor":{"name":"grype"}}""", "import.ambiguous-format", "grype as well as sarif")]
    [InlineData("""{"findings":[""", "import.report-unreadable", "report.truncated")]
    public async Task What_is_not_recognised_is_refused_with_what_was_seen_and_leaves_nothing(string report, string code, string detail)
    {
        var tenant = $"unrecognised-{code}";
        using var client = await host.OperatorAsync(tenant);

        using var answer = await PostAsync(client, "&format=auto", Encoding.UTF8.GetBytes(report));

        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        Assert.Equal((HttpStatusCode.UnprocessableEntity, code), (answer.StatusCode, problem.GetProperty("code").GetString()));
        Assert.Contains(detail, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal(0L, await host.ScalarAsync<long>("""
            select (select count(*) from vuln_center.scan where tenant = $1) + (select count(*) from vuln_center.import where tenant = $1)
                 + (select count(*) from platform.job where tenant = $1)
            """, tenant));
    }

    private static Task<HttpResponseMessage> PostAsync(HttpClient client, string format, byte[] report) => client.PostAsync(
        new Uri($"/findings/imports?service=shop-api{format}", UriKind.Relative), new ByteArrayContent(report), TestContext.Current.CancellationToken);

    private static Task<DetectedFormat> DetectAsync(byte[] report) =>
        ReportFormats.DetectAsync(new MemoryStream(report), Reports.Context, TestContext.Current.CancellationToken);
}

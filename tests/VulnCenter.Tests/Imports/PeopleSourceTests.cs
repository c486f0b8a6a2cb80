using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using NJsonSchema;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class PeopleSourceTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    public static TheoryData<string> Sources => [.. PeopleSources.All.Select(source => source.Name)];

    [Theory]
    [MemberData(nameof(Sources))]
    public async Task A_template_is_valid_and_every_finding_of_it_is_taken_with_a_severity(string source)
    {
        using var client = await host.OperatorAsync($"template-{source}");
        var template = await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "templates", $"{source}.json"), TestContext.Current.CancellationToken);
        Assert.Empty((await SchemaAsync()).Validate(template));

        using var answer = await PostAsync(client, "", template);

        var import = await answer.ReadAsync<Import>();
        Assert.Equal(("succeeded", 0L), (import.State, import.Result?.Rejected));
        var sent = JsonDocument.Parse(template).RootElement.GetProperty("findings").EnumerateArray().ToList();
        var page = await client.FindingsAsync($"?source={source}");
        Assert.Equal(sent.Select(finding => finding.GetProperty("title").GetString()).Order(StringComparer.Ordinal), page.Items.Select(finding => finding.Title).Order(StringComparer.Ordinal));
        Assert.DoesNotContain(page.Items, finding => finding.Severity == Severity.Unknown);
    }

    [Theory]
    [InlineData("red-team-shop-api.json", "red-team", "medium,info,unknown", 0)]
    [InlineData("bug-bounty-shop-web.json", "bug-bounty", "high,info,critical,unknown", 1)]
    public async Task A_source_reads_severities_in_its_own_words_only(string file, string source, string severities, int rejected)
    {
        var items = await Reports.ReadAsync("generic", Reports.Bytes(file));

        Assert.Equal(severities, string.Join(',', items.OfType<ReportItem.Observed>().Select(item => item.Observation.Severity.ToString().ToLowerInvariant())));
        Assert.Equal(rejected, items.OfType<ReportItem.Rejected>().Count());
        Assert.Equal(source, PeopleSources.Find(Assert.Single(items.OfType<ReportItem.ScannerSeen>()).Tool)?.Name);
    }

    [Fact]
    public async Task The_source_of_the_request_comes_before_the_reports_and_the_formats_after_it()
    {
        var findings = Encoding.UTF8.GetString(Reports.Bytes("audit-shop-api.json"));

        var asNobody = await Reports.ObservationsAsync("generic", findings);
        var asAudit = (await Reports.ReadAsync("generic", findings, Reports.Context with { Source = "audit" })).OfType<ReportItem.Observed>().Select(item => item.Observation);
        var asFormat = await Reports.ReadAsync("audit", findings);

        Assert.Equal([Severity.Unknown, Severity.Unknown, Severity.Unknown], asNobody.Select(o => o.Severity));
        Assert.Equal([Severity.High, Severity.Info, Severity.Low], asAudit.Select(o => o.Severity));
        Assert.Equal([Severity.High, Severity.Info, Severity.Low], asFormat.OfType<ReportItem.Observed>().Select(item => item.Observation.Severity));
        Assert.Equal("audit", Assert.Single(asFormat.OfType<ReportItem.ScannerSeen>()).Tool);
    }

    [Fact]
    public async Task Findings_posted_with_a_source_in_the_address_are_that_sources()
    {
        using var client = await host.OperatorAsync("audit-address");

        using var answer = await PostAsync(client, "?service=shop-api&source=audit", Encoding.UTF8.GetString(Reports.Bytes("audit-shop-api.json")));

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(
            [("A-1", Severity.High), ("A-2", Severity.Info), ("A-3", Severity.Low)],
            (await client.FindingsAsync("?source=audit")).Items.Select(finding => (IdOf(finding), finding.Severity)).OrderBy(finding => finding.Item1, StringComparer.Ordinal));

        static string IdOf(Finding finding) => finding.Title switch { "Logs can be changed" => "A-1", "No record of the review" => "A-2", _ => "A-3" };
    }

    [Theory]
    [MemberData(nameof(Sources))]
    public async Task A_source_shows_its_severities_beside_the_formats(string source)
    {
        using var client = await host.OperatorAsync("people-formats");

        var one = await client.GetFromJsonAsync<JsonElement>($"/findings/formats/{source}", TestContext.Current.CancellationToken);
        var all = await client.GetFromJsonAsync<JsonElement>("/findings/formats", TestContext.Current.CancellationToken);

        Assert.Equal(
            PeopleSources.Find(source)?.Severities.Select(mapping => (mapping.Raw, JsonNamingPolicy.KebabCaseLower.ConvertName(mapping.Severity.ToString()))),
            one.GetProperty("severities").EnumerateArray().Select(mapping => (mapping.GetProperty("raw").GetString() ?? "", mapping.GetProperty("severity").GetString() ?? "")));
        Assert.Contains(all.EnumerateArray(), format => format.GetProperty("name").GetString() == source);
    }

    [Theory]
    [InlineData("red-team-shop-api.json", true)]
    [InlineData("audit-shop-api.json", true)]
    [InlineData("generic-red-team.json", false)]
    [InlineData("bug-bounty-shop-web.json", false)]
    public async Task The_schema_says_what_the_reader_takes(string file, bool isValid)
    {
        var faults = (await SchemaAsync()).Validate(await File.ReadAllTextAsync(VulnCenterCalls.Fixture(file), TestContext.Current.CancellationToken));
        var items = await Reports.ReadAsync("generic", Reports.Bytes(file));

        Assert.Equal(isValid, faults.Count == 0);
        Assert.Equal(isValid, !items.OfType<ReportItem.Rejected>().Any());
    }

    private static Task<JsonSchema> SchemaAsync() =>
        JsonSchema.FromFileAsync(Path.Combine(AppContext.BaseDirectory, "normalized-findings.v1.schema.json"), TestContext.Current.CancellationToken);

    private static Task<HttpResponseMessage> PostAsync(HttpClient client, string query, string findings) =>
        client.PostAsync(new Uri($"/findings{query}", UriKind.Relative), new StringContent(findings, Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken);
}

using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Imports;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>Findings that only their place tells apart: the same rule, file and code.</summary>
public sealed class PlaceTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Service = "shop-api";

    [Fact]
    public async Task A_suppression_stays_on_its_line_when_the_same_code_appears_above_it()
    {
        using var client = await host.OperatorAsync("place-above");
        await client.ImportAsync("semgrep", Service, Semgrep(50), "&scope=complete");
        await SuppressAsync(client, 50);

        var result = await client.ImportAsync("semgrep", Service, Semgrep(10, 50), "&scope=complete");

        Assert.Equal((1L, 1L, 0L), (result.New, result.Matched, result.FindingsFixed));
        Assert.Equal("10 open, 50 open suppressed", await SeenAsync(client));
        await AgainChangesNothingAsync(client, "place-above", Semgrep(10, 50));
    }

    [Fact]
    public async Task A_line_shift_of_the_whole_file_changes_no_finding_for_another()
    {
        using var client = await host.OperatorAsync("place-shift");
        await client.ImportAsync("semgrep", Service, Semgrep(10, 50, 90), "&scope=complete");
        await SuppressAsync(client, 50);

        var result = await client.ImportAsync("semgrep", Service, Semgrep(13, 53, 93), "&scope=complete");

        Assert.Equal((0L, 3L, 0L, 3L), (result.New, result.Matched, result.FindingsFixed, result.FindingsChanged));
        Assert.Equal("13 open, 53 open suppressed, 93 open", await SeenAsync(client));
        await AgainChangesNothingAsync(client, "place-shift", Semgrep(13, 53, 93));
    }

    [Fact]
    public async Task Of_equal_places_the_one_that_is_gone_is_fixed_and_the_others_go_on()
    {
        using var client = await host.OperatorAsync("place-gone");
        await client.ImportAsync("semgrep", Service, Semgrep(10, 50, 90), "&scope=complete");
        await SuppressAsync(client, 10);

        var result = await client.ImportAsync("semgrep", Service, Semgrep(50, 90), "&scope=complete");

        Assert.Equal((0L, 2L, 1L, 0L), (result.New, result.Matched, result.FindingsFixed, result.FindingsChanged));
        Assert.Equal("10 fixed suppressed, 50 open, 90 open", await SeenAsync(client));
        await AgainChangesNothingAsync(client, "place-gone", Semgrep(50, 90));
        var back = await client.ImportAsync("semgrep", Service, Semgrep(10, 50, 90), "&scope=complete");
        Assert.Equal((0L, 1L), (back.New, back.Reopened));
        Assert.Equal("10 open suppressed, 50 open, 90 open", await SeenAsync(client));
    }

    [Fact]
    public async Task What_was_suppressed_is_not_taken_over_by_a_place_that_may_be_another()
    {
        using var client = await host.OperatorAsync("place-unclear");
        await client.ImportAsync("semgrep", Service, Semgrep(50), "&scope=complete");
        await SuppressAsync(client, 50);

        var result = await client.ImportAsync("semgrep", Service, Semgrep(10, 51), "&scope=complete");

        Assert.Equal((2L, 0L, 1L), (result.New, result.Matched, result.FindingsFixed));
        Assert.Equal("10 open, 50 fixed suppressed, 51 open", await SeenAsync(client));
        await AgainChangesNothingAsync(client, "place-unclear", Semgrep(10, 51));
    }

    [Fact]
    public async Task The_order_of_a_report_decides_nothing()
    {
        using var client = await host.OperatorAsync("place-order");
        await client.ImportAsync("semgrep", Service, Semgrep(10, 50, 90), "&scope=complete");
        var state = await host.ScalarAsync<string>(ImportTests.State, "place-order");

        await client.ImportAsync("semgrep", Service, Semgrep(90, 10, 50), "&scope=complete");

        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, "place-order"));
    }

    [Fact]
    public async Task Findings_without_a_readable_place_are_told_apart_by_what_they_say()
    {
        using var client = await host.OperatorAsync("place-none");
        static byte[] Report(params string[] titles) => Encoding.UTF8.GetBytes(
            $$"""{"schemaVersion":"1","source":"audit","findings":[{{string.Join(',', titles.Select(title => $$"""{"kind":"sast","rule":"xss","title":"{{title}}","severity":"high"}"""))}}]}""");
        await client.ImportAsync("generic", Service, Report("in a", "in b"), "&scope=complete");
        var before = (await client.FindingsAsync()).Items.ToDictionary(finding => finding.Title, finding => finding.Id);

        await client.ImportAsync("generic", Service, Report("in b"), "&scope=complete");

        var after = (await client.FindingsAsync()).Items.ToDictionary(finding => finding.Title);
        Assert.Equal((before["in a"], FindingStatus.Fixed), (after["in a"].Id, after["in a"].Status));
        Assert.Equal((before["in b"], FindingStatus.Open), (after["in b"].Id, after["in b"].Status));
    }

    [Fact]
    public async Task Places_that_share_a_fingerprint_keep_their_findings_too()
    {
        const string tenant = "place-prints";
        using var client = await host.OperatorAsync(tenant);
        static byte[] Report(params int[] lines) => Encoding.UTF8.GetBytes(Reports.Sarif("lint", """{"id":"R1"}""", [.. lines.Select(line => string.Create(
            CultureInfo.InvariantCulture,
            $$$"""{"ruleId":"R1","message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.py"},"region":{"startLine":{{{line}}},"snippet":{"text":"eval(x)"} } } }],"partialFingerprints":{"primaryLocationLineHash":"abc"} }"""))]));
        await client.ImportAsync("sarif", Service, Report(50), "&scope=complete");
        await SuppressAsync(client, 50);

        await client.ImportAsync("sarif", Service, Report(10, 50), "&scope=complete");

        Assert.Equal("10 open, 50 open suppressed", await SeenAsync(client));
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        await client.ImportAsync("sarif", Service, Report(10, 50), "&scope=complete");
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
    }

    [Fact]
    public async Task Findings_of_before_numbers_were_kept_are_told_apart_by_their_place_from_the_next_import_on()
    {
        const string tenant = "place-upgrade";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("semgrep", Service, Semgrep(10, 50), "&scope=complete");
        await SuppressAsync(client, 10);
        await host.ScalarAsync<long>("""
            with k as (update vuln_center.finding_key set family = null, number = null where tenant = $1 returning 1),
                 d as (delete from vuln_center.dedup_keyed where tenant = $1 returning 1)
            select count(*) from k, d
            """, tenant);

        var result = await client.ImportAsync("semgrep", Service, Semgrep(50), "&scope=complete");

        Assert.Equal((0L, 1L, 1L), (result.New, result.Matched, result.FindingsFixed));
        Assert.Equal("10 fixed suppressed, 50 open", await SeenAsync(client));
    }

    [Fact]
    public async Task Where_findings_were_told_apart_a_suppression_stays_on_its_line_too()
    {
        const string tenant = "place-apart";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("semgrep", Service, Semgrep(10, 50, 90), "&scope=complete");
        await client.ImportAsync("semgrep", Service, Semgrep(10, 52, 92), "&scope=complete");
        var moved = (await client.FindingsAsync()).Items.Single(finding => finding.Location?.Line == 92);
        await client.UnmergeAsync(moved.Id, identity => identity.Line == 92);
        await client.ImportAsync("semgrep", Service, Semgrep(10, 52, 92), "&scope=complete");
        await SuppressAsync(client, 52);

        var result = await client.ImportAsync("semgrep", Service, Semgrep(5, 10, 52, 92), "&scope=complete");

        Assert.Equal((1L, 3L, 0L), (result.New, result.Matched, result.Reopened));
        Assert.Equal("5 open, 10 open, 52 open suppressed, 90 fixed, 92 open", await SeenAsync(client));
        await AgainChangesNothingAsync(client, tenant, Semgrep(5, 10, 52, 92));
        await client.ImportAsync("semgrep", Service, Semgrep(10, 52), "&scope=complete");
        Assert.Equal("5 fixed, 10 open, 52 open suppressed, 90 fixed, 92 fixed", await SeenAsync(client));
    }

    private async Task AgainChangesNothingAsync(HttpClient client, string tenant, byte[] report)
    {
        var state = await host.ScalarAsync<string>(ImportTests.State, tenant);
        var again = await client.ImportAsync("semgrep", Service, report, "&scope=complete");
        Assert.Equal((0L, 0L, 0L, 0L), (again.New, again.Reopened, again.FindingsChanged, again.FindingsFixed));
        Assert.Equal(state, await host.ScalarAsync<string>(ImportTests.State, tenant));
    }

    private static async Task SuppressAsync(HttpClient client, int line)
    {
        var finding = (await client.FindingsAsync()).Items.Single(finding => finding.Location?.Line == line);
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/findings/{finding.Id}/suppression")
        {
            Content = JsonContent.Create(new { kind = "false-positive", reason = "reviewed", until = DateTimeOffset.UtcNow.AddDays(90) }, options: VulnCenterCalls.Json),
        };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    private static async Task<string> SeenAsync(HttpClient client) => string.Join(", ", (await client.FindingsAsync("?limit=500")).Items
        .OrderBy(finding => finding.Location?.Line)
        .Select(finding => string.Create(CultureInfo.InvariantCulture, $"{finding.Location?.Line} {finding.Status.ToString().ToLowerInvariant()}{(finding.Suppression is null ? "" : " suppressed")}")));

    /// <summary>Without a login: no fingerprint.</summary>
    private static byte[] Semgrep(params int[] lines) => Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture,
        $$"""{"version":"1.0","results":[{{string.Join(',', lines.Select(Result))}}],"errors":[],"paths":{"scanned":[]} }"""));

    private static string Result(int line) => string.Create(
        CultureInfo.InvariantCulture,
        $$"""{"check_id":"py.sqli","path":"a.py","start":{"line":{{line}},"col":1},"end":{"line":{{line}},"col":9},"extra":{"message":"m","severity":"ERROR","lines":"db.execute(q)","metadata":{},"fingerprint":"requires login","is_ignored":false} }""");
}

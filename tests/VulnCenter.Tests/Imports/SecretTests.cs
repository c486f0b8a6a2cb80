using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class SecretTests
{
    const string Token = "fake-live-4f9a0c7b2e1d8356af10";

    [Theory]
    [InlineData("sarif", "gitleaks.sarif", "FAKEFAKEFAKE")]
    [InlineData("sarif", "gitleaks.sarif", "4f9a0c7b")]
    [InlineData("sarif", "gitleaks.sarif", "RkFLRSBL")]
    [InlineData("sarif", "gitleaks.sarif", "dev@shop.example")]
    [InlineData("sarif", "codeql-shop-api.sarif", "pa55-w0rd")]
    [InlineData("generic", "generic-red-team.json", "4f9a0c7b")]
    [InlineData("gitleaks", "gitleaks-v8.json", "AKIAFAKE")]
    [InlineData("gitleaks", "gitleaks-v8.json", "q7RkFake")]
    [InlineData("gitleaks", "gitleaks-v8.json", "nothing-names-a-rule-here")]
    [InlineData("gitleaks", "gitleaks-v8.json", "robin@shop.example")]
    [InlineData("gitleaks", "gitleaks-v7.json", "fake-xoxb")]
    [InlineData("nuclei", "nuclei-shop.jsonl", "fake-nuclei-token")]
    [InlineData("nuclei", "nuclei-shop.jsonl", "fake-autumn")]
    [InlineData("semgrep", "semgrep-shop-api.json", "FAKEkey0099")]
    [InlineData("semgrep", "semgrep-shop-api.json", "winter-shop")]
    [InlineData("semgrep", "semgrep-shop-api.json", "requires login")]
    public async Task Nothing_of_a_secret_beyond_four_characters_is_kept(string format, string file, string part)
    {
        var bytes = Reports.Bytes(file);
        Assert.Contains(part, Encoding.UTF8.GetString(bytes), StringComparison.Ordinal);

        var items = await Reports.ReadAsync(format, bytes);

        Assert.DoesNotContain(part, JsonSerializer.Serialize<IEnumerable<object>>(items), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_secret_is_recognised_by_its_keyed_hash_under_the_same_key_only()
    {
        var report = Reports.Bytes("gitleaks.sarif");
        var other = Reports.Context with { SecretKey = new byte[32] };

        var ours = await HashesAsync(report, Reports.Context);
        var again = await HashesAsync(report, Reports.Context);
        var theirs = await HashesAsync(report, other);

        Assert.Equal(ours, again);
        Assert.Empty(ours.Intersect(theirs));
        Assert.Equal(4, ours.Distinct().Count());
    }

    [Fact]
    public async Task No_plain_hash_of_a_secret_or_of_its_result_is_kept()
    {
        var report = Reports.Bytes("gitleaks.sarif");
        using var document = JsonDocument.Parse(report);
        var results = document.RootElement.GetProperty("runs")[0].GetProperty("results").EnumerateArray().ToList();

        var observations = await Reports.ObservationsAsync("sarif", report);

        foreach (var (observation, result) in observations.Zip(results))
        {
            var secret = result.GetProperty("locations")[0].GetProperty("physicalLocation").GetProperty("region").GetProperty("snippet").GetProperty("text").GetString() ?? "";
            var kept = JsonSerializer.Serialize(new { observation, Hashes = new[] { observation.PayloadHash.ToString(), observation.Secret?.Hash.ToString(), observation.Location?.SnippetHash?.ToString() } });
            Assert.DoesNotContain(Sha256Digest.Of(Encoding.UTF8.GetBytes(secret)).ToString(), kept, StringComparison.Ordinal);
            Assert.DoesNotContain(Sha256Digest.Of(Encoding.UTF8.GetBytes(result.GetRawText())).ToString(), kept, StringComparison.Ordinal);
            Assert.Null(observation.Location?.SnippetHash);
        }
    }

    [Fact]
    public async Task A_hard_coded_credential_that_an_analyser_quotes_is_hashed_with_the_key_and_its_message_dropped()
    {
        var observation = Assert.Single(
            await Reports.ObservationsAsync("sarif", Reports.Bytes("codeql-shop-api.sarif")), o => o.RuleId == "js/hardcoded-credentials");

        Assert.Equal(FindingKind.Sast, observation.Kind);
        Assert.Equal(Sha256Digest.Keyed(Reports.Context.SecretKey.Span, "password: 'pa55-w0rd-shop-dev',"u8), observation.Location?.SnippetHash);
        Assert.Equal("Hard-coded credentials", observation.Title);
    }

    [Fact]
    public async Task Gitleaks_before_8_keeps_the_secret_in_a_property()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("sarif", Reports.Sarif("Gitleaks", "", $$"""
            {"message":{"text":"Token secret detected"},"properties":{"offender":"{{Token}}"},
             "locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.env"},"region":{"startLine":1,"snippet":{"text":"TOKEN={{Token}}"} } } }]}
            """)));

        Assert.Equal(Sha256Digest.Keyed(Reports.Context.SecretKey.Span, Encoding.UTF8.GetBytes(Token)), observation.Secret?.Hash);
        Assert.Equal("fake****", observation.Secret?.Preview);
    }

    [Fact]
    public async Task A_secret_is_blotted_out_of_everything_a_person_wrote_around_it()
    {
        var observation = Assert.Single(await Reports.ObservationsAsync("generic", Reports.Generic($$"""
            {"kind":"secret","rule":"leak","title":"Token {{Token}} leaked","description":"curl -H {{Token}}","references":["https://ci.example/?t={{Token}}"],
             "location":{"path":"a.log","snippet":"x {{Token}}"},"secret":{"match":"{{Token}}"},"note":{"{{Token}}":["again {{Token}}"]} }
            """)));

        Assert.DoesNotContain(Token, JsonSerializer.Serialize(observation), StringComparison.Ordinal);
        Assert.Equal(("Token fake**** leaked", """{"note":{"fake****":["again fake****"]}}"""), (observation.Title, observation.Extra));
    }

    [Theory]
    [InlineData("AKIAFAKEFAKEFAKE1234", "AKIA****")]
    [InlineData("hunter2", "h****")]
    [InlineData("abc", "****")]
    [InlineData("KEY=****************", "****")]
    public void A_preview_shows_at_most_a_quarter(string match, string preview) =>
        Assert.Equal(preview, Secrets.Trace(match, Reports.Context)?.Preview);

    static async Task<List<Sha256Digest?>> HashesAsync(byte[] report, ReportContext context) =>
        [.. (await Reports.ReadAsync("sarif", report, context)).OfType<ReportItem.Observed>().Select(item => item.Observation.Secret?.Hash)];
}

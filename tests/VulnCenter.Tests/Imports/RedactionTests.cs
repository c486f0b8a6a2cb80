using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>What else a result says beside its secret.</summary>
public sealed class RedactionTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Secret = "FAKEQ7ZZSECRET9XYZ12";

    private const string Stored = """
        select string_agg(line, E'\n') from (
          select f::text as line from vuln_center.finding f where tenant = $1 union all select d::text from vuln_center.decision d where tenant = $1
          union all select o::text from vuln_center.observation o where tenant = $1 union all select k::text from vuln_center.finding_key k where tenant = $1
          union all select s::text from vuln_center.scan s where tenant = $1 union all select j::text from platform.job j where tenant = $1
          union all select a::text from platform.audit_leaf a where tenant = $1 union all select t::text from vuln_center.transition t where tenant = $1) stored
        """;

    [Fact]
    public async Task A_secret_in_any_field_of_a_normalized_finding_is_stored_and_shown_nowhere()
    {
        const string tenant = "redact-everywhere";
        using var client = await host.OperatorAsync(tenant);
        using var answer = await client.PostAsJsonAsync("/findings", new
        {
            schemaVersion = "1",
            source = "red-team",
            service = "shop-api",
            findings = new object[]
            {
                new
                {
                    id = "x-" + Secret, kind = "secret", rule = "r-" + Secret, title = "t " + Secret, severity = "high", secret = new { match = Secret }, resource = "res/" + Secret,
                    manifest = "m/" + Secret, location = new { path = $"cfg/{Secret}.txt", snippet = "key=" + Secret, scope = "fn " + Secret },
                    web = new { url = $"https://{Secret}.example/{Secret}?k={Secret}#{Secret}", parameter = Secret, method = "GET" }, environments = new[] { "prod-" + Secret },
                    references = new[] { "https://r.example/" + Secret }, identifiers = new[] { "CVE-2020-1000", "SNYK-" + Secret },
                    component = new { name = "c-" + Secret, purl = $"pkg:npm/c-{Secret.ToLowerInvariant()}@1" }, fingerprints = new Dictionary<string, string> { ["algo"] = Secret },
                    custom = new { a = Secret }, image = "reg/" + Secret.ToLowerInvariant(), description = "d " + Secret, cvss = new[] { new { vector = Secret, origin = Secret } },
                },
                new { kind = "secret", rule = "r", title = "long path", severity = "high", secret = new { match = Secret }, location = new { path = new string('p', 920) + Secret + new string('q', 200) } },
            },
        }, TestContext.Current.CancellationToken);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        Assert.Equal(2L, (await answer.ReadAsync<Import>()).Result?.New);

        foreach (var finding in (await client.FindingsAsync()).Items)
        {
            var shown = await client.GetStringAsync(new Uri($"/findings/{finding.Id}", UriKind.Relative), TestContext.Current.CancellationToken);
            Assert.DoesNotContain(Secret[..8], shown, StringComparison.OrdinalIgnoreCase);
        }

        Assert.DoesNotContain(Secret[..8], await host.ScalarAsync<string>(Stored, tenant), StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("TruffleHog", "[]")]
    [InlineData("detect-secrets", """["secret"]""")]
    [InlineData("gitleaks", "[]")]
    public async Task What_a_secret_scanner_calls_a_fingerprint_is_kept_as_a_keyed_hash(string tool, string tags)
    {
        var tenant = $"redact-{tool.ToLowerInvariant()}";
        using var client = await host.OperatorAsync(tenant);
        var report = Encoding.UTF8.GetBytes(Reports.Sarif(tool, $$"""{"id":"aws-key","shortDescription":{"text":"AWS key"},"properties":{"tags":{{tags}} } }""", $$$"""
            {"ruleId":"aws-key","message":{"text":"Found {{{Secret}}}"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a/{{{Secret}}}.py"},"region":{"startLine":3,"snippet":{"text":"k = '{{{Secret}}}'"} } } }],
             "fingerprints":{"f1":"{{{Secret}}}"},"partialFingerprints":{"other":"{{{Secret}}}","third":"{{{Secret}}}"} }
            """));

        await client.ImportAsync("sarif", "shop-api", report);

        Assert.DoesNotContain(Secret[..8], await host.ScalarAsync<string>(Stored, tenant), StringComparison.OrdinalIgnoreCase);
        var again = await client.ImportAsync("sarif", "shop-api", report);
        Assert.Equal((1L, 0L, 0L), (again.Matched, again.New, again.FindingsChanged));
    }

    [Fact]
    public async Task Ids_that_were_kept_as_they_came_are_no_word_against_the_hashed_ones()
    {
        const string tenant = "redact-upgrade";
        using var client = await host.OperatorAsync(tenant);
        var report = Encoding.UTF8.GetBytes(Reports.Generic($$"""{"id":"RT-1","kind":"secret","rule":"r","title":"t","severity":"high","secret":{"match":"{{Secret}}"},"location":{"path":"a.env"} }"""));
        await client.ImportAsync("generic", "shop-api", report);
        await host.ScalarAsync<long>("""
            with k as (update vuln_center.finding_key set kind = 'fingerprint:id', key = sha256('as it came') where tenant = $1 and kind = 'fingerprint:id/keyed' returning 1) select count(*) from k
            """, tenant);

        var again = await client.ImportAsync("generic", "shop-api", report, "&scope=complete");

        Assert.Equal((1L, 0L, 0L), (again.Matched, again.New, again.FindingsFixed));
    }

    [Theory]
    [InlineData("https://admin:hunter2pw@a.example/x?token=abc&id=1", "https://a.example/x?token=****&id=1")]
    [InlineData("https://a.example/x?X-Amz-Signature=abc&X-Amz-Date=1#access_token=abc", "https://a.example/x?X-Amz-Signature=****&X-Amz-Date=1#access_token=****")]
    [InlineData("https://a.example/x?client_secret=a;apiKey=b&password=c", "https://a.example/x?client_secret=****;apiKey=****&password=****")]
    [InlineData("/x?sig=abc", "/x?sig=****")]
    [InlineData("https://a.example/x?monkey=1&mail=a@b.example", "https://a.example/x?monkey=1&mail=a@b.example")]
    [InlineData("https://a.example/@scope/x", "https://a.example/@scope/x")]
    [InlineData("no address", "no address")]
    public void An_address_is_kept_without_what_opens_it(string url, string kept)
    {
        Assert.Equal(kept, WebPlaces.WithoutCredentials(url));
        Assert.Equal(kept, new WebLocation("GET", null, null, null, url).Url);
        Assert.Equal(kept, new RawObservation { Pointer = "", Offset = 0, PayloadHash = default, Kind = FindingKind.Dast, RuleId = "r", Title = "t", References = [url] }.References[0]);
    }

    [Fact]
    public async Task Credentials_in_an_address_are_neither_shown_nor_part_of_what_a_finding_is_known_by()
    {
        const string tenant = "redact-address";
        using var client = await host.OperatorAsync(tenant);
        static byte[] Zap(string user, string token) => JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
        {
            ["@version"] = "2.14.0",
            ["site"] = new[]
            {
                new Dictionary<string, object>
                {
                    ["@name"] = "https://a.example", ["@host"] = "a.example",
                    ["alerts"] = new[] { new { pluginid = "1", alert = "A", riskcode = "3", confidence = "2", instances = new[] { new { uri = $"https://{user}@a.example/x?token={token}", method = "GET", param = "id" } } } },
                },
            },
        });
        await client.ImportAsync("zap", "shop-web", Zap("admin:hunter2pw", "SECRETTOK"));

        var again = await client.ImportAsync("zap", "shop-web", Zap("robot:hunter3pw", "SECRETTOO"));

        Assert.Equal((1L, 0L, 0L), (again.Matched, again.New, again.FindingsChanged));
        Assert.Equal("https://a.example/x?token=****", Assert.Single((await client.FindingsAsync()).Items).Location?.Url);
        var stored = await host.ScalarAsync<string>(Stored, tenant);
        Assert.All(["hunter2pw", "hunter3pw", "SECRETTO"], part => Assert.DoesNotContain(part, stored, StringComparison.Ordinal));
    }
}

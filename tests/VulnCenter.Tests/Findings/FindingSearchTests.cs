using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class FindingSearchTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [InlineData("CVE-2021-44228")]
    [InlineData("cve-2021-442")]
    [InlineData("log4j-core 2.14.1")]
    [InlineData("apache logg")]
    [InlineData("lookup' | !log4j & (core:*")]
    public async Task Words_with_punctuation_are_found(string q)
    {
        using var client = await host.OperatorAsync("search");
        using var posted = await client.PostAsJsonAsync("/findings", new
        {
            schemaVersion = "1",
            source = "audit",
            service = "shop-api",
            rule = "CVE-2021-44228",
            title = "JNDI lookup in log4j-core:2.14.1",
            kind = "sca",
            severity = "critical",
            component = new { name = "org.apache.logging.log4j:log4j-core", version = "2.14.1", ecosystem = "maven" },
            manifest = "pom.xml",
        }, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, posted.StatusCode);
        Assert.Single((await client.FindingsAsync($"?q={Uri.EscapeDataString(q)}")).Items);
        Assert.Empty((await client.FindingsAsync("?q=spring")).Items);
    }

    [Theory]
    [InlineData("age%3E800000", "?age>")]
    [InlineData("age>=-1", "?age>")]
    [InlineData("minAge=9999999h", "?minAge")]
    [InlineData("minAge=NaN", "?minAge")]
    [InlineData("minAge=-Infinity", "?minAge")]
    [InlineData("minAge=30dd", "?minAge")]
    [InlineData("q=LONG", "?q")]
    [InlineData("service=a&service=b", "?service")]
    public async Task A_filter_beyond_its_bounds_is_a_400_that_names_it(string query, string pointer)
    {
        using var client = await host.OperatorAsync("bounds");
        using var answer = await client.GetAsync(
            new Uri($"/findings?{query.Replace("LONG", new string('x', 3_000), StringComparison.Ordinal)}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        Assert.Contains(pointer, problem.GetProperty("errors").EnumerateArray().Select(error => error.GetProperty("pointer").GetString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("&sort=age")]
    [InlineData("&sort=newest")]
    [InlineData("&severity=high&severity=low")]
    [InlineData("&status=open&source=audit")]
    public async Task Pages_of_two_are_the_list_in_its_order(string query)
    {
        using var client = await host.OperatorAsync("pages");
        string[] severities = ["low", "critical", "high"];
        foreach (var import in (int[])[0, 1])
        {
            using var posted = await client.PostAsJsonAsync("/findings?service=shop-api", new
            {
                schemaVersion = "1",
                source = "audit",
                findings = Enumerable.Range(0, 9).Select(i => new { rule = $"R-{import}-{i}", title = "t", kind = "config", severity = severities[i % 3], resource = "r" }),
            }, TestContext.Current.CancellationToken);
            Assert.Equal(HttpStatusCode.OK, posted.StatusCode);
        }

        var whole = (await client.FindingsAsync($"?limit=500{query}")).Items.Select(finding => finding.Id).ToList();
        List<Guid> paged = [];
        string? next = null;
        do
        {
            var page = await client.FindingsAsync($"?limit=2{query}{(next is null ? "" : $"&cursor={Uri.EscapeDataString(next)}")}");
            Assert.InRange(page.Items.Count, 1, 2);
            paged.AddRange(page.Items.Select(finding => finding.Id));
            next = page.Next;
        }
        while (next is not null);

        Assert.Equal(query.Contains("severity", StringComparison.Ordinal) ? 12 : 18, whole.Count);
        Assert.Equal(whole, paged);
    }

    [Theory]
    [InlineData("age>30")]
    [InlineData("age>=30")]
    [InlineData("age%3E30")]
    [InlineData("age>%3D30")]
    [InlineData("minAge=30d")]
    [InlineData("minAge=36500")]
    public async Task Every_spelling_of_an_age_is_read(string query)
    {
        using var client = await host.OperatorAsync("ages");
        Assert.Empty((await client.FindingsAsync($"?{query}")).Items);
    }
}

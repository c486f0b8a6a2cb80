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
    [InlineData("minAge=30dd", "?minAge")]
    [InlineData("q=LONG", "?q")]
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

using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class CodeLinkTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [InlineData("https://github.com/acme/shop.git", "abc123", "src/a b.cs", 3, 7, "https://github.com/acme/shop/blob/abc123/src/a%20b.cs#L3-L7")]
    [InlineData("https://github.com/acme/shop", null, "src/a.cs", null, null, "https://github.com/acme/shop/blob/HEAD/src/a.cs")]
    [InlineData("https://gitlab.acme.example/group/shop/", "main", "a.py", 3, 3, "https://gitlab.acme.example/group/shop/-/blob/main/a.py#L3")]
    [InlineData("https://git.example/shop", "abc", "a.py", 3, 3, null)]
    [InlineData("javascript:alert(1)", "abc", "a.py", 3, 3, null)]
    [InlineData("https://github.com/acme/shop", "abc", "../../settings", 3, 3, null)]
    [InlineData("https://github.com/acme/shop", "../../x", "a.cs", null, null, "https://github.com/acme/shop/blob/..%2F..%2Fx/a.cs")]
    [InlineData(null, "abc", "a.py", 3, 3, null)]
    public void A_link_is_made_only_where_its_form_is_known(string? repository, string? commit, string path, int? line, int? endLine, string? link) =>
        Assert.Equal(link, CodeLinks.Of(new FindingLocation(path, line, endLine, null, null), repository, commit)?.Link);

    [Fact]
    public async Task A_finding_says_where_its_code_is_by_the_last_scan_and_else_by_the_services_profile()
    {
        using var client = await host.OperatorAsync("code");
        var report = """{"schemaVersion":"1","findings":[{"kind":"sast","rule":"r","title":"t","severity":"low","location":{"path":"src/a.cs","startLine":4,"snippet":"x()"}}]}"""u8.ToArray();
        await client.ImportAsync("generic", "shop", report, "&commit=c0ffee");
        var id = Assert.Single((await client.FindingsAsync()).Items).Id;
        Assert.Equal((null, "c0ffee", null), ((await client.FindingAsync(id)).Code?.Repository, (await client.FindingAsync(id)).Code?.Commit, (await client.FindingAsync(id)).Code?.Link));

        using var profile = new HttpRequestMessage(HttpMethod.Put, "/findings/services/shop") { Content = new StringContent("""{"repository":"https://github.com/acme/shop"}""", System.Text.Encoding.UTF8, "application/json") };
        profile.Headers.TryAddWithoutValidation("If-Match", "*");
        using var put = await client.SendAsync(profile, TestContext.Current.CancellationToken);
        Assert.Equal("https://github.com/acme/shop/blob/c0ffee/src/a.cs#L4", (await client.FindingAsync(id)).Code?.Link);

        await client.ImportAsync("generic", "shop", [.. report, (byte)' '], "&commit=beef&repository=https://gitlab.example/shop");
        Assert.Equal("https://gitlab.example/shop/-/blob/beef/src/a.cs#L4", (await client.FindingAsync(id)).Code?.Link);
    }
}

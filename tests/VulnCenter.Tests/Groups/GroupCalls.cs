using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Groups;

/// <summary>A finding of a vulnerable component as a source reports it.</summary>
internal sealed record Vulnerable(string Rule, string Package, params string[] Ids)
{
    public string Severity { get; init; } = "high";

    public string Manifest { get; init; } = "package-lock.json";

    /// <summary>The source's own; it is the same finding then, whatever its component.</summary>
    public string? Id { get; init; }

    public object ToReport() => new
    {
        id = Id,
        rule = Rule,
        title = $"{Rule} in {Package}",
        kind = "sca",
        severity = Severity,
        identifiers = Ids,
        manifest = Manifest,
        component = new { name = Package, version = "1.0.0", purl = $"pkg:npm/{Package}@1.0.0" },
    };
}

internal static class GroupCalls
{
    /// <summary>Imports findings of a source; the ids they have, in order.</summary>
    public static async Task<IReadOnlyList<Guid>> ReportAsync(this HttpClient client, string service, string source, params IReadOnlyList<Vulnerable> findings)
    {
        using var answer = await client.PostAsJsonAsync(
            $"/findings?service={Uri.EscapeDataString(service)}&wait=60",
            new { schemaVersion = "1", source, findings = findings.Select(finding => finding.ToReport()) }, TestContext.Current.CancellationToken);
        var import = await answer.ReadAsync<Import>();
        Assert.Equal("succeeded", import.State);
        return [.. (import.Result?.Items ?? []).Select(item => item.Finding ?? throw new InvalidOperationException("Rejected."))];
    }

    public static async Task<IReadOnlyList<FindingGroup>> GroupsAsync(this HttpClient client, string query = "") =>
        (await client.GetFromJsonAsync<GroupPage>($"/findings/groups{query}", VulnCenterCalls.Json, TestContext.Current.CancellationToken))?.Items
        ?? throw new InvalidOperationException("Empty answer.");

    public static async Task<FindingGroup?> GroupOfAsync(this HttpClient client, Guid finding) => (await client.FindingAsync(finding)).Group;

    public static IEnumerable<Guid> Findings(this FindingGroup group) => group.Members.Select(member => member.Finding).Order();

    public static Task<HttpResponseMessage> LinkAsync(this HttpClient client, string reason, params Guid[] findings) =>
        client.PostAsJsonAsync("/findings/groups", new { findings, reason }, TestContext.Current.CancellationToken);

    public static Task<HttpResponseMessage> SplitAsync(this HttpClient client, Guid group, string reason, params Guid[] findings) =>
        client.PostAsJsonAsync($"/findings/groups/{group}/split", new { findings, reason }, TestContext.Current.CancellationToken);

    public static async Task<HttpResponseMessage> PutFeedAsync(this HttpClient client, string name, byte[] body, string query = "", string? encoding = null)
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        if (encoding is not null)
        {
            content.Headers.ContentEncoding.Add(encoding);
        }

        return await client.PutAsync(new Uri($"/findings/feeds/{name}?wait=120{query}", UriKind.Relative), content, TestContext.Current.CancellationToken);
    }

    /// <summary>Sends a feed, which must be taken and its recomputation succeed.</summary>
    public static async Task<FeedUpdate> FeedAsync(this HttpClient client, string name, string body, string query = "")
    {
        using var answer = await client.PutFeedAsync(name, Encoding.UTF8.GetBytes(body), query);
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}: {await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)}");
        var update = await answer.ReadAsync<FeedUpdate>();
        Assert.Contains(update.State, (string[])["succeeded", "unchanged"]);
        return update;
    }

    /// <summary>Two ids each, as <c>a b</c>.</summary>
    public static Task<FeedUpdate> AliasesAsync(this HttpClient client, string source, bool replace, params string[] pairs) => client.FeedAsync(
        "aliases", JsonSerializer.Serialize(new { aliases = pairs.Select(pair => new { a = pair.Split(' ')[0], b = pair.Split(' ')[1] }) }),
        $"&source={Uri.EscapeDataString(source)}&replace={(replace ? "true" : "false")}{(pairs.Length == 0 ? "&force=true" : "")}");

    public static async Task<FeedUpdate> RemoveEdgeAsync(this HttpClient client, string a, string b)
    {
        using var answer = await client.DeleteAsync(new Uri($"/findings/feeds/aliases/edges?a={a}&b={b}&reason=wrong&wait=60", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}");
        return await answer.ReadAsync<FeedUpdate>();
    }

    /// <summary>Status, code and the first field of a refusal.</summary>
    public static async Task<(HttpStatusCode Status, string? Code, string? Pointer)> RefusalAsync(this HttpResponseMessage answer)
    {
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        return (answer.StatusCode, problem.GetProperty("code").GetString(), problem.TryGetProperty("errors", out var errors) ? errors[0].GetProperty("pointer").GetString() : null);
    }

    public static string Epss(string date, params (string Cve, double Score)[] scores) =>
        $"#model_version:v2025.03.14,score_date:{date}\ncve,epss,percentile\n"
        + string.Concat(scores.Select(score => string.Create(CultureInfo.InvariantCulture, $"{score.Cve},{score.Score},0.5\n")));

    public static string Kev(string released, params string[] cves) => JsonSerializer.Serialize(new
    {
        title = "CISA Catalog of Known Exploited Vulnerabilities",
        catalogVersion = "2026.01.01",
        dateReleased = released,
        count = cves.Length,
        vulnerabilities = cves.Select(cve => new { cveID = cve, vendorProject = "v", dateAdded = "2026-01-01", dueDate = "2026-01-22", knownRansomwareCampaignUse = "Unknown", notes = "a, \"b\"" }),
    });
}

using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Imports;

namespace Wave16.VulnCenter.Tests.Dedup;

/// <summary>Raw results in the normalized schema, and the calls about how they are recognised.</summary>
internal static class DedupCalls
{
    public const string Service = "shop-api";
    public const string Source = "red-team";

    public static readonly DedupKeyRule Position = new(
        "position", Enum.GetValues<FindingKind>(), ["rule", "path?", "code?", "resource?", "host?", "path-template?", "parameter?", "occurrence"], Fallback: true);

    /// <summary>The same component in one manifest: every version of it has one key.</summary>
    public static string Sca(string version, string severity = "high", string manifest = "package-lock.json", string more = "{}") => With(
        $$$"""{"kind":"sca","rule":"CVE-2024-0001","title":"lodash {{{version}}}","severity":"{{{severity}}}","component":{"name":"lodash","version":"{{{version}}}","purl":"pkg:npm/lodash@{{{version}}}"},"manifest":"{{{manifest}}}"}""", more);

    public static string Sast(string rule, string path, int line, string code, string more = "{}") => With(
        $$$"""{"kind":"sast","rule":"{{{rule}}}","title":"{{{rule}}} in {{{path}}}","severity":"high","location":{"path":"{{{path}}}","startLine":{{{line}}},"snippet":"{{{code}}}"}}""", more);

    /// <summary>Members replaced or added.</summary>
    public static string With(string finding, string members)
    {
        var merged = JsonNode.Parse(finding)?.AsObject() ?? throw new ArgumentException(finding, nameof(finding));
        foreach (var (name, value) in JsonNode.Parse(members)?.AsObject() ?? [])
        {
            merged[name] = value?.DeepClone();
        }

        return merged.ToJsonString();
    }

    public static byte[] Report(params string[] findings) => Encoding.UTF8.GetBytes(Reports.Generic(findings));

    public static Task<ImportResult> ShowAsync(this HttpClient client, params string[] findings) => client.ImportAsync("generic", Service, Report(findings));

    /// <summary>As <c>POST /findings</c>, whose answer says of each result which finding it is.</summary>
    public static async Task<ImportResult> SendAsync(this HttpClient client, byte[] report, string more = "")
    {
        using var body = new ByteArrayContent(report) { Headers = { ContentType = new("application/json") } };
        using var answer = await client.PostAsync(new Uri($"/findings?service={Service}&wait=60{more}", UriKind.Relative), body, TestContext.Current.CancellationToken);
        var import = await answer.ReadAsync<Import>();
        return import.Result ?? throw new InvalidOperationException($"The import {import.State}.");
    }

    public static async Task<Finding> OnlyFindingAsync(this HttpClient client) => Assert.Single((await client.FindingsAsync()).Items);

    /// <summary>Ids of the finding's observations for which this holds.</summary>
    public static async Task<Guid[]> ObservationsAsync(this HttpClient client, Guid finding, Func<ObservationIdentity, bool> which) =>
        [.. (await client.FindingAsync(finding)).Observations.Where(o => which(o.Identity ?? throw new InvalidOperationException("No identity."))).Select(o => o.Id)];

    public static Task<HttpResponseMessage> PostUnmergeAsync(this HttpClient client, Guid finding, object body, string? ifMatch = "*", string? idempotencyKey = null) =>
        client.SendAsync(HttpMethod.Post, $"/findings/{finding}/unmerge", body, ifMatch, idempotencyKey);

    public static async Task<Unmerged> UnmergeAsync(this HttpClient client, Guid finding, Func<ObservationIdentity, bool> which)
    {
        using var answer = await client.PostUnmergeAsync(finding, new UnmergeRequest(await client.ObservationsAsync(finding, which), "two problems"));
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        return await answer.ReadAsync<Unmerged>();
    }

    public static Task<HttpResponseMessage> PutRulesAsync(this HttpClient client, object body, string? ifMatch = "*", string query = "", string source = Source) =>
        client.SendAsync(HttpMethod.Put, $"/findings/dedup-rules/{source}{query}", body, ifMatch);

    public static async Task<DedupRules> ChangeRulesAsync(this HttpClient client, params DedupKeyRule[] keys)
    {
        using var answer = await client.PutRulesAsync(new DedupRulesChange(keys));
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        return await answer.ReadAsync<DedupRules>();
    }

    public static async Task<T> GetAsync<T>(this HttpClient client, string path) =>
        await client.GetFromJsonAsync<T>(path, VulnCenterCalls.Json, TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("Empty answer.");

    public static async Task<HttpResponseMessage> SendAsync(this HttpClient client, HttpMethod method, string path, object body, string? ifMatch, string? idempotencyKey = null)
    {
        using var request = new HttpRequestMessage(method, path)
        {
            Content = body is string json ? new StringContent(json, Encoding.UTF8, "application/json") : JsonContent.Create(body, options: VulnCenterCalls.Json),
        };
        if (ifMatch is not null)
        {
            request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        }

        if (idempotencyKey is not null)
        {
            request.Headers.TryAddWithoutValidation("Idempotency-Key", idempotencyKey);
        }

        return await client.SendAsync(request, TestContext.Current.CancellationToken);
    }
}

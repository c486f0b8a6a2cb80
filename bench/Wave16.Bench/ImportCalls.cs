using System.Net.Http.Headers;
using System.Net.Http.Json;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;

namespace Wave16.Bench;

internal static class ImportCalls
{
    public const string Service = "shop-api";

    /// <summary>Sends the file as a client does, and returns when the import has ended.</summary>
    public static async Task<ImportResult> ImportAsync(this HttpClient client, string path, CancellationToken cancellation, string format = "trivy", string service = Service, string more = "")
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.Asynchronous);
        using var content = new StreamContent(file, 1 << 16);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var answer = await client.PostAsync(new Uri($"/findings/imports?format={format}&service={service}&wait=120{more}", UriKind.Relative), content, cancellation);
        if (!answer.IsSuccessStatusCode)
        {
            throw new InvalidOperationException($"{answer.StatusCode}: {await answer.Content.ReadAsStringAsync(cancellation)}");
        }

        var import = await answer.Content.ReadFromJsonAsync<Import>(Wave16Json.Options, cancellation);
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (import is { State: "queued" or "running" })
        {
            await look.WaitForNextTickAsync(cancellation);
            import = await client.GetFromJsonAsync<Import>($"/findings/imports/{import.Id}", Wave16Json.Options, cancellation);
        }

        return import is { State: "succeeded", Result: { } result } ? result : throw new InvalidOperationException($"The import {import?.State}: {import?.Problem}");
    }

    /// <summary>Takes the first observation out of a finding that has several.</summary>
    public static async Task UnmergeOneAsync(this HttpClient client, CancellationToken cancellation)
    {
        var page = await client.GetFromJsonAsync<FindingPage>("/findings?limit=100", Wave16Json.Options, cancellation);
        foreach (var finding in page?.Items ?? [])
        {
            var detail = await client.GetFromJsonAsync<FindingDetail>($"/findings/{finding.Id}", Wave16Json.Options, cancellation);
            if (detail is not { Observations.Count: > 1 })
            {
                continue;
            }

            using var request = new HttpRequestMessage(HttpMethod.Post, $"/findings/{finding.Id}/unmerge")
            {
                Content = JsonContent.Create(new UnmergeRequest([detail.Observations[0].Id], "another problem"), options: Wave16Json.Options),
            };
            request.Headers.TryAddWithoutValidation("If-Match", "*");
            using var answer = await client.SendAsync(request, cancellation);
            answer.EnsureSuccessStatusCode();
            return;
        }

        throw new InvalidOperationException("No finding has several observations.");
    }
}

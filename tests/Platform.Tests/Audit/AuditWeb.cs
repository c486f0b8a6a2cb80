using System.Text.Json;
using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.Audit;

/// <summary>
/// A replica of the sample module behind Kestrel, and beside it one whose background work is not started and which holds the
/// sealer's lease: it writes, and seals when the test says so.
/// </summary>
internal sealed class AuditWeb : IAsyncDisposable
{
    private readonly WebSample _web;
    private readonly ModuleLease _lease;

    private AuditWeb(AuditSample log, ModuleLease lease, WebSample web, FakeTimeProvider clock) => (Log, _lease, _web, Clock) = (log, lease, web, clock);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>What writes and seals.</summary>
    public AuditSample Log { get; }

    /// <summary>The web server's; half a minute after the tickets' times.</summary>
    public FakeTimeProvider Clock { get; }

    public static async Task<AuditWeb> StartAsync(AuditCluster cluster, params (string Key, string Value)[] settings)
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 3, 1, 12, 0, 30, TimeSpan.Zero));
        var log = await AuditSample.StartAsync(cluster, clock);
        var lease = await log.Host.Get<ModuleLocks>().AcquireAsync("audit/sealer", Cancellation);
        var web = await WebSample.StartAsync(log.ConnectionString, clock, _ => { }, services: null, settings);
        return new AuditWeb(log, lease, await web.ReadyAsync(), clock);
    }

    /// <summary>Three tickets of four versions each, a signed head after each ticket.</summary>
    public async Task FillAsync()
    {
        foreach (var ticket in new[] { "T-1", "T-2", "T-3" })
        {
            await Log.SaveAsync(ticket, versions: 4);
            await Log.SealAsync();
        }
    }

    public async Task<Reply> GetAsync(string path, string tenant = "acme", string role = Access.Auditor)
    {
        var token = await _web.TokenAsync(new { tenant, subject = tenant + "-auditor", roles = new[] { role } });
        return await Reply.OfAsync(await _web.SendAsync(HttpMethod.Get, path, token: token));
    }

    public async Task<Reply> GetAnonymouslyAsync(string path) => await Reply.OfAsync(await _web.SendAsync(HttpMethod.Get, path));

    /// <summary>Begins a request that the caller may give up.</summary>
    public async Task<HttpResponseMessage> SendAsync(string path, CancellationToken impatience)
    {
        using var client = new HttpClient { BaseAddress = _web.Address };
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Authorization = new("Bearer", await _web.TokenAsync(new { tenant = "acme", roles = new[] { Access.Auditor } }));
        return await client.SendAsync(request, impatience);
    }

    /// <summary>The public key that an auditor was given: not from the service, whose answers it is to check.</summary>
    public static OfflineAuditor Auditor()
    {
        using var key = System.Security.Cryptography.ECDsa.Create();
        key.ImportFromPem(SampleHost.AuditKey);
        return new OfflineAuditor(key.ExportSubjectPublicKeyInfoPem());
    }

    public async ValueTask DisposeAsync()
    {
        await _web.DisposeAsync();
        await _lease.DisposeAsync();
        await Log.DisposeAsync();
    }
}

internal sealed record Reply(int Status, string Text, string? MediaType, TimeSpan? RetryAfter)
{
    public JsonElement Json => JsonElement.Parse(Text);

    public string? Code => Json.GetProperty("code").GetString();

    public JsonElement[] Items => [.. Json.GetProperty("items").EnumerateArray()];

    public static async Task<Reply> OfAsync(HttpResponseMessage answer)
    {
        using (answer)
        {
            return new(
                (int)answer.StatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken),
                answer.Content.Headers.ContentType?.MediaType, answer.Headers.RetryAfter?.Delta);
        }
    }
}

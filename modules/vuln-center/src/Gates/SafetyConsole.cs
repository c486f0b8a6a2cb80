using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Gates;

/// <summary>A gate as safety-console holds it. Key: <c>vuln:{service}:{finding}</c>.</summary>
internal sealed record Gate(string State, Severity Severity, string Service, string Finding, string Title, string Url, DateTimeOffset Since);

/// <summary>safety-console's gate surface: both operations are idempotent.</summary>
internal sealed class SafetyConsole(IHttpClientFactory clients)
{
    public const string Name = "safety-console";
    private const string TenantHeader = "Tenant-Id";

    public Task<HttpResponseMessage> RaiseAsync(string tenant, string key, Gate gate, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Put, tenant, key, JsonContent.Create(gate, VulnCenterJson.Default.Gate), cancellation);

    public Task<HttpResponseMessage> WithdrawAsync(string tenant, string key, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Delete, tenant, key, content: null, cancellation);

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string tenant, string key, HttpContent? content, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, new Uri($"gates/{Uri.EscapeDataString(key)}", UriKind.Relative)) { Content = content };
        request.Headers.Add(TenantHeader, tenant);
        using var http = clients.CreateClient(Name);
        return await http.SendAsync(request, cancellation);
    }
}

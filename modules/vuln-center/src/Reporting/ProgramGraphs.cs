using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter.Reporting;

/// <summary>program-graph's graphs: one for each tenant and source, put whole; what is gone from it is gone there. How long it may take the outbox says.</summary>
internal sealed class ProgramGraphs(IHttpClientFactory clients)
{
    public const string Name = "program-graph";
    private const string TenantHeader = "Tenant-Id";

    public async Task<HttpResponseMessage> PutAsync(string tenant, string source, HttpContent content, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, new Uri($"graphs/{Uri.EscapeDataString(source)}", UriKind.Relative)) { Content = content };
        request.Headers.Add(TenantHeader, tenant);
        request.BoundByCaller();
        using var http = clients.CreateClient(Name);
        return await http.SendAsync(request, cancellation);
    }
}

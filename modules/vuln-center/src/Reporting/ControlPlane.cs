using Wave16.ServiceDefaults;

namespace Wave16.VulnCenter.Reporting;

/// <summary>control-plane's exports: one for each tenant and source, each replacing the last. How long one may take the outbox says.</summary>
internal sealed class ControlPlane(IHttpClientFactory clients)
{
    public const string Name = "control-plane";

    public async Task<HttpResponseMessage> PutAsync(string tenant, string source, HttpContent content, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(
            HttpMethod.Put, new Uri($"tenants/{Uri.EscapeDataString(tenant)}/exports/{Uri.EscapeDataString(source)}", UriKind.Relative))
        { Content = content };
        request.BoundByCaller();
        using var http = clients.CreateClient(Name);
        return await http.SendAsync(request, cancellation);
    }
}

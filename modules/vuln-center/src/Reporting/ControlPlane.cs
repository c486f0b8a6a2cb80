namespace Wave16.VulnCenter.Reporting;

/// <summary>control-plane's exports: one for each tenant and source, each replacing the last.</summary>
internal sealed class ControlPlane(IHttpClientFactory clients)
{
    public const string Name = "control-plane";

    public async Task<HttpResponseMessage> PutAsync(string tenant, string source, HttpContent content, CancellationToken cancellation)
    {
        using var http = clients.CreateClient(Name);
        return await http.PutAsync(new Uri($"tenants/{Uri.EscapeDataString(tenant)}/exports/{Uri.EscapeDataString(source)}", UriKind.Relative), content, cancellation);
    }
}

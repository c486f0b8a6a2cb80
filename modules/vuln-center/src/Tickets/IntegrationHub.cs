using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tickets;

/// <summary>What integration-hub is sent: enough to find the finding again, and nothing that belongs only here.</summary>
internal sealed record HubTicketBody(string Title, string Description, Severity? Severity, string Url, string? Project, IReadOnlyList<string> Labels);

/// <summary>A ticket as integration-hub knows it, of which this much concerns us.</summary>
internal sealed record HubTicket(string Id, TicketState State, string Link, DateTimeOffset UpdatedAt);

/// <summary>integration-hub's tickets: created once for each <c>Idempotency-Key</c> and body.</summary>
internal sealed class IntegrationHub(IHttpClientFactory clients)
{
    public const string Name = "integration-hub";
    private const string TenantHeader = "Tenant-Id";

    /// <param name="key">The same key and body again are the same ticket.</param>
    public async Task<HttpResponseMessage> CreateAsync(string tenant, string connector, string key, string body, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Address(connector)) { Content = new StringContent(body, new MediaTypeHeaderValue("application/json")) };
        request.Headers.Add(TenantHeader, tenant);
        request.Headers.Add("Idempotency-Key", key);
        using var http = clients.CreateClient(Name);
        return await http.SendAsync(request, cancellation);
    }

    /// <returns>Null when integration-hub does not know it.</returns>
    /// <exception cref="HttpRequestException">It cannot be asked.</exception>
    public async Task<HubTicket?> FindAsync(string tenant, string connector, string id, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Address(connector, id));
        request.Headers.Add(TenantHeader, tenant);
        using var http = clients.CreateClient(Name);
        using var response = await http.SendAsync(request, cancellation);
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }

        response.EnsureSuccessStatusCode();
        return await ReadAsync(response, cancellation) ?? throw new HttpRequestException("integration-hub answered what is no ticket.");
    }

    /// <summary>The ticket in an answer; null when there is none that could be kept.</summary>
    public static async Task<HubTicket?> ReadAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        try
        {
            return await response.Content.ReadFromJsonAsync(VulnCenterJson.Default.HubTicket, cancellation) is { } ticket
                && TicketRules.IsKey(ticket.Id) && TicketRules.IsLink(ticket.Link) && TicketRules.IsHubState(ticket.State) ? ticket : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static Uri Address(string connector, string? id = null) =>
        new($"connectors/{Uri.EscapeDataString(connector)}/tickets{(id is null ? "" : $"/{Uri.EscapeDataString(id)}")}", UriKind.Relative);
}

using System.Net.Http.Headers;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Modules;

namespace Wave16.Platform.Neighbours;

/// <summary>Where a system around us is, and whether anybody said so.</summary>
/// <param name="Name">Kebab-case: <c>safety-console</c>.</param>
/// <param name="Url">Ends in '/'. <c>https+http://&lt;name&gt;/</c>, resolved by service discovery, unless configured.</param>
/// <param name="IsConfigured">An address, or an endpoint for service discovery, was configured.</param>
public sealed record NeighbourAddress(string Name, Uri Url, bool IsConfigured)
{
    /// <summary><c>Neighbours:&lt;name&gt;:Url</c>, else the name itself, resolved by <c>services:&lt;name&gt;</c>.</summary>
    /// <exception cref="InvalidOperationException">The configured address is not absolute.</exception>
    public static NeighbourAddress Of(IConfiguration configuration, string name)
    {
        var configured = configuration[$"Neighbours:{name}:Url"];
        if (string.IsNullOrEmpty(configured))
        {
            return new NeighbourAddress(name, new Uri($"https+http://{name}/"), configuration.GetSection($"services:{name}").Exists());
        }

        return Uri.TryCreate(configured.EndsWith('/') ? configured : configured + "/", UriKind.Absolute, out var url)
            ? new NeighbourAddress(name, url, IsConfigured: true)
            : throw new InvalidOperationException($"Neighbours:{name}:Url is not an absolute address: '{configured}'.");
    }
}

public static class NeighbourClients
{
    /// <summary>
    /// Registers the module's client of a neighbour (it takes <see cref="IHttpClientFactory"/> and asks for <paramref name="name"/>): the
    /// address, the machine token (<c>Neighbours:&lt;name&gt;:Token</c>, when given), and the resilience every client of ours has.
    /// Keyed by name, a <see cref="NeighbourAddress"/> says whether it is configured.
    /// </summary>
    public static IHttpClientBuilder AddNeighbour<TClient>(this ModuleBuilder module, string name)
        where TClient : class
    {
        module.Services.AddKeyedSingleton(name, (services, _) => NeighbourAddress.Of(services.GetRequiredService<IConfiguration>(), name));
        module.Services.AddSingleton<TClient>();
        return module.Services.AddHttpClient(name, (services, client) =>
        {
            client.BaseAddress = services.GetRequiredKeyedService<NeighbourAddress>(name).Url;
            if (services.GetRequiredService<IConfiguration>()[$"Neighbours:{name}:Token"] is { Length: > 0 } token)
            {
                client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
            }
        });
    }
}

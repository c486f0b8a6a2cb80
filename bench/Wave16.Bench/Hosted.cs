using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Wave16.Neighbours;
using Wave16.Platform.Modules;
using Wave16.ServiceDefaults;

namespace Wave16.Bench;

/// <summary>Modules hosted as their executables host them, with the stand-ins of their neighbours, on free loopback ports.</summary>
internal sealed class Hosted : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly WebApplication _neighbours;

    private Hosted(WebApplication app, WebApplication neighbours) => (_app, _neighbours) = (app, neighbours);

    public Uri Address => new(_app.Urls.First());

    public IServiceProvider Services => _app.Services;

    /// <param name="neighbours">Those that are configured; null for all.</param>
    /// <param name="messaging">The broker; null for the in-process transport.</param>
    public static async Task<Hosted> StartAsync(IModule module, string connectionString, CancellationToken cancellation, IReadOnlyList<string>? neighbours = null, string? messaging = null)
    {
        var standIns = await StartNeighboursAsync(cancellation);
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Development" });
        builder.Configuration.AddInMemoryCollection(
        [
            new("ConnectionStrings:" + module.Name + "-db", connectionString),
            new("ConnectionStrings:messaging", messaging),
            .. (neighbours ?? NeighboursExtensions.Names).Select(name => KeyValuePair.Create<string, string?>($"Neighbours:{name}:Url", $"{standIns.Urls.First()}/{name}/")),
        ]);
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.AddModules([module]);
        var app = builder.Build();
        app.MapModules();
        await app.StartAsync(cancellation);
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (app.Services.GetServices<IReadiness>().Any(part => part.NotReadyBecause is not null))
        {
            await look.WaitForNextTickAsync(cancellation);
        }

        return new Hosted(app, standIns);
    }

    public static async Task<WebApplication> StartNeighboursAsync(CancellationToken cancellation)
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddNeighbours();
        var app = builder.Build();
        app.MapNeighbours();
        await app.StartAsync(cancellation);
        return app;
    }

    public Task<HttpClient> ClientAsync(string tenant, CancellationToken cancellation) => ClientAsync(Address, tenant, cancellation);

    /// <summary>A client of the tenant with a development token, an operator's unless told otherwise.</summary>
    public static async Task<HttpClient> ClientAsync(Uri server, string tenant, CancellationToken cancellation, string role = Access.Operator)
    {
        var client = new HttpClient { BaseAddress = server, DefaultRequestVersion = HttpVersion.Version11, Timeout = TimeSpan.FromMinutes(5) };
        using var answer = await client.PostAsJsonAsync("/dev/token", new { tenant, subject = "bench", roles = (string[])[role] }, cancellation);
        answer.EnsureSuccessStatusCode();
        var token = await answer.Content.ReadFromJsonAsync<JsonElement>(cancellation);
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token.GetProperty("access_token").GetString());
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(CancellationToken.None);
        await _app.DisposeAsync();
        await _neighbours.StopAsync(CancellationToken.None);
        await _neighbours.DisposeAsync();
    }
}

using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Wave16.Neighbours;
using Wave16.Platform.Modules;
using Wave16.ServiceDefaults;
using Wave16.Standalone;
using Wave16.Testing;

[assembly: AssemblyFixture(typeof(Wave16.Conformance.Tests.Hosts))]

namespace Wave16.Conformance.Tests;

/// <summary>A module as its callers see it.</summary>
/// <param name="Address">Of the module.</param>
/// <param name="Neighbours">Where the stand-ins' faults are set.</param>
/// <param name="Database">Of the module.</param>
public sealed record Host(IModule Module, Uri Address, Uri Neighbours, string Database, IServiceProvider Services)
{
    private static readonly HttpClientHandler Handler = new() { UseCookies = false, AllowAutoRedirect = false };

    public HttpClient Anonymous() => new(Handler, disposeHandler: false) { BaseAddress = Address };

    public Task<HttpClient> WithRolesAsync(string tenant, params string[] roles) => WithTokenAsync(new { tenant, subject = $"{tenant}-tester", roles });

    public Task<HttpClient> WithScopesAsync(string tenant, params string[] scopes) => WithTokenAsync(new { tenant, subject = $"{tenant}-tester", scopes });

    private async Task<HttpClient> WithTokenAsync(object token)
    {
        var client = Anonymous();
        using var answer = await client.PostAsJsonAsync("/dev/token", token, TestContext.Current.CancellationToken);
        answer.EnsureSuccessStatusCode();
        var issued = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", issued.GetProperty("access_token").GetString());
        return client;
    }
}

/// <summary>Every module twice: alone beside the neighbours' stand-ins, and with all the others in Standalone. Started when first asked for.</summary>
public sealed class Hosts : IAsyncDisposable
{
    private readonly PostgresFixture _postgres = new();
    private readonly ConcurrentDictionary<string, Lazy<Task<Host>>> _alone = new(StringComparer.Ordinal);
    private readonly ConcurrentStack<IAsyncDisposable> _running = new();
    private readonly Lazy<Task<WebApplication>> _neighbours;
    private readonly Lazy<Task<(WebApplication App, Uri Address)>> _standalone;

    public Hosts()
    {
        _neighbours = new(StartNeighboursAsync);
        _standalone = new(StartStandaloneAsync);
    }

    public static IModule Find(string module) => StandaloneHost.Modules.Single(known => known.Name == module);

    public Task<Host> AloneAsync(string module) => _alone.GetOrAdd(module, name => new(() => StartAloneAsync(Find(name)))).Value;

    public async Task<Host> InStandaloneAsync(string module)
    {
        var (app, address) = await _standalone.Value;
        var database = (await _postgres.ServerAsync()).ConnectionStringFor(module.Replace('-', '_'));
        return new Host(Find(module), address, address, database, app.Services);
    }

    /// <summary>An empty database.</summary>
    public Task<string> DatabaseAsync() => _postgres.CreateDatabaseAsync(TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        while (_running.TryPop(out var running))
        {
            if (running is WebApplication app)
            {
                await app.StopAsync(CancellationToken.None);
            }

            await running.DisposeAsync();
        }

        await _postgres.DisposeAsync();
    }

    private async Task<Host> StartAloneAsync(IModule module)
    {
        var neighbours = new Uri((await _neighbours.Value).Urls.First());
        var database = await _postgres.CreateDatabaseAsync(CancellationToken.None);
        var running = await RunningModules.StartAsync(
            [module],
            [
                KeyValuePair.Create<string, string?>($"ConnectionStrings:{module.Name}-db", database),
                .. NeighboursExtensions.Names.Select(name => KeyValuePair.Create<string, string?>($"Neighbours:{name}:Url", new Uri(neighbours, $"{name}/").ToString())),
            ],
            CancellationToken.None);
        _running.Push(running);
        return new Host(module, running.Address, neighbours, database, running.Services);
    }

    private async Task<WebApplication> StartNeighboursAsync()
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddNeighbours();
        var app = builder.Build();
        app.MapNeighbours();
        await app.StartAsync(CancellationToken.None);
        _running.Push(app);
        return app;
    }

    private async Task<(WebApplication App, Uri Address)> StartStandaloneAsync()
    {
        var address = new Uri($"http://127.0.0.1:{FreePort()}");
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Development", ApplicationName = typeof(StandaloneHost).Assembly.GetName().Name });
        builder.Logging.SetMinimumLevel(LogLevel.Critical);
        builder.WebHost.UseUrls(address.ToString());
        var app = await StandaloneHost.BuildAsync(builder, await _postgres.ServerAsync(), address);
        _running.Push(app);
        await app.StartAsync(CancellationToken.None);
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (app.Services.GetServices<IReadiness>().Any(part => part.NotReadyBecause is not null))
        {
            await look.WaitForNextTickAsync(CancellationToken.None);
        }

        return (app, address);
    }

    // The neighbours' address is configured before the server starts, so the port must be known.
    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}

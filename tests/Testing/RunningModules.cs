using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Modules;
using Wave16.ServiceDefaults;

namespace Wave16.Testing;

/// <summary>Modules hosted as their executables host them, on a free loopback port, with the databases a test gives them.</summary>
public sealed class RunningModules : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly HttpClientHandler _handler = new() { UseCookies = false };

    private RunningModules(WebApplication app, Uri address) => (_app, Address) = (app, address);

    public Uri Address { get; }

    public IServiceProvider Services => _app.Services;

    /// <param name="modules">What to host.</param>
    /// <param name="settings">Configuration: <c>ConnectionStrings:vuln-center-db</c> and the like.</param>
    /// <param name="configure">Last word on the services; a fake clock, for instance.</param>
    public static async Task<RunningModules> StartAsync(
        IReadOnlyList<IModule> modules, IEnumerable<KeyValuePair<string, string?>> settings, CancellationToken cancellation, Action<IServiceCollection>? configure = null)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Development", ApplicationName = typeof(RunningModules).Assembly.GetName().Name });
        builder.Configuration.AddInMemoryCollection(settings);
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.AddModules(modules);
        configure?.Invoke(builder.Services);
        var app = builder.Build();
        app.MapModules();
        await app.StartAsync(cancellation);
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()?.Addresses.First()
            ?? throw new InvalidOperationException("The server has no address.");
        var running = new RunningModules(app, new Uri(address));
        await running.WhenReadyAsync(cancellation);
        return running;
    }

    /// <summary>Waits until every part says that it is ready.</summary>
    public async Task WhenReadyAsync(CancellationToken cancellation)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (Services.GetServices<IReadiness>().Any(part => part.NotReadyBecause is not null))
        {
            await look.WaitForNextTickAsync(cancellation);
        }
    }

    /// <summary>A client of the tenant, with a development token for the roles.</summary>
    public async Task<HttpClient> ClientAsync(string tenant, CancellationToken cancellation, params string[] roles)
    {
        var client = Anonymous();
        using var answer = await client.PostAsJsonAsync("/dev/token", new { tenant, subject = $"{tenant}-tester", roles }, cancellation);
        answer.EnsureSuccessStatusCode();
        var token = await answer.Content.ReadFromJsonAsync<JsonElement>(cancellation);
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token.GetProperty("access_token").GetString());
        return client;
    }

    public HttpClient Anonymous() =>
        new(_handler, disposeHandler: false) { BaseAddress = Address, DefaultRequestVersion = HttpVersion.Version11, Timeout = TimeSpan.FromMinutes(5) };

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(CancellationToken.None);
        await _app.DisposeAsync();
        _handler.Dispose();
    }
}

using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Wave16.Platform.Audit;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests;

/// <summary>One replica of the sample module behind Kestrel on a free loopback port, with service defaults and without a silo.</summary>
internal sealed class WebSample : IAsyncDisposable
{
    public const string Write = "tickets.write";
    private readonly WebApplication _app;
    private readonly HttpClient _client;

    private WebSample(WebApplication app)
    {
        _app = app;
        _client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };
    }

    public Uri Address => new(_app.Urls.Single());

    public IServiceProvider Services => _app.Services;

    public ModuleDatabase Database => _app.Services.GetRequiredKeyedService<ModuleDatabase>(SampleModule.ModuleName);

    public static async Task<WebSample> StartAsync(string connectionString, TimeProvider clock, Action<IEndpointRouteBuilder> endpoints, Action<ModuleBuilder>? services = null, params (string Key, string Value)[] settings)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = Environments.Development });
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Configuration[$"ConnectionStrings:{SampleModule.ModuleName}-db"] = connectionString;
        builder.Configuration["Audit:SigningKey"] = SampleHost.AuditKey;
        foreach (var (key, value) in settings)
        {
            builder.Configuration[key] = value;
        }

        builder.Services.AddSingleton(clock);
        builder.AddServiceDefaults("sample");
        builder.Services.AddScopes(new Scope(Write, SampleModule.ModuleName, "write tickets", Access.Operator));
        var module = new ModuleBuilder(new SampleModule(), builder);
        module.AddPlatform(typeof(SampleModule).Assembly);
        services?.Invoke(module);
        var app = builder.Build();
        app.UseServiceDefaults();
        app.MapServiceDefaults();
        var group = app.MapGroup("").WithGroupName(SampleModule.ModuleName).RequireScope(Write);
        ModuleEndpoint.Apply(group, SampleModule.ModuleName);
        endpoints(group);
        var platform = app.MapGroup("").WithGroupName(SampleModule.ModuleName);
        ModuleEndpoint.Apply(platform, SampleModule.ModuleName);
        platform.MapAudit(SampleModule.ModuleName);
        await app.StartAsync(TestContext.Current.CancellationToken);
        return new WebSample(app);
    }

    public async Task<WebSample> ReadyAsync()
    {
        await Database.WhenReadyAsync(TestContext.Current.CancellationToken);
        return this;
    }

    public Task<string> TokenAsync(string tenant, string subject, string? partner = null) => TokenAsync(new { tenant, subject, partner });

    public async Task<string> TokenAsync(object request)
    {
        using var answer = await _client.PostAsJsonAsync("/dev/token", request, TestContext.Current.CancellationToken);
        var issued = await answer.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        return issued.EnumerateObject().First(member => member.Value.ValueKind is JsonValueKind.String && member.Value.GetString()?.Count(c => c == '.') == 2).Value.GetString() ?? "";
    }

    public Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content = null, string? token = null, params IEnumerable<(string Name, string Value)> headers)
    {
        var request = new HttpRequestMessage(method, path) { Content = content };
        if (token is not null)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return _client.SendAsync(request, TestContext.Current.CancellationToken);
    }

    public Task StopAsync() => _app.StopAsync(CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _app.StopAsync(CancellationToken.None);
        await _app.DisposeAsync();
    }
}

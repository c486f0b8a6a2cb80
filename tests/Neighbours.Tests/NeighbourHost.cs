using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Wave16.Neighbours.Tests;

/// <summary>The stand-ins on Kestrel, on a free loopback port.</summary>
sealed class NeighbourHost : IAsyncDisposable
{
    readonly WebApplication _app;

    NeighbourHost(WebApplication app)
    {
        _app = app;
        Client = new() { BaseAddress = new Uri(app.Urls.Single()) };
    }

    public HttpClient Client { get; }

    public static async Task<NeighbourHost> StartAsync(
        string prefix = "",
        TimeProvider? time = null,
        string? webhookSecret = null,
        Action<WebApplicationBuilder>? builder = null,
        Action<WebApplication>? app = null,
        params KeyValuePair<string, string?>[] settings)
    {
        var web = WebApplication.CreateSlimBuilder(new WebApplicationOptions { EnvironmentName = Environments.Development });
        web.Logging.ClearProviders();
        web.WebHost.UseUrls("http://127.0.0.1:0");
        web.Configuration.AddInMemoryCollection(settings);
        if (webhookSecret is not null)
            web.Configuration.AddInMemoryCollection([new("Neighbours:integration-hub:WebhookSecret", webhookSecret)]);
        if (time is not null)
            web.Services.AddSingleton(time);
        web.Services.AddNeighbours();
        builder?.Invoke(web);
        var host = web.Build();
        app?.Invoke(host);
        host.MapNeighbours(prefix);
        await host.StartAsync(TestContext.Current.CancellationToken);
        return new(host);
    }

    public Task<Answer> Get(string path, string? tenant = null) => Send(HttpMethod.Get, path, tenant: tenant);

    public Task<Answer> Delete(string path, string? tenant = null) => Send(HttpMethod.Delete, path, tenant: tenant);

    public Task<Answer> Put(string path, string body, string? tenant = null) => Send(HttpMethod.Put, path, body, tenant);

    public Task<Answer> Post(string path, string body, string? tenant = null, string? key = null) =>
        Send(HttpMethod.Post, path, body, tenant, headers: key is null ? [] : [("Idempotency-Key", key)]);

    public Task<Answer> Send(
        HttpMethod method, string path, string? body = null, string? tenant = null, string contentType = "application/json", params (string Name, string Value)[] headers) =>
        SendBytes(method, path, body is null ? null : Encoding.UTF8.GetBytes(body), tenant, contentType, headers);

    public async Task<Answer> SendBytes(
        HttpMethod method, string path, byte[]? body, string? tenant = null, string? contentType = "application/json", params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.ContentType = contentType is null ? null : MediaTypeHeaderValue.Parse(contentType);
        }
        if (tenant is not null)
            request.Headers.Add("Tenant-Id", tenant);
        foreach (var (name, value) in headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
                request.Content?.Headers.TryAddWithoutValidation(name, value);
        }
        using var response = await Client.SendAsync(request, TestContext.Current.CancellationToken);
        return new(
            (int)response.StatusCode,
            await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken),
            response.Content.Headers.ContentType?.MediaType,
            response.Headers);
    }

    public async Task<JsonElement> Received(string name, string query = "") => (await Get($"/neighbours/{name}/received{query}")).Json;

    /// <summary>Sends bytes as they are and reads until the server closes.</summary>
    public async Task<string> SendRaw(string request)
    {
        using var socket = await Connect();
        await socket.GetStream().WriteAsync(Encoding.UTF8.GetBytes(request), TestContext.Current.CancellationToken);
        using var reader = new StreamReader(socket.GetStream());
        return await reader.ReadToEndAsync(TestContext.Current.CancellationToken);
    }

    public async Task<TcpClient> Connect()
    {
        var socket = new TcpClient();
        await socket.ConnectAsync("127.0.0.1", new Uri(_app.Urls.Single()).Port, TestContext.Current.CancellationToken);
        return socket;
    }

    /// <summary>Stops the server while its callers are still connected.</summary>
    public Task StopAsync() => _app.StopAsync(TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }
}

sealed record Answer(int Status, string Body, string? ContentType, HttpResponseHeaders Headers)
{
    public JsonElement Json => JsonDocument.Parse(Body).RootElement;

    public string? Code => Text("code");

    /// <summary>What each refused field is named by: pointer, header or parameter.</summary>
    public IEnumerable<string?> Refused =>
        Json.GetProperty("errors").EnumerateArray().Select(error =>
            error.TryGetProperty("pointer", out var pointer) ? pointer.GetString()
            : error.TryGetProperty("header", out var header) ? header.GetString()
            : error.GetProperty("parameter").GetString());

    public string? Text(string name) => Json.GetProperty(name).GetString();

    public JsonElement[] Items => [.. Json.GetProperty("items").EnumerateArray()];
}

using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

/// <summary>A host with the service defaults and a test's own endpoints, on a free loopback port.</summary>
internal sealed class Service : IAsyncDisposable
{
    private Service(WebApplication app, RecordedLog log)
    {
        (App, Log) = (app, log);
        Client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };
    }

    public WebApplication App { get; }

    public HttpClient Client { get; }

    public RecordedLog Log { get; }

    public static async Task<Service> Start(
        Action<WebApplication>? map = null, string environment = "Development", IEnumerable<(string Key, string Value)>? settings = null,
        Action<WebApplicationBuilder>? add = null)
    {
        var (app, log) = Build(map, environment, settings, add);
        try
        {
            await app.StartAsync(TestContext.Current.CancellationToken);
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }

        return new Service(app, log);
    }

    public static (WebApplication App, RecordedLog Log) Build(
        Action<WebApplication>? map, string environment, IEnumerable<(string Key, string Value)>? settings, Action<WebApplicationBuilder>? add)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = environment });
        builder.Configuration.AddInMemoryCollection((settings ?? []).Select(s => KeyValuePair.Create(s.Key, (string?)s.Value)));
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var log = new RecordedLog();
        builder.Logging.ClearProviders().AddProvider(log);
        add?.Invoke(builder);
        builder.AddServiceDefaults("sample");
        var app = builder.Build();
        app.UseServiceDefaults();
        app.MapServiceDefaults();
        map?.Invoke(app);
        return (app, log);
    }

    /// <summary>A development token for the given scopes.</summary>
    public async Task<string> Token(string tenant, params string[] scopes) =>
        await Token(new { tenant, scopes });

    public async Task<string> Token(object request)
    {
        using var response = await Client.PostAsJsonAsync("/dev/token", request, TestContext.Current.CancellationToken);
        Assert.True(response.IsSuccessStatusCode, $"/dev/token answered {response.StatusCode}");
        var token = await response.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        return token.GetProperty("access_token").GetString() ?? "";
    }

    public async Task<Answer> Send(HttpMethod method, string path, string? token = null, HttpContent? content = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        if (token is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        return await Answer.Of(await Client.SendAsync(request, TestContext.Current.CancellationToken));
    }

    public Task<Answer> Get(string path, string? token = null, params (string Name, string Value)[] headers) =>
        Send(HttpMethod.Get, path, token, content: null, headers);

    public Task<Answer> PostJson(string path, string json, string? token = null) =>
        Send(HttpMethod.Post, path, token, new StringContent(json, System.Text.Encoding.UTF8, "application/json"));

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await App.DisposeAsync();
    }
}

internal sealed record Answer(int Status, string? ContentType, string Body, IReadOnlyDictionary<string, string> Headers)
{
    public static async Task<Answer> Of(HttpResponseMessage response)
    {
        using (response)
        {
            return new Answer(
                (int)response.StatusCode, response.Content.Headers.ContentType?.ToString(),
                await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken),
                response.Headers.Concat(response.Content.Headers).ToDictionary(h => h.Key, h => string.Join(", ", h.Value), StringComparer.OrdinalIgnoreCase));
        }
    }

    public JsonElement Json => JsonDocument.Parse(Body).RootElement;

    /// <summary>The code, once the answer has been seen to be a whole problem document.</summary>
    public string Problem()
    {
        Assert.StartsWith("application/problem+json", ContentType, StringComparison.Ordinal);
        var problem = Json;
        Assert.Equal(Status, problem.GetProperty("status").GetInt32());
        Assert.Matches("^[0-9a-f]{32}$", problem.GetProperty("traceId").GetString());
        Assert.NotEqual("", problem.GetProperty("title").GetString());
        var code = problem.GetProperty("code").GetString() ?? "";
        Assert.Equal("urn:wave16:problem:" + code, problem.GetProperty("type").GetString());
        return code;
    }

    /// <summary><c>pointer reason</c> of each bad field.</summary>
    public IReadOnlyList<string> Errors() =>
        [.. Json.GetProperty("errors").EnumerateArray().Select(e => e.GetProperty("pointer").GetString() + " " + e.GetProperty("reason").GetString())];
}

internal sealed class RecordedLog : ILoggerProvider
{
    private readonly ConcurrentQueue<(string Category, LogLevel Level, string Text)> _entries = new();

    public IReadOnlyList<(string Category, LogLevel Level, string Text)> Entries => [.. _entries];

    public ILogger CreateLogger(string categoryName) => new Recorder(this, categoryName);

    public void Dispose()
    {
    }

    private sealed class Recorder(RecordedLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            log._entries.Enqueue((category, logLevel, formatter(state, exception) + exception));
    }
}

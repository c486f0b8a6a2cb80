using System.Collections.Concurrent;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class TelemetryTests
{
    /// <summary>Takes what is exported over OTLP/HTTP.</summary>
    private sealed class Collector(WebApplication app) : IAsyncDisposable
    {
        private readonly ConcurrentDictionary<string, string> _received = new(StringComparer.Ordinal);

        public string Address => app.Urls.Single();

        public string Received(string signal) => _received.GetValueOrDefault("/v1/" + signal, "");

        public static async Task<Collector> Start()
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            builder.Logging.ClearProviders();
            var app = builder.Build();
            var collector = new Collector(app);
            app.MapPost("/v1/{signal}", async (HttpRequest request, CancellationToken cancel) =>
            {
                using var body = new MemoryStream();
                await request.Body.CopyToAsync(body, cancel);
                collector._received.AddOrUpdate(request.Path, _ => Text(body), (_, before) => before + Text(body));
            });
            await app.StartAsync(TestContext.Current.CancellationToken);
            return collector;

            // Strings stand as they are in protobuf.
            static string Text(MemoryStream body) => Encoding.UTF8.GetString(body.ToArray());
        }

        public async ValueTask DisposeAsync() => await app.DisposeAsync();
    }

    [Fact]
    public async Task Values_of_query_parameters_leave_in_no_trace_and_no_log()
    {
        await using var collector = await Collector.Start();
        await using (var service = await Service.Start(
            app =>
            {
                app.MapGet("/things", () => "ok").AllowAnonymous();
                app.MapGet("/outgoing", async (IHttpClientFactory clients, CancellationToken cancel) =>
                {
                    using var client = clients.CreateClient("neighbour");
                    return await client.GetStringAsync(new Uri(app.Urls.Single() + "/things?email=grace@example.com"), cancel);
                }).AllowAnonymous();
            },
            settings:
            [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Address), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
                ("Logging:LogLevel:Default", "Information"), ("Logging:LogLevel:Microsoft.AspNetCore", "Information"),
            ]))
        {
            Assert.Equal(200, (await service.Get("/things?email=ada@example.com")).Status);
            Assert.Equal(200, (await service.Get("/outgoing?email=ada@example.com")).Status);
            await service.App.StopAsync(TestContext.Current.CancellationToken);
            Assert.DoesNotContain(service.Log.Entries, e => e.Text.Contains("@example.com", StringComparison.Ordinal));
        }

        var traces = collector.Received("traces");
        Assert.Contains("GET /things", traces, StringComparison.Ordinal);
        Assert.Contains("email=Redacted", traces, StringComparison.Ordinal);
        Assert.Contains("http.server.request.duration", collector.Received("metrics"), StringComparison.Ordinal);
        Assert.NotEqual("", collector.Received("logs"));
        foreach (var signal in (string[])["traces", "metrics", "logs"])
            Assert.DoesNotContain("@example.com", collector.Received(signal), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_is_in_no_log()
    {
        await using var service = await Service.Start(
            app => app.MapGet("/things", () => "ok").RequireAuthorization(), settings: [("Logging:LogLevel:Default", "Trace")]);
        var token = await service.Token("acme", "x");

        await service.Get("/things", token);
        await service.Get("/things", token[..^4] + "AAAA");

        Assert.DoesNotContain(service.Log.Entries, e => e.Text.Contains(token.Split('.')[1], StringComparison.Ordinal));
    }

    [Fact]
    public async Task Without_an_exporter_nothing_is_instrumented()
    {
        await using var service = await Service.Start();

        Assert.Null(service.App.Services.GetService<OpenTelemetry.Trace.TracerProvider>());
        Assert.Null(service.App.Services.GetService<OpenTelemetry.Metrics.MeterProvider>());
    }
}

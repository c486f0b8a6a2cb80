using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class UnauthenticatedRequestTests
{
    [Fact]
    public async Task Requests_answered_401_are_counted_by_reason()
    {
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var service = await StartAsync(clock);
        using var counted = new Counted(service);
        var token = await service.Token("acme", "things.read");
        await service.Get("/things");
        await service.Get("/things", token[..^6] + "AAAAAA");
        await service.Get("/things", "not a token");
        await service.Get("/things", token);
        clock.Advance(TimeSpan.FromHours(2));
        await service.Get("/things", token);
        await service.Get("/open", token);

        Assert.Equal(["expired", "invalid", "invalid", "missing"], counted.Reasons.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_flood_of_bad_tokens_is_one_log_entry_a_minute()
    {
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var service = await StartAsync(clock);
        for (var i = 0; i < 50; i++)
            await service.Get("/things", "not a token");
        var first = Entries(service);
        clock.Advance(TimeSpan.FromMinutes(1));
        await service.Get("/things", "not a token");
        await service.Get("/things", "not a token");

        Assert.Equal("Tokens that are not accepted: 1 since the last such entry, this one invalid", Assert.Single(first));
        Assert.Equal("Tokens that are not accepted: 50 since the last such entry, this one invalid", Assert.Single(Entries(service).Skip(1)));
    }

    [Fact]
    public async Task A_request_without_a_token_is_no_news()
    {
        await using var service = await StartAsync(TimeProvider.System);
        await service.Get("/things");

        Assert.Empty(Entries(service));
    }

    private static Task<Service> StartAsync(TimeProvider clock) => Service.Start(
        app =>
        {
            app.MapGet("/things", () => "things").RequireScope("things.read");
            app.MapGet("/open", () => "open").AllowAnonymous();
        },
        add: builder =>
        {
            builder.Services.AddSingleton(clock);
            builder.Services.AddScopes(new Scope("things.read", "sample", "read things", Access.Reader));
        });

    private static List<string> Entries(Service service) =>
        [.. service.Log.Entries.Where(entry => entry.Category.EndsWith("UnauthenticatedRequests", StringComparison.Ordinal) && entry.Level is LogLevel.Warning).Select(entry => entry.Text)];

    private sealed class Counted : IDisposable
    {
        private readonly ConcurrentQueue<string> _reasons = new();
        private readonly MeterListener _listener = new();

        public Counted(Service service)
        {
            var meters = service.App.Services.GetRequiredService<IMeterFactory>();
            _listener.SetMeasurementEventCallback<long>((_, value, tags, _) =>
            {
                Assert.Equal(1, value);
                _reasons.Enqueue(tags[0].Value as string ?? "");
            });
            _listener.InstrumentPublished = (instrument, each) =>
            {
                if (instrument.Name == "authentication.refused" && ReferenceEquals(instrument.Meter.Scope, meters))
                    each.EnableMeasurementEvents(instrument);
            };
            _listener.Start();
        }

        public IEnumerable<string> Reasons => _reasons;

        public void Dispose() => _listener.Dispose();
    }
}

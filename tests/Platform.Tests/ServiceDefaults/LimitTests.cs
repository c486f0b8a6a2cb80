using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class LimitTests
{
    private sealed class Gate
    {
        public TaskCompletionSource Entered { get; } = new();

        public TaskCompletionSource Release { get; } = new();

        public async Task<string> Pass(CancellationToken cancel)
        {
            Entered.TrySetResult();
            await Release.Task.WaitAsync(cancel);
            return "through";
        }
    }

    [Fact]
    public async Task A_tenant_above_its_rate_is_told_when_to_come_back_and_others_are_not_affected()
    {
        await using var service = await Service.Start(
            app => app.MapGet("/things", () => "ok").RequireAuthorization(),
            settings: [("Limits:TenantRequestsPerSecond", "1"), ("Limits:TenantBurst", "3")]);
        var loud = await service.Token("loud", "x");
        var quiet = await service.Token("quiet", "x");

        var answer = await service.Get("/things", loud);
        for (var sent = 1; answer.Status == 200 && sent < 200; sent++)
            answer = await service.Get("/things", loud);

        Assert.Equal((429, "rate-limited", "1"), (answer.Status, answer.Problem(), answer.Headers["Retry-After"]));
        Assert.Equal(200, (await service.Get("/things", quiet)).Status);
        Assert.Equal(200, (await service.Get("/health")).Status);
    }

    [Fact]
    public async Task Above_the_places_and_the_queue_the_answer_is_an_early_503()
    {
        var gate = new Gate();
        var stream = new Gate();
        await using var service = await Service.Start(
            app =>
            {
                app.MapGet("/slow", (CancellationToken cancel) => gate.Pass(cancel)).AllowAnonymous();
                app.MapGet("/stream", (CancellationToken cancel) => stream.Pass(cancel)).AllowAnonymous().AllowLongLived();
            },
            settings: [("Limits:ConcurrentRequests", "1"), ("Limits:QueuedRequests", "0")]);

        var streaming = service.Get("/stream");
        await stream.Entered.Task.WaitAsync(TestContext.Current.CancellationToken);
        var first = service.Get("/slow");
        await gate.Entered.Task.WaitAsync(TestContext.Current.CancellationToken);
        var second = await service.Get("/slow");
        var probe = await service.Get("/alive");
        gate.Release.SetResult();
        stream.Release.SetResult();

        Assert.Equal((503, "overloaded", "2"), (second.Status, second.Problem(), second.Headers["Retry-After"]));
        Assert.Equal((200, 200, 200), (probe.Status, (await first).Status, (await streaming).Status));
    }

    [Fact]
    public async Task A_request_that_takes_too_long_is_cancelled_and_answered()
    {
        var gate = new Gate();
        await using var service = await Service.Start(
            app => app.MapGet("/slow", (CancellationToken cancel) => gate.Pass(cancel)).AllowAnonymous(),
            settings: [("Limits:RequestTimeout", "00:00:00.1")]);

        var answer = await service.Get("/slow");

        Assert.Equal((503, "timed-out"), (answer.Status, answer.Problem()));
    }

    [Theory]
    [InlineData("/small", 1024 * 1024, 200)]
    [InlineData("/small", 1024 * 1024 + 1, 413)]
    [InlineData("/large", 3 * 1024 * 1024, 200)]
    [InlineData("/large", 3 * 1024 * 1024 + 1, 413)]
    public async Task A_body_may_be_as_large_as_its_endpoint_allows(string path, int bytes, int status)
    {
        await using var service = await Service.Start(app =>
        {
            app.MapPost("/large", Length).AllowAnonymous().WithBodyLimit(3 * 1024 * 1024);
            app.MapPost("/small", Length).AllowAnonymous();
        });
        using var content = new ByteArrayContent(new byte[bytes]);

        var answer = await service.Send(HttpMethod.Post, path, token: null, content, ("Expect", "100-continue"));

        Assert.Equal(status, answer.Status);
        if (status == 413)
            Assert.Equal("request.too-large", answer.Problem());

        static async Task<string> Length(HttpRequest request, CancellationToken cancel)
        {
            using var sink = new MemoryStream();
            await request.Body.CopyToAsync(sink, cancel);
            return "read";
        }
    }

    [Fact]
    public async Task A_JSON_body_above_the_limit_is_a_413_too()
    {
        await using var service = await Service.Start(
            app => app.MapPost("/json", (string[] texts) => texts.Length).AllowAnonymous(), settings: [("Limits:BodyBytes", "1024")]);
        using var content = new StringContent("[\"" + new string('a', 2000) + "\"]", System.Text.Encoding.UTF8, "application/json");

        var answer = await service.Send(HttpMethod.Post, "/json", token: null, content, ("Expect", "100-continue"));

        Assert.Equal((413, "request.too-large"), (answer.Status, answer.Problem()));
    }

    [Fact]
    public async Task A_limit_that_makes_no_sense_stops_the_host_at_start() =>
        await Assert.ThrowsAsync<OptionsValidationException>(() => Service.Start(settings: [("Limits:ConcurrentRequests", "0")]));

    [Fact]
    public async Task A_host_has_30_seconds_to_finish()
    {
        await using var service = await Service.Start();

        Assert.Equal(TimeSpan.FromSeconds(30), service.App.Services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout);
    }
}

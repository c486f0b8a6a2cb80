using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Wave16.Platform.Events;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Store;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Modules;

public sealed class ShutdownTests(PostgresFixture postgres)
{
    private const string Renamed = "wave16.sample.ticket-renamed.v1";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task While_the_last_requests_are_finished_what_they_commit_is_delivered()
    {
        var hub = new Hub();
        var requests = new Dictionary<string, Request>(StringComparer.Ordinal) { ["T-1"] = new(), ["T-2"] = new() };
        await using var sample = await (await WebSample.StartAsync(
            await SampleModule.DatabaseAsync(postgres), TimeProvider.System,
            app => app.MapPost("/tickets/{id}", async (string id, HttpContext http) =>
            {
                requests[id].Entered.SetResult();
                await requests[id].Released.Task;
                var tickets = new TicketStore(http.RequestServices.GetRequiredKeyedService<ModuleDatabase>("sample"), http.RequestServices.GetRequiredKeyedService<SaveTail>("sample"));
                return await tickets.SaveAsync("last", TicketStore.Change(id, 1) with { Events = [new NewEvent(Renamed, "{}")] }, http.RequestAborted);
            }),
            module =>
            {
                module.Services.AddKeyedSingleton<IDestination>("sample", hub);
                module.Route(Renamed, hub.Name);
            })).ReadyAsync();
        var token = await sample.TokenAsync("acme", "ann");
        var first = sample.SendAsync(HttpMethod.Post, "/tickets/T-1", token: token);
        var second = sample.SendAsync(HttpMethod.Post, "/tickets/T-2", token: token);
        await Task.WhenAll(requests.Values.Select(request => request.Entered.Task)).WaitAsync(Cancellation);

        var stopping = new TaskCompletionSource();
        using var heard = sample.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(stopping.SetResult);
        var stopped = sample.StopAsync();
        await stopping.Task.WaitAsync(Cancellation);
        requests["T-1"].Released.SetResult();
        var delivered = await hub.Delivered.Reader.ReadAsync(Cancellation);
        requests["T-2"].Released.SetResult();

        Assert.Equal("T-1", delivered.Subject);
        Assert.Equal([HttpStatusCode.OK, HttpStatusCode.OK], (await Task.WhenAll(first, second)).Select(answer => answer.StatusCode));
        await stopped;
    }

    private sealed class Request
    {
        public TaskCompletionSource Entered { get; } = new();

        public TaskCompletionSource Released { get; } = new();
    }

    private sealed class Hub : IDestination
    {
        public string Name => "hub";

        public Channel<EventEnvelope> Delivered { get; } = Channel.CreateUnbounded<EventEnvelope>();

        public Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation)
        {
            Delivered.Writer.TryWrite(envelope);
            return Task.FromResult(DeliveryOutcome.Done);
        }
    }
}

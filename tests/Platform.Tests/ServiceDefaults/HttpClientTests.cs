using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Polly.CircuitBreaker;

namespace Wave16.Platform.Tests.ServiceDefaults;

public sealed class HttpClientTests
{
    private sealed class Neighbour
    {
        public int Calls { get; set; }

        public int Failures { get; set; }
    }

    private static Task<Service> Start(Neighbour neighbour) => Service.Start(app =>
        app.Map("/work", () => ++neighbour.Calls <= neighbour.Failures ? Results.StatusCode(500) : Results.Ok()).AllowAnonymous());

    private static async Task<int> Send(Service service, HttpMethod method, string? idempotencyKey = null, string path = "/work", string name = "neighbour")
    {
        using var client = service.App.Services.GetRequiredService<IHttpClientFactory>().CreateClient(name);
        using var request = new HttpRequestMessage(method, service.App.Urls.Single() + path);
        if (idempotencyKey is not null)
            request.Headers.Add("Idempotency-Key", idempotencyKey);
        using var response = await client.SendAsync(request, TestContext.Current.CancellationToken);
        return (int)response.StatusCode;
    }

    [Theory]
    [InlineData("GET", null, 2)]
    [InlineData("PUT", null, 2)]
    [InlineData("DELETE", null, 2)]
    [InlineData("POST", "k-1", 2)]
    [InlineData("POST", null, 1)]
    [InlineData("PATCH", null, 1)]
    public async Task Only_what_may_be_done_twice_is_tried_again(string method, string? key, int calls)
    {
        var neighbour = new Neighbour { Failures = 1 };
        await using var service = await Start(neighbour);

        var status = await Send(service, new HttpMethod(method), key);

        Assert.Equal((calls == 2 ? 200 : 500, calls), (status, neighbour.Calls));
    }

    [Fact]
    public async Task The_breaker_opens_after_a_few_failures()
    {
        var neighbour = new Neighbour { Failures = int.MaxValue };
        await using var service = await Start(neighbour);

        for (var i = 0; i < 8; i++)
            Assert.Equal(500, await Send(service, HttpMethod.Post));

        await Assert.ThrowsAsync<BrokenCircuitException>(() => Send(service, HttpMethod.Post));
        Assert.Equal(8, neighbour.Calls);
    }

    [Fact]
    public async Task A_system_that_is_down_opens_no_breaker_of_another_behind_the_same_address()
    {
        await using var service = await Service.Start(app =>
        {
            app.Map("/down", () => Results.StatusCode(500)).AllowAnonymous();
            app.Map("/up", () => Results.Ok()).AllowAnonymous();
        });

        for (var i = 0; i < 8; i++)
            Assert.Equal(500, await Send(service, HttpMethod.Post, path: "/down", name: "safety-console"));

        await Assert.ThrowsAsync<BrokenCircuitException>(() => Send(service, HttpMethod.Post, path: "/down", name: "safety-console"));
        Assert.Equal(200, await Send(service, HttpMethod.Post, path: "/up", name: "audit-trail"));
    }

    [Fact]
    public async Task A_service_is_found_by_its_name()
    {
        var neighbour = new Neighbour();
        await using var target = await Start(neighbour);
        await using var service = await Service.Start(settings: [("services:safety-console:http:0", target.App.Urls.Single())]);
        using var client = service.App.Services.GetRequiredService<IHttpClientFactory>().CreateClient("neighbour");

        using var response = await client.GetAsync(new Uri("https+http://safety-console/work"), TestContext.Current.CancellationToken);

        Assert.Equal((200, 1), ((int)response.StatusCode, neighbour.Calls));
    }
}

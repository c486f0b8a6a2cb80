using Microsoft.Extensions.Http;

namespace Wave16.ServiceDefaults;

/// <summary>
/// Tells the resilience pipeline which client a request comes from. By authority alone two systems behind one address would
/// share a circuit breaker, and one that is down would keep the other from being called.
/// </summary>
internal sealed class NamedClient : IHttpMessageHandlerBuilderFilter
{
    private static readonly HttpRequestOptionsKey<string> Key = new("wave16.client");

    public Action<HttpMessageHandlerBuilder> Configure(Action<HttpMessageHandlerBuilder> next) => builder =>
    {
        next(builder);
        builder.AdditionalHandlers.Insert(0, new Handler(builder.Name ?? ""));
    };

    /// <summary>The client's name and the address it calls.</summary>
    public static string PipelineOf(HttpRequestMessage request) =>
        $"{(request.Options.TryGetValue(Key, out var client) ? client : "")}|{request.RequestUri?.GetLeftPart(UriPartial.Authority)}";

    private sealed class Handler(string client) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Options.Set(Key, client);
            return base.SendAsync(request, cancellationToken);
        }
    }
}

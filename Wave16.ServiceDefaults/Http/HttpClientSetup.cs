using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Http.Resilience;
using Polly;

namespace Wave16.ServiceDefaults;

internal static class HttpClientSetup
{
    // A breaker that wants 100 calls in 30 s (the default) never opens at the traffic between our services.
    private const int BreakerMinimumThroughput = 8;
    private static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan TotalTimeout = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan BreakerSampling = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan BreakerBreak = TimeSpan.FromSeconds(5);

    public static void AddHttpClients(this IServiceCollection services)
    {
        services.AddServiceDiscovery();
        services.ConfigureHttpClientDefaults(http =>
        {
            http.AddStandardResilienceHandler(Configure).SelectPipelineBy(static _ => NamedClient.PipelineOf);
            http.AddServiceDiscovery();
        });
        services.AddSingleton<IHttpMessageHandlerBuilderFilter, NamedClient>();
    }

    private static void Configure(HttpStandardResilienceOptions options)
    {
        options.AttemptTimeout.Timeout = AttemptTimeout;
        options.AttemptTimeout.TimeoutGenerator = timeout => new(Limit(timeout.Context, AttemptTimeout));
        options.TotalRequestTimeout.Timeout = TotalTimeout;
        options.TotalRequestTimeout.TimeoutGenerator = timeout => new(Limit(timeout.Context, TotalTimeout));
        options.CircuitBreaker.MinimumThroughput = BreakerMinimumThroughput;
        options.CircuitBreaker.FailureRatio = 0.5;
        options.CircuitBreaker.SamplingDuration = BreakerSampling;
        options.CircuitBreaker.BreakDuration = BreakerBreak;
        options.Retry.MaxRetryAttempts = 2;
        options.Retry.Delay = TimeSpan.FromMilliseconds(200);
        options.Retry.UseJitter = true;
        options.Retry.BackoffType = DelayBackoffType.Exponential;
        var isTransient = options.Retry.ShouldHandle;
        options.Retry.ShouldHandle = async retry =>
            retry.Context.GetRequestMessage() is { } request && MayRepeat(request) && await isTransient(retry);
    }

    private static TimeSpan Limit(ResilienceContext context, TimeSpan usual) =>
        context.GetRequestMessage()?.IsBoundByCaller() == true ? Timeout.InfiniteTimeSpan : usual;

    /// <summary>RFC 9110 §9.2.2 idempotent methods, and those the caller has made so.</summary>
    private static bool MayRepeat(HttpRequestMessage request) =>
        request.Method == HttpMethod.Get || request.Method == HttpMethod.Head || request.Method == HttpMethod.Options
        || request.Method == HttpMethod.Put || request.Method == HttpMethod.Delete
        || request.Headers.Contains("Idempotency-Key");
}

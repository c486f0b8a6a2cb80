using System.Net;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Wave16.ServiceDefaults;

internal static class LimitSetup
{
    private static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(30);

    public static void AddLimits(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddOptions<LimitSettings>().BindConfiguration(LimitSettings.Section).ValidateDataAnnotations().ValidateOnStart();
        services.Configure<HostOptions>(options => options.ShutdownTimeout = ShutdownTimeout);
        services.AddOptions<KestrelServerOptions>().Configure<IOptions<LimitSettings>>((kestrel, limits) =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = limits.Value.BodyBytes;
        });

        services.AddRequestTimeouts();
        services.AddOptions<RequestTimeoutOptions>().Configure<IOptions<LimitSettings>>((timeouts, limits) => timeouts.DefaultPolicy = new RequestTimeoutPolicy
        {
            Timeout = limits.Value.RequestTimeout,
            TimeoutStatusCode = StatusCodes.Status503ServiceUnavailable,
            WriteTimeoutResponse = static http => http.RequestServices.GetRequiredService<ProblemWriter>()
                .WriteAsync(http, ProblemCodes.TimedOut, "The work was cancelled; ask for less at once or try again."),
        });

        services.AddRateLimiter(_ => { });
        services.AddOptions<RateLimiterOptions>().Configure<IOptions<LimitSettings>>((limiter, limits) =>
        {
            limiter.GlobalLimiter = PartitionedRateLimiter.CreateChained(PerTenant(limits.Value), Concurrency(limits.Value));
            limiter.OnRejected = static (rejected, _) => new ValueTask(WriteRejection(rejected));
        });
    }

    private static PartitionedRateLimiter<HttpContext> PerTenant(LimitSettings limits) =>
        PartitionedRateLimiter.Create<HttpContext, Client>(http => Caller.Of(http.User) is { } caller
            ? RateLimitPartition.GetTokenBucketLimiter(
                new Client(caller.Tenant, Address: null), _ => Bucket(limits.TenantRequestsPerSecond, limits.TenantBurst))
            : RateLimitPartition.GetTokenBucketLimiter(
                new Client(Tenant: null, http.Connection.RemoteIpAddress),
                _ => Bucket(limits.AnonymousRequestsPerSecond, limits.AnonymousRequestsPerSecond * 2)));

    private static PartitionedRateLimiter<HttpContext> Concurrency(LimitSettings limits) =>
        PartitionedRateLimiter.Create<HttpContext, bool>(http => http.GetEndpoint()?.Metadata.GetMetadata<LongLived>() is not null
            ? RateLimitPartition.GetNoLimiter(true)
            : RateLimitPartition.GetConcurrencyLimiter(false, _ => new ConcurrencyLimiterOptions
            {
                PermitLimit = limits.ConcurrentRequests,
                QueueLimit = limits.QueuedRequests,
                QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
            }));

    // Refilled ten times a second or, at small rates, by one token at a time: a rate is a rate and not a burst per second.
    private static TokenBucketRateLimiterOptions Bucket(int perSecond, int burst)
    {
        var tokens = Math.Max(1, perSecond / 10);
        return new()
        {
            TokenLimit = burst,
            TokensPerPeriod = tokens,
            ReplenishmentPeriod = TimeSpan.FromSeconds((double)tokens / perSecond),
            QueueLimit = 0,
            AutoReplenishment = true,
        };
    }

    private static Task WriteRejection(OnRejectedContext rejected)
    {
        var http = rejected.HttpContext;
        var problems = http.RequestServices.GetRequiredService<ProblemWriter>();
        // Only the token bucket knows when there will be room.
        return rejected.Lease.TryGetMetadata(MetadataName.RetryAfter, out var retryAfter)
            ? problems.WriteAsync(http, ProblemCodes.RateLimited, "The tenant sends more than its rate.", errors: null, retryAfter)
            : problems.WriteAsync(http, ProblemCodes.Overloaded, "Too many requests are waiting already.");
    }

    private readonly record struct Client(string? Tenant, IPAddress? Address);
}

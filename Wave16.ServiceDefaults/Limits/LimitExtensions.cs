using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Http.Timeouts;

namespace Wave16.ServiceDefaults;

public static class LimitExtensions
{
    /// <summary>Another limit for the request's body than the host's 1 MB; null for none (the handler then streams and counts).</summary>
    public static TBuilder WithBodyLimit<TBuilder>(this TBuilder builder, long? bytes)
        where TBuilder : IEndpointConventionBuilder => builder.WithMetadata(new BodyLimit(bytes));

    /// <summary>For an endpoint that stays open (a stream of events, a long upload): no request timeout, and it takes none of the
    /// places for concurrent requests. The tenant's rate still counts.</summary>
    public static TBuilder AllowLongLived<TBuilder>(this TBuilder builder)
        where TBuilder : IEndpointConventionBuilder => builder.WithMetadata(LongLived.Instance, new DisableRequestTimeoutAttribute());
}

internal sealed record BodyLimit(long? MaxRequestBodySize) : IRequestSizeLimitMetadata;

internal sealed class LongLived
{
    public static readonly LongLived Instance = new();
}

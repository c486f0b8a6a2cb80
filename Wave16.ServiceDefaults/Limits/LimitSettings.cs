using System.ComponentModel.DataAnnotations;

namespace Wave16.ServiceDefaults;

/// <summary>Configuration section <c>Limits</c>. Per replica.</summary>
internal sealed class LimitSettings
{
    public const string Section = "Limits";

    /// <summary>Sustained requests per second of one tenant; above it, 429.</summary>
    [Range(1, 1_000_000)]
    public int TenantRequestsPerSecond { get; set; } = 5_000;

    /// <summary>Requests a tenant may send at once after having been quiet.</summary>
    [Range(1, 10_000_000)]
    public int TenantBurst { get; set; } = 20_000;

    /// <summary>Requests per second and client address before anyone is known.</summary>
    [Range(1, 1_000_000)]
    public int AnonymousRequestsPerSecond { get; set; } = 500;

    /// <summary>Requests worked on at once.</summary>
    [Range(1, 100_000)]
    public int ConcurrentRequests { get; set; } = 256;

    /// <summary>Requests that may wait for a place; above it, 503.</summary>
    [Range(0, 100_000)]
    public int QueuedRequests { get; set; } = 512;

    /// <summary>After this a request is cancelled and answered 503.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "01:00:00")]
    public TimeSpan RequestTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Of a request's body, unless its endpoint says otherwise.</summary>
    [Range(1024, int.MaxValue)]
    public long BodyBytes { get; set; } = 1024 * 1024;
}

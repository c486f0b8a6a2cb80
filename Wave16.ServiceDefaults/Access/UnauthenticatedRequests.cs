using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Tokens;

namespace Wave16.ServiceDefaults;

/// <summary>
/// Counts requests that were answered 401: <c>authentication.refused</c> on the meter <c>Wave16.ServiceDefaults</c>, by reason, and
/// one log entry a minute at most. Never a database row: whoever has no token must not be able to make us write.
/// </summary>
internal sealed class UnauthenticatedRequests
{
    private static readonly TimeSpan LogEvery = TimeSpan.FromMinutes(1);

    private readonly Counter<long> _refused;
    private readonly TimeProvider _clock;
    private readonly ILogger<UnauthenticatedRequests> _log;
    private readonly Lock _gate = new();
    private DateTimeOffset _nextEntry = DateTimeOffset.MinValue;
    private long _unlogged;

    public UnauthenticatedRequests(IMeterFactory meters, TimeProvider clock, ILogger<UnauthenticatedRequests> log)
    {
        _refused = meters.Create("Wave16.ServiceDefaults").CreateCounter<long>(
            "authentication.refused", "{request}", "Requests answered 401, by reason: missing, expired, not-yet-valid, unusable, invalid.");
        _clock = clock;
        _log = log;
    }

    /// <param name="failure">Why the token was not accepted; null when there was none.</param>
    public void Count(Exception? failure)
    {
        var reason = Reason(failure);
        _refused.Add(1, new KeyValuePair<string, object?>("reason", reason));
        // A client that has not signed in yet is no news.
        if (failure is null)
        {
            return;
        }

        long requests;
        lock (_gate)
        {
            _unlogged++;
            var now = _clock.GetUtcNow();
            if (now < _nextEntry)
            {
                return;
            }

            _nextEntry = now + LogEvery;
            (requests, _unlogged) = (_unlogged, 0);
        }

        _log.LogWarning("Tokens that are not accepted: {Requests} since the last such entry, this one {Reason}", requests, reason);
    }

    // Few and fixed: what a caller sends never becomes a tag.
    private static string Reason(Exception? failure) => failure switch
    {
        null => "missing",
        SecurityTokenExpiredException => "expired",
        SecurityTokenNotYetValidException => "not-yet-valid",
        UnusableTokenException => "unusable",
        _ => "invalid",
    };
}

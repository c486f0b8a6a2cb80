using System.Net;
using Azure.Core;
using StackExchange.Redis;
using StackExchange.Redis.Configuration;

namespace Wave16.ServiceDefaults;

/// <summary>
/// Entra ID tokens as the password of Azure's Redis, which closes a connection when the token it was opened with ends: an open
/// connection is authenticated anew with each new token. Azure Managed Redis, "Use Microsoft Entra for cache authentication".
/// </summary>
internal sealed class RedisTokens : AzureManagedRedisOptionsProvider, IDisposable
{
    private static readonly TokenRequestContext Scope = new(["https://redis.azure.com/.default"]);
    private static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(5);

    private readonly TokenCredential _credential;
    private readonly TimeProvider _clock;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private AccessToken? _token;

    public RedisTokens(TokenCredential credential, TimeProvider clock)
    {
        _credential = credential;
        _clock = clock;
    }

    public static bool IsWanted(ConfigurationOptions options) =>
        string.IsNullOrEmpty(options.Password)
        && options.EndPoints.OfType<DnsEndPoint>().Any(to => new AzureManagedRedisOptionsProvider().IsMatch(to) || EntraIdentity.IsIn(to.Host, ".redis.cache.windows.net"));

    // Read at every connect.
    public override string User => EntraIdentity.ObjectIdOf(Current().Token);

    public override string Password => Current().Token;

    public override Task AfterConnectAsync(ConnectionMultiplexer multiplexer, Action<string> log)
    {
        _ = RenewAsync(multiplexer, _stopping.Token);
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        _stopping.Cancel();
        _stopping.Dispose();
    }

    private AccessToken Current()
    {
        lock (_gate)
        {
            if (_token is { } known && known.ExpiresOn - _clock.GetUtcNow() > TimeSpan.FromSeconds(30))
                return known;
            var token = _credential.GetToken(Scope, _stopping.Token);
            _token = token;
            return token;
        }
    }

    private async Task RenewAsync(ConnectionMultiplexer multiplexer, CancellationToken cancellation)
    {
        var wait = TimeSpan.Zero; // For as long as the token lasts that the connection was opened with.
        lock (_gate)
        {
            if (_token is { } first)
                wait = Wait(first);
        }

        while (true)
        {
            await Task.Delay(wait, _clock, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (cancellation.IsCancellationRequested)
                return;
            try
            {
                var token = await _credential.GetTokenAsync(Scope, cancellation);
                lock (_gate)
                {
                    _token = token;
                }

                foreach (var server in multiplexer.GetServers().Where(server => server.IsConnected))
                    await server.ExecuteAsync("AUTH", EntraIdentity.ObjectIdOf(token.Token), token.Token);
                wait = Wait(token);
            }
            catch (Exception) when (!cancellation.IsCancellationRequested)
            {
                // Whoever issues tokens, or Redis, is away: the connection's own state says the rest.
                wait = RetryEvery;
            }
        }
    }

    // Five minutes before its end, or earlier when the issuer says so: a connection that was busy must not meet the end.
    private TimeSpan Wait(AccessToken token)
    {
        var renewAt = token.RefreshOn is { } early && early < token.ExpiresOn - TimeSpan.FromMinutes(5) ? early : token.ExpiresOn - TimeSpan.FromMinutes(5);
        return TimeSpan.FromTicks(Math.Max((renewAt - _clock.GetUtcNow()).Ticks, RetryEvery.Ticks));
    }
}

using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Wave16.ServiceDefaults;

/// <summary>Validates a token once and remembers that it was valid: a signature check costs many times the rest of a request.</summary>
/// <remarks>Only valid results are kept, under the token's SHA-256, until the token expires and five minutes at most, and only as
/// long as the authority's published configuration (its keys) is the one they were validated with. Bounded: two generations of
/// <paramref name="generationSize"/> entries, the older dropped when the younger is full.</remarks>
internal sealed class CachingTokenHandler(TokenCallers callers, TimeProvider time, int generationSize = 8192) : JsonWebTokenHandler
{
    internal static readonly TimeSpan MaxAge = TimeSpan.FromMinutes(5);

    private Generations _generations = new(new(), new(), Configuration: null);

    internal int CachedCount => _generations.Young.Count + _generations.Old.Count;

    public override async Task<TokenValidationResult> ValidateTokenAsync(string token, TokenValidationParameters validationParameters)
    {
        var configuration = await CurrentConfiguration(validationParameters).ConfigureAwait(false);
        var hash = TokenHash.Of(token);
        var now = time.GetUtcNow();
        if (Find(hash, configuration) is { } known && now < known.Until)
            return known.Result;

        var result = await base.ValidateTokenAsync(token, validationParameters).ConfigureAwait(false);
        if (!result.IsValid)
            return result;
        try
        {
            result.ClaimsIdentity = new CallerIdentity(result.ClaimsIdentity, callers.Read(result.ClaimsIdentity));
        }
        catch (UnusableTokenException unusable)
        {
            return new TokenValidationResult { IsValid = false, Exception = unusable };
        }

        // Validation may have fetched newer keys: what it was validated with is what the manager holds now.
        configuration = await CurrentConfiguration(validationParameters).ConfigureAwait(false);
        var expires = new DateTimeOffset(DateTime.SpecifyKind(result.SecurityToken.ValidTo, DateTimeKind.Utc));
        Keep(hash, new Entry(result, expires < now + MaxAge ? expires : now + MaxAge), configuration);
        return result;
    }

    /// <exception cref="AuthorityUnavailableException">It has never been fetched and cannot be now.</exception>
    private static async Task<BaseConfiguration?> CurrentConfiguration(TokenValidationParameters parameters)
    {
        if (parameters.ConfigurationManager is not { } manager)
            return null;
        try
        {
            return await manager.GetBaseConfigurationAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (InvalidOperationException unavailable)
        {
            throw new AuthorityUnavailableException(unavailable);
        }
    }

    private Entry? Find(TokenHash hash, BaseConfiguration? configuration)
    {
        var generations = Volatile.Read(ref _generations);
        if (!ReferenceEquals(generations.Configuration, configuration))
            return null;
        return generations.Young.TryGetValue(hash, out var entry) || generations.Old.TryGetValue(hash, out entry) ? entry : null;
    }

    private void Keep(TokenHash hash, Entry entry, BaseConfiguration? configuration)
    {
        var generations = Volatile.Read(ref _generations);
        if (!ReferenceEquals(generations.Configuration, configuration))
            generations = Replace(generations, new Generations(new(), new(), configuration));
        else if (generations.Young.Count >= generationSize)
            generations = Replace(generations, new Generations(new(), generations.Young, configuration));
        // Another thread may have moved to newer keys meanwhile; what these keys vouched for is not kept then.
        if (ReferenceEquals(generations.Configuration, configuration))
            generations.Young[hash] = entry;
    }

    private Generations Replace(Generations expected, Generations next)
    {
        var before = Interlocked.CompareExchange(ref _generations, next, expected);
        return ReferenceEquals(before, expected) ? next : before;
    }

    private sealed record Generations(
        ConcurrentDictionary<TokenHash, Entry> Young, ConcurrentDictionary<TokenHash, Entry> Old, BaseConfiguration? Configuration);

    private sealed record Entry(TokenValidationResult Result, DateTimeOffset Until);

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct TokenHash(ulong A, ulong B, ulong C, ulong D)
    {
        public static TokenHash Of(string token)
        {
            Span<ulong> hash = stackalloc ulong[4];
            SHA256.HashData(MemoryMarshal.AsBytes(token.AsSpan()), MemoryMarshal.AsBytes(hash));
            return new TokenHash(hash[0], hash[1], hash[2], hash[3]);
        }
    }
}

/// <summary>Nothing can be said about any token: not the caller's fault.</summary>
internal sealed class AuthorityUnavailableException(Exception cause) : Exception("The authority's keys cannot be fetched.", cause);

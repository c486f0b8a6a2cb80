using Microsoft.Extensions.Configuration;

namespace Wave16.ServiceDefaults;

/// <summary>
/// What Aspire's client packages read from configuration, read without them too: <c>Aspire:{client}</c>, over it
/// <c>Aspire:{client}:{name}</c>, and over both <c>ConnectionStrings:{name}</c>.
/// </summary>
/// <param name="ConnectionString">Null when none is configured.</param>
/// <param name="DisableHealthChecks">The connection is not reported in <c>/health</c>.</param>
/// <param name="DisableTracing">No spans of this client.</param>
/// <param name="DisableMetrics">No metrics of this client.</param>
internal sealed record ClientSettings(string? ConnectionString, bool DisableHealthChecks, bool DisableTracing, bool DisableMetrics)
{
    public const string Npgsql = "Aspire:Npgsql";
    public const string Redis = "Aspire:StackExchange:Redis";

    /// <param name="configuration">The host's.</param>
    /// <param name="client"><see cref="Npgsql"/> or <see cref="Redis"/>.</param>
    /// <param name="name">Of the connection; null for what holds for all of this client's.</param>
    public static ClientSettings Read(IConfiguration configuration, string client, string? name)
    {
        return new ClientSettings(
            name is null ? null : configuration.GetConnectionString(name) ?? Value("ConnectionString"),
            Flag(nameof(DisableHealthChecks)),
            Flag(nameof(DisableTracing)),
            Flag(nameof(DisableMetrics)));

        string? Value(string key) => (name is null ? null : configuration[$"{client}:{name}:{key}"]) ?? configuration[$"{client}:{key}"];

        bool Flag(string key) => Value(key) is { Length: > 0 } given
            && (bool.TryParse(given, out var set) ? set : throw new InvalidOperationException($"{client}:{key} is '{given}': true or false is expected."));
    }
}

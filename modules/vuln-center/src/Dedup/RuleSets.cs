using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Dedup;

/// <summary>The rules of each source: versions that are never changed, the latest one in force.</summary>
internal sealed class RuleSets([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database)
{
    public async Task<SourceRules> CurrentAsync(string tenant, string source, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return await CurrentAsync(connection, tenant, source, cancellation);
    }

    public static async Task<SourceRules> CurrentAsync(NpgsqlConnection connection, string tenant, string source, CancellationToken cancellation) =>
        (await connection.ListAsync(
            "select version, body from vuln_center.dedup_rule where tenant = $1 and source = $2 order by version desc limit 1",
            row => Parse(source, row.GetInt32(0), row.GetString(1)), cancellation, tenant, source)).SingleOrDefault() ?? SourceRules.Default(source);

    public static async Task<SourceRules> FindAsync(NpgsqlConnection connection, string tenant, string source, int version, CancellationToken cancellation) =>
        version == SourceRules.Default(source).Version
            ? SourceRules.Default(source)
            : (await connection.ListAsync(
                "select body from vuln_center.dedup_rule where tenant = $1 and source = $2 and version = $3",
                row => Parse(source, version, row.GetString(0)), cancellation, tenant, source, version)).Single();

    public static string Write(IReadOnlyList<DedupKeyRule> keys) => JsonSerializer.Serialize(keys, VulnCenterJson.Default.IReadOnlyListDedupKeyRule);

    public static SourceRules Of(string source, int version, IReadOnlyList<DedupKeyRule> keys) =>
        new(source, version, [.. keys.Select(key => new KeyRule(key.Name, key.Kinds, key.Fields) { IsFallback = key.Fallback })]);

    public static IReadOnlyList<DedupKeyRule> View(SourceRules rules) => [.. rules.Keys.Select(key => new DedupKeyRule(key.Name, key.Kinds, key.Fields, key.IsFallback))];

    private static SourceRules Parse(string source, int version, string body) =>
        Of(source, version, JsonSerializer.Deserialize(body, VulnCenterJson.Default.IReadOnlyListDedupKeyRule) ?? throw new JsonException("Rules are null."));
}

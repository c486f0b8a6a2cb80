using System.Globalization;
using System.Text;
using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>
/// Leaves outside any save, of what changed no entity: refused attempts, entries by break-glass. Their version is 0, and they
/// are in no entity's chain.
/// </summary>
internal sealed class LoneLeaves(ModuleDatabase database, AuditSignal signal, TimeProvider clock)
{
    private const int MaxLength = 200;

    /// <summary>Returns when the leaf is durable.</summary>
    public async Task WriteAsync<TDetails>(string tenant, string actor, string action, string target, TDetails details, CancellationToken cancellation)
    {
        (actor, action, target) = (Clean(actor), Clean(action), Clean(target));
        // To the microsecond, as the store keeps it.
        var at = new DateTimeOffset(clock.GetUtcNow().UtcTicks / TimeSpan.TicksPerMicrosecond * TimeSpan.TicksPerMicrosecond, TimeSpan.Zero);
        var canonical = AuditLeaf.Canonical(tenant, target, version: 0, at, actor, action, command: null, covers: null, JsonSerializer.SerializeToElement(details), previous: "");
        await using var command = database.DataSource.CreateCommand("""
            insert into platform.audit_leaf (epoch, tenant, entity, entity_version, at, actor, action, canonical, hash)
            values ($1, $2, $3, 0, $4, $5, $6, $7, $8)
            """);
        command.CommandTimeout = 5;
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = database.Epoch.Number });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = target });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = at });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = actor });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = action });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = canonical });
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = AuditLeaf.Hash(canonical) });
        await command.ExecuteNonQueryAsync(cancellation);
        signal.Committed();
    }

    /// <summary>From outside, so anything: what the store cannot hold, and what a terminal would obey, becomes U+FFFD; at most 200 characters.</summary>
    public static string Clean(string text)
    {
        var clean = new StringBuilder(Math.Min(text.Length, MaxLength));
        foreach (var rune in text.EnumerateRunes())
        {
            if (clean.Length + rune.Utf16SequenceLength > MaxLength)
            {
                break;
            }

            clean.Append(Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control ? "\uFFFD" : rune.ToString());
        }

        return clean.ToString();
    }
}

using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>The checks of single leaves: content against hash, columns against content, the entity's chain.</summary>
internal sealed class LeafChecks(AuditFindings findings)
{
    /// <summary>What a query of leaves, as <c>l</c>, selects for <see cref="Read"/>. Relies on the index audit_leaf_entity.</summary>
    public const string Columns = """
        l.epoch, l.xid, l.id, l.tenant, l.entity, l.entity_version, l.at, l.actor, l.action, l.covers, l.canonical, l.hash,
        (select p.hash from platform.audit_leaf p
         where l.entity_version > 0 and p.tenant = l.tenant and p.entity = l.entity and p.entity_version < l.entity_version and p.entity_version > 0
         order by p.entity_version desc limit 1),
        exists (select from platform.audit_leaf f
         where l.entity_version > 0 and f.tenant = l.tenant and f.entity = l.entity and f.entity_version = l.entity_version and f.id <> l.id)
        """;

    private readonly List<(LeafRow Leaf, byte[] Previous)> _unresolved = [];

    public long Checked { get; private set; }

    /// <param name="reader">On a row of <see cref="Columns"/>.</param>
    /// <param name="at">Ordinal of the first of them.</param>
    /// <param name="seq">The leaf's place in the log.</param>
    public static LeafRow Read(NpgsqlDataReader reader, int at, long? seq) => new()
    {
        Seq = seq,
        Epoch = reader.GetInt32(at),
        Xid = reader.GetFieldValue<ulong>(at + 1),
        Id = reader.GetInt64(at + 2),
        Tenant = reader.GetString(at + 3),
        Entity = reader.GetString(at + 4),
        Version = reader.GetInt64(at + 5),
        At = reader.GetFieldValue<DateTimeOffset>(at + 6),
        Actor = reader.GetString(at + 7),
        Action = reader.GetString(at + 8),
        Covers = reader.IsDBNull(at + 9) ? null : reader.GetString(at + 9),
        Canonical = reader.GetString(at + 10),
        Hash = reader.GetFieldValue<byte[]>(at + 11),
        Previous = reader.IsDBNull(at + 12) ? null : reader.GetFieldValue<byte[]>(at + 12),
        IsForked = reader.GetBoolean(at + 13),
    };

    public void Check(LeafRow leaf)
    {
        Checked++;
        if (!leaf.Hash.AsSpan().SequenceEqual(AuditLeaf.Hash(leaf.Canonical)))
        {
            findings.Add(AuditProblemKind.ContentChanged, leaf, "The content does not hash to the leaf's hash.");
        }

        if (!TryParse(leaf.Canonical, out var content))
        {
            findings.Add(AuditProblemKind.ContentChanged, leaf, "The content is not the canonical form of a leaf.");
            return;
        }

        using (content)
        {
            foreach (var column in ChangedColumns(leaf, content.RootElement))
            {
                findings.Add(AuditProblemKind.ColumnChanged, leaf, $"The column {column} says something else than the content.");
            }

            if (leaf.IsForked)
            {
                findings.Add(AuditProblemKind.ChainForked, leaf, $"Another leaf tells of version {leaf.Version} too.");
            }

            CheckPrevious(leaf, Text(content.RootElement, "prev"));
        }
    }

    /// <summary>
    /// Looks up those leaves whose previous leaf is not of their own entity: it must cover their kind. Nothing has to be
    /// said about order: a leaf can name only a hash that was known when it was written.
    /// </summary>
    public async Task ResolveAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        if (_unresolved.Count == 0)
        {
            return;
        }

        var covering = new HashSet<(string Hash, string Tenant, string Kind)>();
        await using (var command = new NpgsqlCommand("select hash, tenant, covers from platform.audit_leaf where covers is not null and hash = any($1)", connection))
        {
            command.Parameters.Add(new NpgsqlParameter<byte[][]> { TypedValue = [.. _unresolved.Select(leaf => leaf.Previous)], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bytea });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                covering.Add((Convert.ToHexString(reader.GetFieldValue<byte[]>(0)), reader.GetString(1), reader.GetString(2)));
            }
        }

        foreach (var (leaf, previous) in _unresolved)
        {
            var kind = leaf.Entity[..Math.Max(0, leaf.Entity.IndexOf('/', StringComparison.Ordinal))];
            if (!covering.Contains((Convert.ToHexString(previous), leaf.Tenant, kind)))
            {
                findings.Add(AuditProblemKind.ChainBroken, leaf, "The previous leaf it names is neither the entity's last one nor one that covers it: a leaf was changed or removed.");
            }
        }

        _unresolved.Clear();
    }

    private void CheckPrevious(LeafRow leaf, string? previous)
    {
        if (leaf.Version == 0 || (previous is "" && leaf.Previous is null))
        {
            return;
        }

        if (previous is { Length: 2 * MerkleTree.HashLength } && previous.All(char.IsAsciiHexDigitLower))
        {
            var hash = Convert.FromHexString(previous);
            if (!hash.AsSpan().SequenceEqual(leaf.Previous))
            {
                _unresolved.Add((leaf, hash));
            }
        }
        else
        {
            findings.Add(AuditProblemKind.ChainBroken, leaf, "It names no previous leaf, and the entity has an older one.");
        }
    }

    private static IEnumerable<string> ChangedColumns(LeafRow leaf, JsonElement content)
    {
        if (Text(content, "tenant") != leaf.Tenant)
            yield return "tenant";
        if (Text(content, "entity") != leaf.Entity)
            yield return "entity";
        if (!content.TryGetProperty("version", out var version) || !version.TryGetInt64(out var number) || number != leaf.Version)
            yield return "entity_version";
        // The store keeps microseconds, the content tenths of them.
        if (!content.TryGetProperty("at", out var at) || !at.TryGetDateTimeOffset(out var time) || (time - leaf.At).Duration() >= TimeSpan.FromMicroseconds(1))
            yield return "at";
        if (Text(content, "actor") != leaf.Actor)
            yield return "actor";
        if (Text(content, "action") != leaf.Action)
            yield return "action";
        if (Text(content, "covers") != leaf.Covers)
            yield return "covers";
    }

    private static string? Text(JsonElement content, string member) =>
        content.TryGetProperty(member, out var value) && value.ValueKind is JsonValueKind.String ? value.GetString() : null;

    private static bool TryParse(string canonical, out JsonDocument content)
    {
        try
        {
            content = JsonDocument.Parse(canonical);
            if (content.RootElement.ValueKind is JsonValueKind.Object)
            {
                return true;
            }

            content.Dispose();
        }
        catch (JsonException)
        {
            // Reported by the caller: what is stored is not what any save writes.
        }

        content = JsonDocument.Parse("{}");
        return false;
    }
}

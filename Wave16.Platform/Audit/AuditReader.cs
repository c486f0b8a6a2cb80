using System.Globalization;
using System.Text;
using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>A leaf of the audit log.</summary>
/// <param name="Id">Of the leaf.</param>
/// <param name="Seq">Its place in the log, from 0; null until it is sealed, about a second later.</param>
/// <param name="Entity"><c>kind/id</c>, or what a refused attempt or an entry by break-glass aimed at.</param>
/// <param name="Version">Of the entity that the change created; 0 for what changed none: a refused attempt, an entry by break-glass.</param>
/// <param name="At">When.</param>
/// <param name="Actor">A subject, or <c>system:part</c>.</param>
/// <param name="Action">What was done.</param>
/// <param name="Covers">For a set-based write: the kind of the entities it changed.</param>
/// <param name="Hash">SHA-256(0x00 || UTF-8(canonical)), lower-case hexadecimal (RFC 6962 section 2.1).</param>
/// <param name="Details">What else there is to know; part of the content. Null when the content is not what a save writes.</param>
/// <param name="Canonical">The content that is hashed, byte for byte.</param>
public sealed record AuditItem(
    long Id, long? Seq, string Entity, long Version, DateTimeOffset At, string Actor, string Action, string? Covers, string Hash, JsonElement? Details, string Canonical);

internal sealed record AuditFilter(string? Entity, string? Actor, string? Action, DateTimeOffset? From, DateTimeOffset? To);

/// <summary>Keyset position of <see cref="AuditReader.ListAsync"/>.</summary>
internal sealed record AuditPosition(DateTimeOffset At, long Id);

/// <summary>A leaf's place: <paramref name="Seq"/> is null until it is sealed.</summary>
internal sealed record LeafPlace(long Id, long? Seq, byte[] Hash);

/// <summary>Reads of the log for auditors.</summary>
internal sealed class AuditReader(ModuleDatabase database)
{
    /// <summary>Newest first. Relies on audit_leaf_time, or audit_leaf_entity when an entity is asked for.</summary>
    public async Task<List<AuditItem>> ListAsync(string tenant, AuditFilter filter, AuditPosition? after, int atMost, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand();
        var sql = new StringBuilder("""
            select l.id, e.seq, l.entity, l.entity_version, l.at, l.actor, l.action, l.covers, l.hash, l.canonical
            from platform.audit_leaf l left join platform.audit_entry e on e.leaf_id = l.id
            where l.tenant = $1
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        Where("l.entity =", filter.Entity);
        Where("l.actor =", filter.Actor);
        Where("l.action =", filter.Action);
        Where("l.at >=", filter.From?.ToUniversalTime());
        Where("l.at <", filter.To?.ToUniversalTime());
        if (after is not null)
        {
            sql.Append(" and (l.at, l.id) < (").Append(Parameter(after.At.ToUniversalTime())).Append(", ").Append(Parameter(after.Id)).Append(')');
        }

        command.CommandText = sql.Append(" order by l.at desc, l.id desc limit ").Append(Parameter(atMost)).ToString();
        var items = new List<AuditItem>();
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            items.Add(Item(reader));
        }

        return items;

        void Where<T>(string condition, T? value)
        {
            if (value is not null)
            {
                sql.Append(" and ").Append(condition).Append(' ').Append(Parameter(value));
            }
        }

        string Parameter(object value)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = value });
            return "$" + command.Parameters.Count.ToString(CultureInfo.InvariantCulture);
        }
    }

    /// <summary>Null when the tenant has no such leaf.</summary>
    public async Task<LeafPlace?> FindPlaceAsync(string tenant, long leafId, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select l.id, e.seq, coalesce(e.hash, l.hash)
            from platform.audit_leaf l left join platform.audit_entry e on e.leaf_id = l.id
            where l.id = $1 and l.tenant = $2
            """);
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = leafId });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation)
            ? new(reader.GetInt64(0), reader.IsDBNull(1) ? null : reader.GetInt64(1), reader.GetFieldValue<byte[]>(2))
            : null;
    }

    /// <param name="size">Of that many leaves; null for the latest.</param>
    /// <param name="cancellation">Of the query.</param>
    /// <returns>The head with its note; null when there is none.</returns>
    public async Task<(HeadRow Head, string Note)?> FindHeadAsync(long? size, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            select {HeadRow.Columns}, (select token from platform.epoch e where e.epoch = h.epoch) from platform.audit_head h
            where $1::bigint is null or tree_size = $1 order by tree_size desc limit 1
            """);
        command.Parameters.Add(new NpgsqlParameter { Value = (object?)size ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            return null;
        }

        var head = HeadRow.Read(reader);
        return (head, head.Checkpoint(database.Module, reader.GetString(6)).Note(head.KeyId, head.Signature));
    }

    private static AuditItem Item(NpgsqlDataReader reader)
    {
        var canonical = reader.GetString(9);
        return new(
            reader.GetInt64(0), reader.IsDBNull(1) ? null : reader.GetInt64(1), reader.GetString(2), reader.GetInt64(3), reader.GetFieldValue<DateTimeOffset>(4),
            reader.GetString(5), reader.GetString(6), reader.IsDBNull(7) ? null : reader.GetString(7), Convert.ToHexStringLower(reader.GetFieldValue<byte[]>(8)),
            Details(canonical), canonical);
    }

    // A leaf that was tampered with is listed as it is; verify says what is wrong with it.
    private static JsonElement? Details(string canonical)
    {
        try
        {
            var content = JsonElement.Parse(canonical);
            return content.ValueKind is JsonValueKind.Object && content.TryGetProperty("details", out var details) ? details : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Wave16.Platform.Store;

/// <summary>Everything that is written together with a new version of an entity.</summary>
/// <remarks>
/// The module updates its own row; <see cref="SaveTail"/> turns this into the rest of that one statement: events and
/// their deliveries, the audit leaf, the command's answer, due work.
/// </remarks>
public sealed record EntityChange
{
    public required string Tenant { get; init; }

    /// <summary>Kind of entity, singular and lower case: <c>finding</c>.</summary>
    public required string Kind { get; init; }

    public required string Id { get; init; }

    /// <summary>The version this change creates; 1 for a new entity.</summary>
    public required long Version { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>Who did it: a subject from a token, or <c>system:&lt;part&gt;</c>.</summary>
    public required string Actor { get; init; }

    /// <summary>What was done, for the audit log: <c>finding.triage</c>.</summary>
    public required string Action { get; init; }

    /// <summary>
    /// For a set-based write: the kind of the entities it changed. Their audit hash becomes that of this leaf, and
    /// <see cref="Details"/> carries a digest of them.
    /// </summary>
    public string? Covers { get; init; }

    /// <summary>JSON with what an auditor needs to know of the change. No secrets, no personal data.</summary>
    public required JsonElement Details { get; init; }

    /// <summary>Hash of the entity's previous audit leaf; null for a new entity.</summary>
    public ReadOnlyMemory<byte>? PreviousAuditHash { get; init; }

    public IReadOnlyList<NewEvent> Events { get; init; } = [];

    /// <summary>Null when nobody can repeat this command.</summary>
    public string? CommandId { get; init; }

    /// <summary>JSON kept under <see cref="CommandId"/> and given back when the command comes again.</summary>
    public string Answer { get; init; } = "{}";

    public IReadOnlyList<DueChange> Due { get; init; } = [];

    public string EntityKey => $"{Kind}/{Id}";
}

/// <summary>An event as an entity raises it; id, source, subject and time are added when it is saved.</summary>
/// <param name="Type">CloudEvents type: <c>wave16.vuln-center.finding-triaged.v1</c>.</param>
/// <param name="Data">JSON object, at most 60 KB.</param>
public sealed record NewEvent(string Type, string Data);

/// <summary>A deadline of the entity that is being saved.</summary>
/// <param name="Kind">What is due: <c>sla-breach</c>.</param>
/// <param name="Generation">Grows whenever the deadline is set anew; a sweep that carries an older one changes nothing.</param>
/// <param name="DueAt">Null: the deadline is met or void.</param>
public sealed record DueChange(string Kind, long Generation, DateTimeOffset? DueAt);

/// <summary>The canonical form of an audit leaf, and its RFC 6962 leaf hash.</summary>
public static class AuditLeaf
{
    /// <summary>JSON with a fixed member order; <c>prev</c> is the entity's previous leaf hash in lower-case hexadecimal.</summary>
    public static string Canonical(EntityChange change) => Canonical(
        change.Tenant, change.EntityKey, change.Version, change.At, change.Actor, change.Action, change.CommandId, change.Covers, change.Details,
        change.PreviousAuditHash is { } previous ? Convert.ToHexStringLower(previous.Span) : "");

    internal static string Canonical(
        string tenant, string entity, long version, DateTimeOffset at, string actor, string action, string? command, string? covers, JsonElement details, string previous)
    {
        using var buffer = new MemoryStream(512);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("tenant", tenant);
            json.WriteString("entity", entity);
            json.WriteNumber("version", version);
            json.WriteString("at", at.ToUniversalTime());
            json.WriteString("actor", actor);
            json.WriteString("action", action);
            if (command is not null)
            {
                json.WriteString("command", command);
            }

            if (covers is not null)
            {
                json.WriteString("covers", covers);
            }

            json.WritePropertyName("details");
            details.WriteTo(json);
            json.WriteString("prev", previous);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
    }

    /// <summary>SHA-256(0x00 || UTF-8(canonical)), RFC 6962 section 2.1.</summary>
    public static byte[] Hash(string canonical)
    {
        var bytes = new byte[1 + Encoding.UTF8.GetByteCount(canonical)];
        Encoding.UTF8.GetBytes(canonical, bytes.AsSpan(1));
        return SHA256.HashData(bytes);
    }
}

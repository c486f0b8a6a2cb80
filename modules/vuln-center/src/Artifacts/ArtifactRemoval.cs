using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>What became of removing.</summary>
internal abstract record Removing
{
    /// <param name="Version">The finding's, after it.</param>
    public sealed record Removed(long Version) : Removing;

    public sealed record NoArtifact : Removing;

    /// <summary>A step of the finding's history rests on it.</summary>
    public sealed record IsEvidence : Removing;
}

/// <summary>What the audit log says of an artifact that was taken off a finding.</summary>
/// <param name="ContentRemoved">No other finding of the tenant referred to its content.</param>
internal sealed record ArtifactRemovalAudit(FindingStatus Status, string Sha256, bool ContentRemoved, string Reason);

/// <summary>Takes artifacts off findings, in one transaction with the content that nothing refers to any more, the history and the audit leaf.</summary>
internal sealed class ArtifactRemoval(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SaveTail tail,
    TimeProvider clock)
{
    private const string Change = "finding.artifact-removed";
    private const int TailFrom = 10;

    // Whoever attaches the same content meanwhile waits for this row, and then finds it gone, or keeps it from going.
    private const string LockContent = "select from vuln_center.artifact where tenant = $1 and sha256 = $2 for update";

    private const string Locked = """
        select f.version, f.status, f.audit_hash,
               exists (select from vuln_center.transition t where t.tenant = $1 and t.finding = $2 and t.evidence ->> 'sha256' = encode($3, 'hex'))
        from vuln_center.finding f join vuln_center.finding_artifact a on a.tenant = f.tenant and a.finding = f.id and a.sha256 = $3
        where f.tenant = $1 and f.id = $2 for update of f, a
        """;

    private const string Detach = "delete from vuln_center.finding_artifact where tenant = $1 and finding = $2 and sha256 = $3";

    private const string Orphan = """
        with gone as (
          delete from vuln_center.artifact a
          where a.tenant = $1 and a.sha256 = $2 and not exists (select from vuln_center.finding_artifact r where r.tenant = $1 and r.sha256 = $2 and r.stored)
          returning a.size
        ), chunks as (
          delete from vuln_center.artifact_chunk c using gone where c.tenant = $1 and c.sha256 = $2
        )
        select size from gone
        """;

    private static readonly string Save = $"""
        with u as (
          update vuln_center.finding set version = $4, audit_hash = {SaveTail.AuditHash(TailFrom)}
          where tenant = $1 and id = $2 and version = $3 and {SaveTail.NotYetDone(TailFrom)}
          returning id
        ), h as (
          insert into vuln_center.transition (tenant, finding, version, at, actor, change, from_status, to_status, reason, scan, evidence)
          select $1, $2, $4, $5, $6, $7, $8, $8, $9, null, null from u
        ){SaveTail.Sql(TailFrom)}
        """;

    public async Task<Removing> RemoveAsync(string tenant, Guid finding, byte[] sha256, string actor, string reason, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await ExecuteAsync(connection, LockContent, cancellation, tenant, sha256);
        long version;
        FindingStatus status;
        byte[] auditHash;
        await using (var command = Command(connection, Locked, tenant, finding, sha256))
        {
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            if (!await reader.ReadAsync(cancellation))
            {
                return new Removing.NoArtifact();
            }

            if (reader.GetBoolean(3))
            {
                return new Removing.IsEvidence();
            }

            (version, status, auditHash) = (reader.GetInt64(0), (FindingStatus)reader.GetInt16(1), reader.GetFieldValue<byte[]>(2));
        }

        await ExecuteAsync(connection, Detach, cancellation, tenant, finding, sha256);
        await using var orphan = Command(connection, Orphan, tenant, sha256);
        var freed = await orphan.ExecuteScalarAsync(cancellation) as long?;
        await SaveAsync(connection, tenant, finding, version, status, auditHash, sha256, freed is not null, actor, reason, cancellation);
        if (freed is { } bytes)
        {
            await ArtifactQuota.AddAsync(connection, tenant, -bytes, cancellation);
        }

        await transaction.CommitAsync(cancellation);
        return new Removing.Removed(version + 1);
    }

    private async Task SaveAsync(
        NpgsqlConnection connection, string tenant, Guid finding, long version, FindingStatus status, byte[] auditHash, byte[] sha256, bool contentRemoved, string actor,
        string reason, CancellationToken cancellation)
    {
        var digest = Convert.ToHexStringLower(sha256);
        var change = new EntityChange
        {
            Tenant = tenant,
            Kind = "finding",
            Id = finding.ToString("D"),
            Version = version + 1,
            At = clock.GetUtcNow().ToUniversalTime(),
            Actor = actor,
            Action = Change,
            Details = JsonSerializer.SerializeToElement(new ArtifactRemovalAudit(status, digest, contentRemoved, reason), VulnCenterJson.Default.ArtifactRemovalAudit),
            PreviousAuditHash = auditHash,
        };
        await using var command = Command(connection, Save, tenant, finding, version, version + 1, change.At, actor, Change, (short)status, $"{reason} ({digest})");
        if (await tail.SaveAsync(command, change, cancellation) is not SaveOutcome.Saved)
        {
            throw new InvalidOperationException($"Finding {finding} changed while it was locked.");
        }
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation, params object[] values)
    {
        await using var command = Command(connection, sql, values);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, params object[] values)
    {
        var command = new NpgsqlCommand(sql, connection);
        foreach (var value in values)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        }

        return command;
    }
}

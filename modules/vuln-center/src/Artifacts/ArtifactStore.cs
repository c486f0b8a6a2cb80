using System.Text.Json;
using Microsoft.Extensions.Options;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>What became of attaching.</summary>
internal abstract record Attaching
{
    /// <param name="Any">False when all of it was attached already; nothing has changed then.</param>
    public sealed record Attached(ArtifactList List, bool Any) : Attaching;

    public sealed record NoFinding : Attaching;

    public sealed record TooMany : Attaching;

    /// <param name="Used">Bytes of the tenant, without what was sent.</param>
    public sealed record OverQuota(long Used, long Limit) : Attaching;
}

/// <summary>What the audit log says of artifacts: no names, since people's are in them.</summary>
internal sealed record ArtifactAudit(FindingStatus Status, IReadOnlyList<AuditedArtifact> Artifacts);

internal sealed record AuditedArtifact(string Sha256, string MediaType, long? Size, bool Stored, string? Uri);

/// <summary>
/// Stores artifacts and attaches them. Content, reference, history and audit leaf are one transaction, so it writes the finding as an import
/// does, beside its grain: that finds its version passed, and reloads.
/// </summary>
internal sealed class ArtifactStore(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SaveTail tail,
    IOptions<ArtifactOptions> options,
    TimeProvider clock)
{
    /// <summary>Artifacts of one finding.</summary>
    public const int Most = 500;

    private const int TailFrom = 17;

    private const string Columns = "a.sha256, a.name, a.media_type, a.size, a.uri, a.note, a.stored, a.attached_by, a.attached_at";

    // A reference whose content comes later keeps its address, and is stored from then on.
    private static readonly string Attach = $"""
        with u as (
          update vuln_center.finding set version = $4, audit_hash = {SaveTail.AuditHash(TailFrom)}
          where tenant = $1 and id = $2 and version = $3 and {SaveTail.NotYetDone(TailFrom)}
          returning id
        ), h as (
          insert into vuln_center.transition (tenant, finding, version, at, actor, change, from_status, to_status, reason, scan, evidence)
          select $1, $2, $4, $5, $6, $7, $8, $8, $9, null, null from u
        ), a as (
          insert into vuln_center.finding_artifact as known (tenant, finding, sha256, stored, media_type, name, size, uri, note, attached_by, attached_at)
          select $1, $2, n.sha256, n.stored, n.media_type, n.name, n.size, n.uri, n.note, $6, $5
          from u, unnest($10::bytea[], $11::bool[], $12::text[], $13::text[], $14::bigint[], $15::text[], $16::text[]) as n(sha256, stored, media_type, name, size, uri, note)
          on conflict (tenant, finding, sha256) do update
            set stored = true, media_type = excluded.media_type, name = excluded.name, size = excluded.size, note = coalesce(excluded.note, known.note)
        ){SaveTail.Sql(TailFrom)}
        """;

    public async Task<Attaching> AttachAsync(string tenant, Guid finding, IReadOnlyList<NewArtifact> artifacts, string actor, CancellationToken cancellation)
    {
        // One of each, and all in one order: two who store the same contents never wait for each other in a circle.
        var distinct = artifacts.DistinctBy(artifact => Convert.ToHexString(artifact.Sha256)).OrderBy(artifact => Convert.ToHexString(artifact.Sha256), StringComparer.Ordinal).ToList();
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var limit = options.Value.MaxTenantArtifactBytes;
        var stored = 0L;
        foreach (var artifact in distinct)
        {
            if (await ReserveAsync(connection, tenant, artifact, clock.GetUtcNow().ToUniversalTime(), cancellation))
            {
                // Before the content is written: what is refused leaves no trace in the table.
                stored += artifact.Size ?? 0;
                if (await ArtifactQuota.UsedAsync(connection, tenant, cancellation) is var used && used + stored > limit)
                {
                    return new Attaching.OverQuota(used, limit);
                }

                await WriteAsync(connection, tenant, artifact, cancellation);
            }
        }

        if (await LockAsync(connection, tenant, finding, cancellation) is not { } state)
        {
            return new Attaching.NoFinding();
        }

        var now = clock.GetUtcNow().ToUniversalTime();
        var known = await KnownAsync(connection, tenant, finding, cancellation);
        var wanted = distinct.Where(artifact => !known.TryGetValue(Convert.ToHexString(artifact.Sha256), out var stored) || (!stored && artifact.Content is not null)).ToList();
        if (wanted.Count == 0)
        {
            // What was sent is attached and stored already.
            return new Attaching.Attached(await ListAsync(connection, tenant, finding, state.Version, cancellation), Any: false);
        }

        if (known.Count + wanted.Count(artifact => !known.ContainsKey(Convert.ToHexString(artifact.Sha256))) > Most)
        {
            return new Attaching.TooMany();
        }

        await SaveAsync(connection, tenant, finding, state, wanted, actor, now, cancellation);
        var list = await ListAsync(connection, tenant, finding, state.Version + 1, cancellation);
        if (stored > 0 && await ArtifactQuota.AddAsync(connection, tenant, stored, cancellation) is var total && total > limit)
        {
            return new Attaching.OverQuota(total - stored, limit);
        }

        await transaction.CommitAsync(cancellation);
        return new Attaching.Attached(list, Any: true);
    }

    public async Task<bool> ExistsAsync(string tenant, Guid finding, CancellationToken cancellation)
    {
        await using var command = Command(database.DataSource.CreateCommand("select 1 from vuln_center.finding where tenant = $1 and id = $2"), tenant, finding);
        return await command.ExecuteScalarAsync(cancellation) is not null;
    }

    /// <summary>Null when there is no such finding.</summary>
    public async Task<ArtifactList?> ListAsync(string tenant, Guid finding, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var version = Command(new NpgsqlCommand("select version from vuln_center.finding where tenant = $1 and id = $2", connection), tenant, finding);
        return await version.ExecuteScalarAsync(cancellation) is long current ? await ListAsync(connection, tenant, finding, current, cancellation) : null;
    }

    public async Task<Artifact?> FindAsync(string tenant, Guid finding, byte[] sha256, CancellationToken cancellation)
    {
        await using var command = Command(
            database.DataSource.CreateCommand($"select {Columns} from vuln_center.finding_artifact a where a.tenant = $1 and a.finding = $2 and a.sha256 = $3"), tenant, finding);
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = sha256 });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? Read(reader) : null;
    }

    public ArtifactContent Open(string tenant, byte[] sha256, long size) => new(database, tenant, sha256, size);

    /// <summary>Makes sure that the content's row is there until the end of the transaction: nobody removes it before it is referred to.</summary>
    /// <returns>Whether the content has to be written.</returns>
    private static async Task<bool> ReserveAsync(NpgsqlConnection connection, string tenant, NewArtifact artifact, DateTimeOffset now, CancellationToken cancellation)
    {
        if (artifact.Content is null || artifact.Size is not { } size)
        {
            return false;
        }

        await using var command = new NpgsqlCommand("""
            insert into vuln_center.artifact as known (tenant, sha256, size, stored_at) values ($1, $2, $3, $4)
            on conflict (tenant, sha256) do update set stored_at = known.stored_at
            returning xmax = 0
            """, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = artifact.Sha256 });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = size });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        return await command.ExecuteScalarAsync(cancellation) is true;
    }

    private static async Task WriteAsync(NpgsqlConnection connection, string tenant, NewArtifact artifact, CancellationToken cancellation)
    {
        var content = artifact.Content ?? throw new InvalidOperationException("A reference has no content to write.");
        content.Position = 0;
        var buffer = new byte[ArtifactContent.ChunkBytes];
        await using var copy = await connection.BeginBinaryImportAsync("copy vuln_center.artifact_chunk (tenant, sha256, ordinal, content) from stdin (format binary)", cancellation);
        for (var ordinal = 0; await content.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation) is > 0 and var read; ordinal++)
        {
            await copy.StartRowAsync(cancellation);
            await copy.WriteAsync(tenant, NpgsqlDbType.Text, cancellation);
            await copy.WriteAsync(artifact.Sha256, NpgsqlDbType.Bytea, cancellation);
            await copy.WriteAsync(ordinal, NpgsqlDbType.Integer, cancellation);
            await copy.WriteAsync(buffer.AsMemory(0, read), NpgsqlDbType.Bytea, cancellation);
        }

        await copy.CompleteAsync(cancellation);
    }

    private async Task SaveAsync(
        NpgsqlConnection connection, string tenant, Guid finding, LockedFinding state, List<NewArtifact> wanted, string actor, DateTimeOffset now, CancellationToken cancellation)
    {
        const string Change = "finding.artifact-attached";
        var digests = string.Join(", ", wanted.Select(artifact => Convert.ToHexStringLower(artifact.Sha256)));
        var change = new EntityChange
        {
            Tenant = tenant,
            Kind = "finding",
            Id = finding.ToString("D"),
            Version = state.Version + 1,
            At = now,
            Actor = actor,
            Action = Change,
            Details = JsonSerializer.SerializeToElement(
                new ArtifactAudit(state.Status, [.. wanted.Select(artifact => new AuditedArtifact(
                    Convert.ToHexStringLower(artifact.Sha256), artifact.MediaType, artifact.Size, artifact.Content is not null, artifact.Uri))]),
                VulnCenterJson.Default.ArtifactAudit),
            PreviousAuditHash = state.AuditHash,
        };
        await using var command = Command(new NpgsqlCommand(Attach, connection), tenant, finding);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<long> { TypedValue = state.Version });
        p.Add(new NpgsqlParameter<long> { TypedValue = state.Version + 1 });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        p.Add(new NpgsqlParameter<string> { TypedValue = actor });
        p.Add(new NpgsqlParameter<string> { TypedValue = Change });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)state.Status });
        p.Add(new NpgsqlParameter<string> { TypedValue = wanted[0].Note is { } note ? $"{note} ({digests})" : digests });
        p.Add(new NpgsqlParameter { Value = wanted.Select(artifact => artifact.Sha256).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bytea });
        p.Add(new NpgsqlParameter { Value = wanted.Select(artifact => artifact.Content is not null).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Boolean });
        Texts(wanted.Select(artifact => (string?)artifact.MediaType));
        Texts(wanted.Select(artifact => artifact.Name));
        p.Add(new NpgsqlParameter { Value = wanted.Select(artifact => artifact.Size).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint });
        Texts(wanted.Select(artifact => artifact.Uri));
        Texts(wanted.Select(artifact => artifact.Note));
        if (await tail.SaveAsync(command, change, cancellation) is not SaveOutcome.Saved)
        {
            throw new InvalidOperationException($"Finding {finding} changed while it was locked.");
        }

        void Texts(IEnumerable<string?> values) => p.Add(new NpgsqlParameter { Value = values.ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
    }

    private static async Task<LockedFinding?> LockAsync(NpgsqlConnection connection, string tenant, Guid finding, CancellationToken cancellation)
    {
        await using var command = Command(
            new NpgsqlCommand("select version, status, audit_hash from vuln_center.finding where tenant = $1 and id = $2 for update", connection), tenant, finding);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation)
            ? new LockedFinding(reader.GetInt64(0), (FindingStatus)reader.GetInt16(1), reader.GetFieldValue<byte[]>(2))
            : null;
    }

    /// <summary>Whether each artifact of the finding has its content here, by digest.</summary>
    private static async Task<Dictionary<string, bool>> KnownAsync(NpgsqlConnection connection, string tenant, Guid finding, CancellationToken cancellation)
    {
        await using var command = Command(new NpgsqlCommand("select sha256, stored from vuln_center.finding_artifact where tenant = $1 and finding = $2", connection), tenant, finding);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        Dictionary<string, bool> known = new(StringComparer.Ordinal);
        while (await reader.ReadAsync(cancellation))
        {
            known.Add(Convert.ToHexString(reader.GetFieldValue<byte[]>(0)), reader.GetBoolean(1));
        }

        return known;
    }

    private static async Task<ArtifactList> ListAsync(NpgsqlConnection connection, string tenant, Guid finding, long version, CancellationToken cancellation)
    {
        await using var command = Command(
            new NpgsqlCommand($"select {Columns} from vuln_center.finding_artifact a where a.tenant = $1 and a.finding = $2 order by a.attached_at desc, a.sha256", connection), tenant, finding);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        List<Artifact> items = [];
        while (await reader.ReadAsync(cancellation))
        {
            items.Add(Read(reader));
        }

        return new ArtifactList(finding, version, items);
    }

    private static Artifact Read(NpgsqlDataReader row) => new(
        Convert.ToHexStringLower(row.GetFieldValue<byte[]>(0)), Text(row, 1), row.GetString(2), row.IsDBNull(3) ? null : row.GetInt64(3), Text(row, 4), Text(row, 5),
        row.GetBoolean(6), row.GetString(7), row.GetFieldValue<DateTimeOffset>(8));

    private static string? Text(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static NpgsqlCommand Command(NpgsqlCommand command, string tenant, Guid finding)
    {
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = finding });
        return command;
    }

    private sealed record LockedFinding(long Version, FindingStatus Status, byte[] AuditHash);
}

using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>Loads and saves the life cycle of one finding.</summary>
internal sealed class FindingStore(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SaveTail tail)
{
    private const int TailFrom = 14;

    private static readonly string Save = $"""
        with u as (
          update vuln_center.finding
          set version = $4, status = $5, status_since = $6, regression = $7, gate = $8, audit_hash = {SaveTail.AuditHash(TailFrom)}
          where tenant = $1 and id = $2 and version = $3 and {SaveTail.NotYetDone(TailFrom)}
          returning id
        ), h as (
          insert into vuln_center.transition (tenant, finding, version, at, actor, change, from_status, to_status, reason, scan, evidence)
          select $1, $2, $4, $6, $9, $10, $11, $5, $12, ($13::jsonb ->> 'scan')::uuid, $13 from u
        ){SaveTail.Sql(TailFrom)}
        """;

    public async Task<FindingState?> LoadAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select version, service, source, severity, status, status_since, regression, gate, audit_hash
            from vuln_center.finding where tenant = $1 and id = $2
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            return null;
        }

        return new FindingState
        {
            Tenant = tenant,
            Id = id,
            Version = reader.GetInt64(0),
            Service = reader.GetString(1),
            Source = reader.GetString(2),
            Severity = (Severity)reader.GetInt16(3),
            Status = (FindingStatus)reader.GetInt16(4),
            StatusSince = reader.GetFieldValue<DateTimeOffset>(5),
            Regression = reader.GetBoolean(6),
            Gate = reader.GetBoolean(7),
            AuditHash = reader.GetFieldValue<byte[]>(8),
        };
    }

    public async Task<SaveOutcome> SaveAsync(FindingState before, FindingDecision.Accepted accepted, string actor, string commandId, CancellationToken cancellation)
    {
        var after = accepted.State;
        var change = new EntityChange
        {
            Tenant = after.Tenant,
            Kind = "finding",
            Id = after.Id.ToString("D"),
            Version = after.Version,
            At = after.StatusSince,
            Actor = actor,
            Action = accepted.Change,
            Details = JsonSerializer.SerializeToElement(
                new FindingAudit(before.Status, after.Status, after.Severity, accepted.Reason, accepted.Scan, accepted.Evidence), VulnCenterJson.Default.FindingAudit),
            PreviousAuditHash = before.AuditHash,
            Events = FindingEvents.Of(before, after, accepted.Scan),
            CommandId = commandId,
            Answer = JsonSerializer.Serialize(FindingAnswer.Done(after.Version), VulnCenterJson.Default.FindingAnswer),
        };
        await using var command = database.DataSource.CreateCommand(Save);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = after.Tenant });
        p.Add(new NpgsqlParameter<Guid> { TypedValue = after.Id });
        p.Add(new NpgsqlParameter<long> { TypedValue = before.Version });
        p.Add(new NpgsqlParameter<long> { TypedValue = after.Version });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)after.Status });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = after.StatusSince.ToUniversalTime() });
        p.Add(new NpgsqlParameter<bool> { TypedValue = after.Regression });
        p.Add(new NpgsqlParameter<bool> { TypedValue = after.Gate });
        p.Add(new NpgsqlParameter<string> { TypedValue = actor });
        p.Add(new NpgsqlParameter<string> { TypedValue = accepted.Change });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)before.Status });
        p.Add(new NpgsqlParameter { Value = (object?)accepted.Reason ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        p.Add(new NpgsqlParameter
        {
            Value = accepted.Evidence is { } evidence ? JsonSerializer.Serialize(evidence, VulnCenterJson.Default.Evidence) : DBNull.Value,
            NpgsqlDbType = NpgsqlDbType.Jsonb,
        });
        return await tail.SaveAsync(command, change, cancellation);
    }

    public async Task<FindingAnswer?> FindAnswerAsync(FindingState finding, string commandId, CancellationToken cancellation) =>
        await CommandAnswers.FindAsync(database, finding.Tenant, $"finding/{finding.Id:D}", commandId, cancellation) is { } answer ? ReadAnswer(answer) : null;

    public FindingAnswer ReadAnswer(string stored) =>
        JsonSerializer.Deserialize(stored, VulnCenterJson.Default.FindingAnswer) ?? throw new InvalidOperationException("A stored answer is empty.");

    /// <summary>What a scan named as evidence is worth for this finding.</summary>
    public async Task<EvidenceProof> WeighScanAsync(FindingState finding, Guid scan, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select from vuln_center.scan s
            join vuln_center.finding_seen seen on seen.tenant = s.tenant and seen.finding = $2
            where s.tenant = $1 and s.id = $3 and s.service = $4 and s.source = $5
              and s.scope = $6 and s.scope_filter is null and s.failure is null and s.new + s.matched + s.reopened > 0
              and s.started_at > $7 and seen.at < s.started_at
            """);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = finding.Tenant });
        p.Add(new NpgsqlParameter<Guid> { TypedValue = finding.Id });
        p.Add(new NpgsqlParameter<Guid> { TypedValue = scan });
        p.Add(new NpgsqlParameter<string> { TypedValue = finding.Service });
        p.Add(new NpgsqlParameter<string> { TypedValue = finding.Source });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)ScanScope.Complete });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = finding.StatusSince.ToUniversalTime() });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? EvidenceProof.CleanScan : EvidenceProof.WorthlessScan;
    }

    /// <summary>What an artifact named as evidence is worth for this finding.</summary>
    /// <param name="sha256">64 hexadecimal digits.</param>
    public async Task<EvidenceProof> WeighArtifactAsync(FindingState finding, string sha256, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("select from vuln_center.finding_artifact where tenant = $1 and finding = $2 and sha256 = $3");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = finding.Tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = finding.Id });
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = Convert.FromHexString(sha256) });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? EvidenceProof.Artifact : EvidenceProof.WorthlessArtifact;
    }
}

/// <summary>What the audit log says of a change of status.</summary>
internal sealed record FindingAudit(FindingStatus From, FindingStatus To, Severity Severity, string? Reason, Guid? Scan, Evidence? Evidence);

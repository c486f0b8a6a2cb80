using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Policies;

namespace Wave16.VulnCenter.Findings;

/// <summary>Loads and saves the life cycle of one finding.</summary>
internal sealed class FindingStore(
    [FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database,
    [FromKeyedServices(VulnCenterModule.ModuleName)] SaveTail tail)
{
    private const int TailFrom = 36;

    private static readonly string Save = $"""
        with u as (
          update vuln_center.finding
          set version = $4, status = $5, status_since = $6, regression = $7, gate = $8, severity = $9, severity_from = $10, cvss_score = $11,
              override_severity = $12, override_reason = $13, ssvc = $14,
              suppression = $15, suppression_reason = $16, suppressed_at = $17, suppressed_until = $18, assignee = $19,
              sla_policy = $20, sla_from = $21, sla_paused = $22, sla_paused_at = $23, sla_warn_at = $24, sla_due_at = $25, sla_warned_at = $26,
              sla_breached_at = $27, audit_hash = {SaveTail.AuditHash(TailFrom)}
          where tenant = $1 and id = $2 and version = $3 and epss is not distinct from $34 and {PolicyStore.Edition("finding.service")} = $35
            and {SaveTail.NotYetDone(TailFrom)}
          returning id
        ), h as (
          insert into vuln_center.transition (tenant, finding, version, at, actor, change, from_status, to_status, reason, scan, evidence)
          select $1, $2, $4, $28, $29, $30, $31, $5, $32, ($33::jsonb ->> 'scan')::uuid, $33 from u
        ){SaveTail.Sql(TailFrom)}
        """;

    public async Task<FindingState?> LoadAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(
            $"select {FindingRow.Columns("f")} from vuln_center.finding f where f.tenant = $1 and f.id = $2");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? FindingRow.Read(reader, tenant, 0) : null;
    }

    /// <summary>
    /// Stale also when the policies, or the finding's EPSS (which has no version), are not those it was decided by: so no
    /// recomputation can pass it by.
    /// </summary>
    public async Task<SaveOutcome> SaveAsync(
        FindingState before, FindingDecision.Accepted accepted, FindingPolicies policies, string actor, string? commandId, CancellationToken cancellation)
    {
        var after = accepted.State;
        var change = new EntityChange
        {
            Tenant = after.Tenant,
            Kind = "finding",
            Id = after.Id.ToString("D"),
            Version = after.Version,
            At = accepted.At,
            Actor = actor,
            Action = accepted.Change,
            Details = JsonSerializer.SerializeToElement(FindingAudit.Of(before, accepted), VulnCenterJson.Default.FindingAudit),
            PreviousAuditHash = before.AuditHash,
            Events = FindingEvents.Of(before, after, accepted.Scan),
            CommandId = commandId,
            Answer = JsonSerializer.Serialize(FindingAnswer.Done(after.Version), VulnCenterJson.Default.FindingAnswer),
            Due = FindingClock.Of(before, after) is { } due ? [due] : [],
        };
        await using var batch = database.DataSource.CreateBatch();
        var shared = new NpgsqlBatchCommand(SettlingLock.Shared);
        shared.Parameters.Add(new NpgsqlParameter<string> { TypedValue = after.Tenant });
        batch.BatchCommands.Add(shared);
        var save = new NpgsqlBatchCommand(Save);
        batch.BatchCommands.Add(save);
        var p = save.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = after.Tenant });
        p.Add(new NpgsqlParameter<Guid> { TypedValue = after.Id });
        p.Add(new NpgsqlParameter<long> { TypedValue = before.Version });
        p.Add(new NpgsqlParameter<long> { TypedValue = after.Version });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)after.Status });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = after.StatusSince.ToUniversalTime() });
        p.Add(new NpgsqlParameter<bool> { TypedValue = after.Regression });
        p.Add(new NpgsqlParameter<bool> { TypedValue = after.Gate });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)after.Severity });
        p.Add(new NpgsqlParameter<string> { TypedValue = after.SeverityFrom });
        p.Add(OptionalParameter.Of(after.CvssScore, NpgsqlDbType.Numeric));
        p.Add(OptionalParameter.Of((short?)after.Override?.Severity, NpgsqlDbType.Smallint));
        p.Add(OptionalParameter.Text(after.Override?.Reason));
        p.Add(OptionalParameter.Of((short?)after.Ssvc, NpgsqlDbType.Smallint));
        p.Add(OptionalParameter.Of((short?)after.Suppression?.Kind, NpgsqlDbType.Smallint));
        p.Add(OptionalParameter.Text(after.Suppression?.Reason));
        p.Add(OptionalParameter.Of(after.Suppression?.Since.ToUniversalTime(), NpgsqlDbType.TimestampTz));
        p.Add(OptionalParameter.Of(after.Suppression?.Until.ToUniversalTime(), NpgsqlDbType.TimestampTz));
        p.Add(OptionalParameter.Text(after.Assignee));
        p.Add(OptionalParameter.Text(after.Sla.Policy));
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = after.Sla.From.ToUniversalTime() });
        p.Add(new NpgsqlParameter<TimeSpan> { TypedValue = after.Sla.Paused, NpgsqlDbType = NpgsqlDbType.Interval });
        p.Add(OptionalParameter.Of(after.Sla.PausedAt?.ToUniversalTime(), NpgsqlDbType.TimestampTz));
        p.Add(OptionalParameter.Of(after.Sla.WarnAt?.ToUniversalTime(), NpgsqlDbType.TimestampTz));
        p.Add(OptionalParameter.Of(after.Sla.DueAt?.ToUniversalTime(), NpgsqlDbType.TimestampTz));
        p.Add(OptionalParameter.Of(after.Sla.WarnedAt?.ToUniversalTime(), NpgsqlDbType.TimestampTz));
        p.Add(OptionalParameter.Of(after.Sla.BreachedAt?.ToUniversalTime(), NpgsqlDbType.TimestampTz));
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = accepted.At.ToUniversalTime() });
        p.Add(new NpgsqlParameter<string> { TypedValue = actor });
        p.Add(new NpgsqlParameter<string> { TypedValue = accepted.Change });
        p.Add(new NpgsqlParameter<short> { TypedValue = (short)before.Status });
        p.Add(OptionalParameter.Text(accepted.Reason));
        p.Add(OptionalParameter.Of(accepted.Evidence is { } evidence ? JsonSerializer.Serialize(evidence, VulnCenterJson.Default.Evidence) : null, NpgsqlDbType.Jsonb));
        p.Add(OptionalParameter.Of((float?)before.Epss, NpgsqlDbType.Real));
        p.Add(new NpgsqlParameter<string> { TypedValue = policies.Edition });
        return await tail.SaveAsync(batch, change, cancellation);
    }

    public async Task<FindingAnswer?> FindAnswerAsync(FindingState finding, string commandId, CancellationToken cancellation) =>
        await CommandAnswers.FindAsync(database, finding.Tenant, $"finding/{finding.Id:D}", commandId, cancellation) is { } answer ? ReadAnswer(answer) : null;

    public FindingAnswer ReadAnswer(string stored) =>
        JsonSerializer.Deserialize(stored, VulnCenterJson.Default.FindingAnswer) ?? throw new InvalidOperationException("A stored answer is empty.");

    /// <summary>What a scan named as evidence is worth for this finding.</summary>
    public async Task<EvidenceProof> WeighScanAsync(FindingState finding, Guid scan, CancellationToken cancellation) =>
        await CleanScanAsync(finding, scan, cancellation) is null ? EvidenceProof.WorthlessScan : EvidenceProof.CleanScan;

    /// <summary>
    /// The latest scan that shows the finding to be gone: complete, of its scope, begun after the fix, without it. Null when there is none.
    /// </summary>
    /// <param name="named">Only this one; any when null.</param>
    public async Task<Guid?> CleanScanAsync(FindingState finding, Guid? named, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            select s.id from vuln_center.finding f
            join vuln_center.finding_seen seen on seen.tenant = f.tenant and seen.finding = f.id
            join vuln_center.scan s on s.tenant = f.tenant and s.service = f.service and s.source = f.source
            where f.tenant = $1 and f.id = $2 and ($3::uuid is null or s.id = $3)
              and s.started_at > $4 and seen.at < s.started_at and (seen.dismissed_at is null or seen.dismissed_at < s.started_at) and s.new + s.matched + s.reopened > 0 and {ScanCoverage.Covers}
            order by s.started_at desc limit 1
            """);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = finding.Tenant });
        p.Add(new NpgsqlParameter<Guid> { TypedValue = finding.Id });
        p.Add(OptionalParameter.Of(named, NpgsqlDbType.Uuid));
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = finding.StatusSince.ToUniversalTime() });
        return (Guid?)await command.ExecuteScalarAsync(cancellation);
    }

    /// <summary>What an artifact named as evidence is worth for this finding.</summary>
    /// <param name="sha256">64 hexadecimal digits.</param>
    public async Task<EvidenceProof> WeighArtifactAsync(FindingState finding, string sha256, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(
            "select stored, attached_at > $4 from vuln_center.finding_artifact where tenant = $1 and finding = $2 and sha256 = $3");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = finding.Tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = finding.Id });
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = Convert.FromHexString(sha256) });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = finding.StatusSince.ToUniversalTime() });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return !await reader.ReadAsync(cancellation) || !reader.GetBoolean(1)
            ? EvidenceProof.WorthlessArtifact
            : reader.GetBoolean(0) ? EvidenceProof.Artifact : EvidenceProof.Link;
    }
}

/// <summary>What the audit log says of a change; of what it did not change, nothing.</summary>
internal sealed record FindingAudit(
    FindingStatus From, FindingStatus To, Severity Severity, string? Reason, Guid? Scan, Evidence? Evidence,
    Severity? SeverityBefore, Suppression? Suppression, DateTimeOffset? SlaDue, string? Assignee)
{
    public static FindingAudit Of(FindingState before, FindingDecision.Accepted accepted)
    {
        var after = accepted.State;
        return new FindingAudit(
            before.Status, after.Status, after.Severity, accepted.Reason, accepted.Scan, accepted.Evidence,
            before.Severity == after.Severity ? null : before.Severity,
            before.Suppression == after.Suppression ? null : after.Suppression,
            before.Sla.DueAt == after.Sla.DueAt ? null : after.Sla.DueAt,
            before.Assignee == after.Assignee ? null : after.Assignee);
    }
}

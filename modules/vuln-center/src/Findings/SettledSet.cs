using Npgsql;
using NpgsqlTypes;

namespace Wave16.VulnCenter.Findings;

/// <summary>A finding as a set-based write changes it.</summary>
/// <param name="Before">Null for a new one.</param>
/// <param name="Change">For its history: <c>finding.seen-again</c>.</param>
internal sealed record SettledChange(FindingState? Before, FindingState After, string Change, string? Reason = null);

/// <summary>Settled findings on their way into the table: a temporary table <c>settled</c>, gone with the transaction.</summary>
internal static class SettledSet
{
    private const string Create = """
        create temp table settled (
          id uuid not null, version bigint not null, status smallint not null, status_since timestamptz not null, regression bool not null, gate bool not null,
          severity smallint not null, severity_from text not null, cvss_score numeric(3,1), epss real, kev bool not null, ssvc smallint,
          sla_policy text, sla_from timestamptz not null, sla_paused interval not null, sla_paused_at timestamptz, sla_warn_at timestamptz, sla_due_at timestamptz,
          sla_warned_at timestamptz, sla_breached_at timestamptz, from_status smallint, change text not null, reason text) on commit drop
        """;

    private const string Copy = """
        copy settled (
          id, version, status, status_since, regression, gate, severity, severity_from, cvss_score, epss, kev, ssvc,
          sla_policy, sla_from, sla_paused, sla_paused_at, sla_warn_at, sla_due_at, sla_warned_at, sla_breached_at, from_status, change, reason)
        from stdin (format binary)
        """;

    /// <summary>For an update of <c>vuln_center.finding</c> from <c>settled s</c>.</summary>
    public const string Assignments = """
        version = s.version, status = s.status, status_since = s.status_since, regression = s.regression, gate = s.gate,
        severity = s.severity, severity_from = s.severity_from, cvss_score = s.cvss_score, epss = s.epss, kev = s.kev, ssvc = s.ssvc,
        sla_policy = s.sla_policy, sla_from = s.sla_from, sla_paused = s.sla_paused, sla_paused_at = s.sla_paused_at, sla_warn_at = s.sla_warn_at,
        sla_due_at = s.sla_due_at, sla_warned_at = s.sla_warned_at, sla_breached_at = s.sla_breached_at
        """;

    /// <summary>$1 tenant, $2 when, $3 actor, $4 scan.</summary>
    public const string InsertTransitions = """
        insert into vuln_center.transition (tenant, finding, version, at, actor, change, from_status, to_status, scan, reason)
        select $1, id, version, $2, $3, change, from_status, status, $4, reason from settled
        """;

    public static async Task WriteAsync(NpgsqlConnection connection, IEnumerable<SettledChange> changes, CancellationToken cancellation)
    {
        await using (var create = new NpgsqlCommand(Create, connection))
        {
            await create.ExecuteNonQueryAsync(cancellation);
        }

        await using var copy = await connection.BeginBinaryImportAsync(Copy, cancellation);
        foreach (var change in changes)
        {
            var (after, sla) = (change.After, change.After.Sla);
            await copy.StartRowAsync(cancellation);
            await copy.WriteAsync(after.Id, NpgsqlDbType.Uuid, cancellation);
            await copy.WriteAsync(after.Version, NpgsqlDbType.Bigint, cancellation);
            await copy.WriteAsync((short)after.Status, NpgsqlDbType.Smallint, cancellation);
            await copy.WriteAsync(after.StatusSince.ToUniversalTime(), NpgsqlDbType.TimestampTz, cancellation);
            await copy.WriteAsync(after.Regression, NpgsqlDbType.Boolean, cancellation);
            await copy.WriteAsync(after.Gate, NpgsqlDbType.Boolean, cancellation);
            await copy.WriteAsync((short)after.Severity, NpgsqlDbType.Smallint, cancellation);
            await copy.WriteAsync(after.SeverityFrom, NpgsqlDbType.Text, cancellation);
            await WriteAsync(copy, after.CvssScore, NpgsqlDbType.Numeric, cancellation);
            await WriteAsync(copy, (float?)after.Epss, NpgsqlDbType.Real, cancellation);
            await copy.WriteAsync(after.Kev, NpgsqlDbType.Boolean, cancellation);
            await WriteAsync(copy, (short?)after.Ssvc, NpgsqlDbType.Smallint, cancellation);
            await TextAsync(copy, sla.Policy, cancellation);
            await copy.WriteAsync(sla.From.ToUniversalTime(), NpgsqlDbType.TimestampTz, cancellation);
            await copy.WriteAsync(sla.Paused, NpgsqlDbType.Interval, cancellation);
            await TimeAsync(copy, sla.PausedAt, cancellation);
            await TimeAsync(copy, sla.WarnAt, cancellation);
            await TimeAsync(copy, sla.DueAt, cancellation);
            await TimeAsync(copy, sla.WarnedAt, cancellation);
            await TimeAsync(copy, sla.BreachedAt, cancellation);
            await WriteAsync(copy, (short?)change.Before?.Status, NpgsqlDbType.Smallint, cancellation);
            await copy.WriteAsync(change.Change, NpgsqlDbType.Text, cancellation);
            await TextAsync(copy, change.Reason, cancellation);
        }

        await copy.CompleteAsync(cancellation);
    }

    private static Task TimeAsync(NpgsqlBinaryImporter copy, DateTimeOffset? time, CancellationToken cancellation) =>
        WriteAsync(copy, time?.ToUniversalTime(), NpgsqlDbType.TimestampTz, cancellation);

    private static Task TextAsync(NpgsqlBinaryImporter copy, string? text, CancellationToken cancellation) =>
        text is null ? copy.WriteNullAsync(cancellation) : copy.WriteAsync(text, NpgsqlDbType.Text, cancellation);

    private static Task WriteAsync<T>(NpgsqlBinaryImporter copy, T? value, NpgsqlDbType type, CancellationToken cancellation)
        where T : struct => value is { } given ? copy.WriteAsync(given, type, cancellation) : copy.WriteNullAsync(cancellation);
}

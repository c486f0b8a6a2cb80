using Npgsql;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>A finding's life cycle as it stands in its row.</summary>
internal static class FindingRow
{
    private static readonly string[] Names =
    [
        "id", "version", "service", "source", "scan_severity", "scan_severity_from", "cvss_vector", "override_severity", "override_reason",
        "severity", "severity_from", "cvss_score", "status", "status_since", "regression", "gate", "epss", "kev", "ssvc",
        "suppression", "suppression_reason", "suppressed_at", "suppressed_until",
        "sla_policy", "sla_from", "sla_paused", "sla_paused_at", "sla_warn_at", "sla_due_at", "sla_warned_at", "sla_breached_at", "assignee", "audit_hash", "exploit", "title",
    ];

    public static int Count => Names.Length;

    /// <summary>For a select list, in the order <see cref="Read"/> expects.</summary>
    public static string Columns(string alias) => string.Join(", ", Names.Select(name => $"{alias}.{name}"));

    /// <param name="first">Number of the first column.</param>
    public static FindingState Read(NpgsqlDataReader row, string tenant, int first) => new()
    {
        Tenant = tenant,
        Id = row.GetGuid(first),
        Version = row.GetInt64(first + 1),
        Service = row.GetString(first + 2),
        Source = row.GetString(first + 3),
        ScanSeverity = (Severity)row.GetInt16(first + 4),
        ScanSeverityFrom = row.GetString(first + 5),
        CvssVector = row.Text(first + 6),
        Override = row.IsDBNull(first + 7) ? null : new SeverityOverride((Severity)row.GetInt16(first + 7), row.GetString(first + 8)),
        Severity = (Severity)row.GetInt16(first + 9),
        SeverityFrom = row.GetString(first + 10),
        CvssScore = row.IsDBNull(first + 11) ? null : row.GetDecimal(first + 11),
        Status = (FindingStatus)row.GetInt16(first + 12),
        StatusSince = row.GetFieldValue<DateTimeOffset>(first + 13),
        Regression = row.GetBoolean(first + 14),
        Gate = row.GetBoolean(first + 15),
        Epss = row.Probability(first + 16),
        Kev = row.GetBoolean(first + 17),
        Ssvc = row.IsDBNull(first + 18) ? null : (SsvcDecision)row.GetInt16(first + 18),
        Suppression = row.IsDBNull(first + 19)
            ? null
            : new Suppression(
                (SuppressionKind)row.GetInt16(first + 19), row.GetString(first + 20), row.GetFieldValue<DateTimeOffset>(first + 21), row.GetFieldValue<DateTimeOffset>(first + 22)),
        Sla = new SlaClock(
            row.Text(first + 23), row.GetFieldValue<DateTimeOffset>(first + 24), row.GetFieldValue<TimeSpan>(first + 25), row.Time(first + 26), row.Time(first + 27),
            row.Time(first + 28), row.Time(first + 29), row.Time(first + 30)),
        Assignee = row.Text(first + 31),
        AuditHash = row.GetFieldValue<byte[]>(first + 32),
        Exploit = row.GetBoolean(first + 33),
        Title = row.GetString(first + 34),
    };

    public static string? Text(this NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    public static DateTimeOffset? Time(this NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetFieldValue<DateTimeOffset>(column);

    /// <summary>A <c>real</c> with the digits it was stored with.</summary>
    public static double? Probability(this NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : (double)(decimal)row.GetFloat(column);
}

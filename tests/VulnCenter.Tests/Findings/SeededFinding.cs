using Npgsql;
using NpgsqlTypes;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Findings;

/// <summary>A finding written by SQL, with what lists and counts look at.</summary>
internal sealed record SeededFinding
{
    public Guid Id { get; init; } = Guid.CreateVersion7();
    public string Service { get; init; } = "shop-api";
    public string Source { get; init; } = "trivy";
    public FindingKind Kind { get; init; } = FindingKind.Sca;
    public string Title { get; init; } = "title";
    public Severity Severity { get; init; } = Severity.Medium;
    public FindingStatus Status { get; init; } = FindingStatus.Open;
    public DateTimeOffset FirstSeen { get; init; } = DateTimeOffset.UnixEpoch;
    public string? Component { get; init; }
    public string? ComponentKey { get; init; }
    public string[] Identifiers { get; init; } = [];
    public string[] Environments { get; init; } = [];
    public float? Epss { get; init; }
    public bool Kev { get; init; }
    public SsvcDecision? Ssvc { get; init; }
    public SuppressionKind? Suppression { get; init; }
    public SlaState Sla { get; init; } = SlaState.None;
    public string? Assignee { get; init; }

    private bool Warned => Sla is SlaState.Warned or SlaState.Breached or SlaState.Missed;

    private bool Breached => Sla is SlaState.Breached or SlaState.Missed;

    /// <summary>SQL: one as an import writes it that knows no policy. $1 is the tenant.</summary>
    public const string OpenCritical = """
        insert into vuln_center.finding (
          tenant, id, version, service, source, kind, rule, title, severity, severity_from, scan_severity, scan_severity_from, status, status_since,
          identifiers, fixed_versions, environments, first_seen, content_hash, audit_hash, detail, sla_from)
        values ($1, gen_random_uuid(), 1, 'shop', 'trivy', 2, 'rule', 'title', 6, 'source', 6, 'source', 1, now(), '{}', '{}', '{}', now(), '\x00', '\x00',
          '{"cvss":[],"cwes":[],"references":[]}', now())
        """;

    public static async Task InsertAsync(string database, string tenant, IEnumerable<SeededFinding> findings)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var batch = new NpgsqlBatch(connection);
        foreach (var f in findings)
        {
            var command = new NpgsqlBatchCommand("""
                insert into vuln_center.finding (
                  tenant, id, version, service, source, kind, rule, title, severity, severity_from, scan_severity, scan_severity_from, status, status_since,
                  identifiers, component, component_key, fixed_versions, environments, first_seen, content_hash, audit_hash, detail,
                  epss, kev, ssvc, suppression, suppression_reason, suppressed_at, suppressed_until,
                  sla_policy, sla_from, sla_paused_at, sla_warned_at, sla_breached_at, assignee)
                values ($1, $2, 1, $3, $4, $5, 'rule', $6, $7, 'source', $7, 'source', $8, $9, $10, $11, $12, '{}', $13, $9, '\x00', '\x00',
                  '{"cvss":[],"cwes":[],"references":[]}', $14, $15, $16, $17::smallint, case when $17 is not null then 'known' end, case when $17 is not null then $9 end,
                  case when $17 is not null then $9 end, $18, $9, $19, $20, $21, $22)
                """);
            var p = command.Parameters;
            p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            p.Add(new NpgsqlParameter<Guid> { TypedValue = f.Id });
            p.Add(new NpgsqlParameter<string> { TypedValue = f.Service });
            p.Add(new NpgsqlParameter<string> { TypedValue = f.Source });
            p.Add(new NpgsqlParameter<short> { TypedValue = (short)f.Kind });
            p.Add(new NpgsqlParameter<string> { TypedValue = f.Title });
            p.Add(new NpgsqlParameter<short> { TypedValue = (short)f.Severity });
            p.Add(new NpgsqlParameter<short> { TypedValue = (short)f.Status });
            p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = f.FirstSeen });
            p.Add(new NpgsqlParameter<string[]> { TypedValue = f.Identifiers });
            Null(f.Component, NpgsqlDbType.Text);
            Null(f.ComponentKey, NpgsqlDbType.Text);
            p.Add(new NpgsqlParameter<string[]> { TypedValue = f.Environments });
            Null(f.Epss, NpgsqlDbType.Real);
            p.Add(new NpgsqlParameter<bool> { TypedValue = f.Kev });
            Null((short?)f.Ssvc, NpgsqlDbType.Smallint);
            Null((short?)f.Suppression, NpgsqlDbType.Smallint);
            Null(f.Sla == SlaState.None ? null : "default", NpgsqlDbType.Text);
            Null(f.Sla == SlaState.Paused ? f.FirstSeen : null, NpgsqlDbType.TimestampTz);
            Null(f.Warned ? f.FirstSeen : null, NpgsqlDbType.TimestampTz);
            Null(f.Breached ? f.FirstSeen : null, NpgsqlDbType.TimestampTz);
            Null(f.Assignee, NpgsqlDbType.Text);
            batch.BatchCommands.Add(command);

            void Null(object? value, NpgsqlDbType type) => p.Add(new NpgsqlParameter { Value = value ?? DBNull.Value, NpgsqlDbType = type });
        }

        await batch.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>One of many, with few values of each field, so that any combination of filters has some matches.</summary>
    public static SeededFinding Draw(Random random, DateTimeOffset now)
    {
        var status = Pick<FindingStatus>();
        var closed = status is FindingStatus.Fixed or FindingStatus.Verified;
        var cve = random.Next(6);
        return new SeededFinding
        {
            Service = $"service-{random.Next(4)}",
            Source = $"source-{random.Next(3)}",
            Kind = random.Next(3) == 0 ? Pick<FindingKind>() : FindingKind.Sca,
            Title = $"{Of("overflow", "overflow", "injection", "bypass")} in {Of("parser", "router")}",
            Severity = Pick<Severity>(),
            Status = status,
            // Equal times are common: an import gives all its findings one.
            FirstSeen = now.AddDays(-random.Next(12) * 10),
            Component = random.Next(4) == 0 ? null : $"package-{cve}",
            ComponentKey = $"pkg:npm/package-{cve}",
            Identifiers = [$"CVE-2024-{1000 + cve}"],
            Environments = random.Next(2) == 0 ? [] : ["production"],
            Epss = random.Next(3) == 0 ? null : random.Next(10) / 10f,
            Kev = random.Next(4) == 0,
            Ssvc = random.Next(2) == 0 ? null : Pick<SsvcDecision>(),
            Suppression = random.Next(4) == 0 ? Pick<SuppressionKind>() : null,
            Sla = closed ? Of(SlaState.None, SlaState.Met, SlaState.Missed) : Of(SlaState.None, SlaState.Running, SlaState.Warned, SlaState.Breached, SlaState.Paused),
            Assignee = random.Next(3) == 0 ? "ada" : null,
        };

        T Pick<T>()
            where T : struct, Enum => random.GetItems(Enum.GetValues<T>(), 1)[0];

        T Of<T>(params T[] values) => values[random.Next(values.Length)];
    }
}

using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Groups;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Findings;

/// <summary>Reads of findings, straight from SQL.</summary>
internal sealed class FindingQueries([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database, GroupQueries groups)
{
    /// <summary>Rows of each kind that a finding's detail shows at most, latest first.</summary>
    private const int DetailRows = 200;

    private const string Columns = """
        f.id, f.service, f.source, f.kind, f.rule, f.title, f.severity, f.severity_from, f.status, f.status_since, f.regression, f.gate, f.identifiers,
        f.component, f.component_version, f.purl, f.fixed_versions, f.manifest, f.image, f.path, f.line, f.end_line, f.resource, f.url,
        f.environments, f.assignee, f.first_seen, coalesce(s.at, f.first_seen), f.version,
        f.cvss_score, f.cvss_vector, f.epss, f.kev, f.ssvc, f.suppression, f.suppression_reason, f.suppressed_at, f.suppressed_until,
        f.sla_policy, f.sla_from, f.sla_paused_at, f.sla_due_at, f.sla_warned_at, f.sla_breached_at
        """;

    private const string From = "from vuln_center.finding f left join vuln_center.finding_seen s on s.tenant = f.tenant and s.finding = f.id";

    /// <summary>The findings of these ids, in this order, with their positions in a list.</summary>
    public static async Task<IReadOnlyList<(Finding Finding, FindingPosition Position)>> ReadAsync(
        NpgsqlConnection connection, string tenant, Guid[] ids, CancellationToken cancellation)
    {
        if (ids.Length == 0)
        {
            return [];
        }

        await using var command = new NpgsqlCommand($"select {Columns} {From} where f.tenant = $1 and f.id = any ($2)", connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = ids });
        Dictionary<Guid, (Finding, FindingPosition)> findings = new(ids.Length);
        await using var row = await command.ExecuteReaderAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            var finding = Read(row);
            findings.Add(finding.Id, (finding, new FindingPosition((short)finding.Severity, finding.FirstSeen, finding.Id, row.IsDBNull(31) ? null : row.GetFloat(31))));
        }

        return [.. ids.Select(id => findings[id])];
    }

    public async Task<FindingDetail?> FindAsync(string tenant, Guid id, CancellationToken cancellation) =>
        await DetailAsync(tenant, id, cancellation) is { } detail ? detail with { Group = await groups.OfFindingAsync(tenant, id, cancellation) } : null;

    private async Task<FindingDetail?> DetailAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        foreach (var sql in (string[])
        [
            $"""
            select {Columns}, f.detail, f.raw_severity, coalesce(l.repository, p.repository), l.commit_id {From}
            left join vuln_center.scan l on l.tenant = f.tenant and l.id = s.scan
            left join vuln_center.service p on p.tenant = f.tenant and p.name = f.service
            where f.tenant = $1 and f.id = $2
            """,
            $"""
            select o.id, o.scan, o.payload_hash, o.pointer, o.raw_severity, s.finished_at, o.identity
            from vuln_center.observation o join vuln_center.scan s on s.tenant = o.tenant and s.id = o.scan
            where o.tenant = $1 and o.finding = $2 order by s.finished_at desc, o.id limit {DetailRows}
            """,
            $"""
            select at, scan, pointer, outcome, reason, rule_set, key_kind, key, fields, candidates
            from vuln_center.decision where tenant = $1 and finding = $2 order by at desc, pointer, seq desc limit {DetailRows}
            """,
            $"""
            select version, at, actor, change, from_status, to_status, reason, scan, evidence
            from vuln_center.transition where tenant = $1 and finding = $2 order by version desc limit {DetailRows}
            """,
            $"select other, at, actor, reason from vuln_center.never_merge where tenant = $1 and finding = $2 order by at desc, other limit {DetailRows}",
        ])
        {
            var command = new NpgsqlBatchCommand(sql);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
            batch.BatchCommands.Add(command);
        }

        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            return null;
        }

        var finding = Read(reader);
        var content = JsonSerializer.Deserialize(reader.GetString(44), VulnCenterJson.Default.FindingContent)
            ?? throw new InvalidOperationException($"Finding {id} has no content.");
        var rawSeverity = Text(reader, 45);
        var code = CodeLinks.Of(finding.Location, Text(reader, 46), Text(reader, 47));

        List<Observation> observations = [];
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            observations.Add(new Observation(
                reader.GetGuid(0), reader.GetGuid(1), Hex(reader, 2) ?? "", reader.GetString(3), Text(reader, 4), reader.GetFieldValue<DateTimeOffset>(5),
                Text(reader, 6) is { } identity ? Dedup.Identities.Read(identity) : null));
        }

        List<Decision> decisions = [];
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            decisions.Add(new Decision(
                reader.GetFieldValue<DateTimeOffset>(0), reader.GetGuid(1), reader.GetString(2), (Outcome)reader.GetInt16(3), reader.GetString(4),
                reader.GetInt32(5), Text(reader, 6), Hex(reader, 7),
                JsonSerializer.Deserialize(reader.GetString(8), VulnCenterJson.Default.DictionaryStringString) ?? [],
                reader.GetFieldValue<Guid[]>(9)));
        }

        List<Transition> history = [];
        List<Evidence> evidence = [];
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            history.Add(new Transition(
                reader.GetInt64(0), reader.GetFieldValue<DateTimeOffset>(1), reader.GetString(2), reader.GetString(3),
                reader.IsDBNull(4) ? null : (FindingStatus)reader.GetInt16(4), (FindingStatus)reader.GetInt16(5), Text(reader, 6),
                reader.IsDBNull(7) ? null : reader.GetGuid(7)));
            if (Text(reader, 8) is { } json && JsonSerializer.Deserialize(json, VulnCenterJson.Default.Evidence) is { } item)
            {
                evidence.Add(item);
            }
        }

        List<NeverMerged> neverMerged = [];
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            neverMerged.Add(new NeverMerged(reader.GetGuid(0), reader.GetFieldValue<DateTimeOffset>(1), reader.GetString(2), reader.GetString(3)));
        }

        return new FindingDetail(
            finding, content.Description, rawSeverity, [.. content.Cvss.Select(Assess)], content.Cwes, content.References, content.SecretPreview, observations, decisions, history, evidence,
            [.. (content.OtherLocations ?? []).Select(place => new FindingLocation(place.Path, place.Line, place.EndLine, Resource: null, Url: null))],
            code,
            neverMerged,
            SuppressedInSource: content.SourceSuppression ?? (content.SuppressedInSource is { } reason ? new SourceSuppression("suppressed", reason) : null),
            Extra: content.Extra is { } extra ? JsonElement.Parse(extra) : null);
    }

    private static ReportedScore Assess(ReportedScore reported)
    {
        var (vector, fault) = CvssVector.Read(reported.Vector);
        var assessed = new AssessedCvss(new ReportedCvss(reported.Version, reported.Vector, reported.Score, reported.Origin), vector?.Score(), fault);
        return reported with
        {
            Computed = assessed.Scores?.Overall,
            Differs = assessed.ScoreDiffers,
            Fault = fault is null ? null : $"{fault.Reason} (at character {fault.Position.ToString(System.Globalization.CultureInfo.InvariantCulture)})",
        };
    }

    public async Task<string?> TitleAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("select title from vuln_center.finding where tenant = $1 and id = $2");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
        return (string?)await command.ExecuteScalarAsync(cancellation);
    }

    /// <summary>The gate that a finding stands at now; null: at none.</summary>
    public async Task<GateRaised?> GateAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("select service, severity, status_since from vuln_center.finding where tenant = $1 and id = $2 and gate");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
        await using var row = await command.ExecuteReaderAsync(cancellation);
        return await row.ReadAsync(cancellation)
            ? new GateRaised(FindingEvents.GateKey(row.GetString(0), id), id, row.GetString(0), (Severity)row.GetInt16(1), row.GetFieldValue<DateTimeOffset>(2))
            : null;
    }

    private static Finding Read(NpgsqlDataReader row) => new(
        row.GetGuid(0), row.GetString(1), row.GetString(2), (FindingKind)row.GetInt16(3), row.GetString(4), row.GetString(5),
        (Severity)row.GetInt16(6), row.GetString(7), (FindingStatus)row.GetInt16(8), row.GetFieldValue<DateTimeOffset>(9), row.GetBoolean(10), row.GetBoolean(11),
        row.GetFieldValue<string[]>(12), Component(row), Location(row), row.GetFieldValue<string[]>(24), Text(row, 25),
        row.GetFieldValue<DateTimeOffset>(26), row.GetFieldValue<DateTimeOffset>(27), row.GetInt64(28),
        new FindingRisk(
            row.IsDBNull(29) ? null : row.GetDecimal(29), Text(row, 30), row.Probability(31), row.GetBoolean(32),
            row.IsDBNull(33) ? null : (SsvcDecision)row.GetInt16(33)),
        row.IsDBNull(34)
            ? null
            : new Suppression((SuppressionKind)row.GetInt16(34), row.GetString(35), row.GetFieldValue<DateTimeOffset>(36), row.GetFieldValue<DateTimeOffset>(37)),
        Sla(row));

    private static FindingSla Sla(NpgsqlDataReader row)
    {
        var (policy, since, paused, due, warned, breached) = (row.Text(38), row.Time(39), row.Time(40), row.Time(41), row.Time(42), row.Time(43));
        var state = (policy, (FindingStatus)row.GetInt16(8)) switch
        {
            (null, _) => SlaState.None,
            (_, FindingStatus.Fixed or FindingStatus.Verified) => breached is null ? SlaState.Met : SlaState.Missed,
            _ when paused is not null => SlaState.Paused,
            _ when breached is not null => SlaState.Breached,
            _ => warned is null ? SlaState.Running : SlaState.Warned,
        };
        return new FindingSla(state, policy, since, due, warned, breached);
    }

    private static FindingComponent? Component(NpgsqlDataReader row) => Text(row, 13) is { } name
        ? new FindingComponent(name, Text(row, 14), Text(row, 15), row.GetFieldValue<string[]>(16), Text(row, 17), Text(row, 18))
        : null;

    private static FindingLocation? Location(NpgsqlDataReader row) => (Text(row, 19), Text(row, 22), Text(row, 23)) switch
    {
        (null, null, null) => null,
        var (path, resource, url) => new FindingLocation(path, Number(row, 20), Number(row, 21), resource, url),
    };

    private static string? Text(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static int? Number(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetInt32(column);

    private static string? Hex(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : Convert.ToHexStringLower(row.GetFieldValue<byte[]>(column));
}

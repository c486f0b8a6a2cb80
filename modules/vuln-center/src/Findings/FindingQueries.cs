using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Groups;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Findings;

/// <summary>Where a page of findings ended: the keyset of its order.</summary>
internal sealed record FindingPosition(short Severity, DateTimeOffset FirstSeen, Guid Id);

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

    public async Task<IReadOnlyList<Finding>> ListAsync(FindingFilter filter, FindingPosition? after, int limit, CancellationToken cancellation)
    {
        var order = filter.Sort switch
        {
            FindingSort.Severity => "f.severity desc, f.first_seen, f.id",
            FindingSort.Age => "f.first_seen, f.id",
            FindingSort.Newest => "f.first_seen desc, f.id desc",
            _ => throw new ArgumentOutOfRangeException(nameof(filter)),
        };
        List<Finding> findings = [];
        await using var connection = await database.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await PlanForValuesAsync(connection, cancellation);
        foreach (var range in Ranges(filter, after))
        {
            if (findings.Count == limit)
            {
                break;
            }

            await using var command = new NpgsqlCommand(
                $"select {Columns} {From} where {filter.Where} and {range} order by {order} limit {(limit - findings.Count).ToString(System.Globalization.CultureInfo.InvariantCulture)}",
                connection);
            filter.AddTo(command);
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                findings.Add(Read(reader));
            }
        }

        await transaction.CommitAsync(cancellation);
        return findings;
    }

    /// <summary>For this transaction: a word that is everywhere wants another plan than a rare one, and a prepared statement would have one for both.</summary>
    private static async Task PlanForValuesAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("set local plan_cache_mode = force_custom_plan", connection);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>
    /// What comes after a position, as ranges of the order's index one after the other: severity descends where the others
    /// ascend, so no single comparison of rows says it, and a condition with "or" would walk a severity from its beginning.
    /// </summary>
    private static IReadOnlyList<string> Ranges(FindingFilter filter, FindingPosition? after)
    {
        if (after is null)
        {
            return ["true"];
        }

        var seen = filter.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = after.FirstSeen.ToUniversalTime() });
        var id = filter.Add(new NpgsqlParameter<Guid> { TypedValue = after.Id });
        if (filter.Sort != FindingSort.Severity)
        {
            return [$"(f.first_seen, f.id) {(filter.Sort == FindingSort.Age ? '>' : '<')} ({seen}, {id})"];
        }

        var severity = filter.Add(new NpgsqlParameter<short> { TypedValue = after.Severity });
        return [$"f.severity = {severity} and (f.first_seen, f.id) > ({seen}, {id})", $"f.severity < {severity}"];
    }

    /// <summary>Counts by field and value, at most 50 values a field, most first.</summary>
    public async Task<IReadOnlyDictionary<string, IReadOnlyDictionary<string, long>>> FacetsAsync(FindingFilter filter, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            select field, value, count from (
              select c.*, row_number() over (partition by field order by count desc, value) as place from (
                select case when grouping(f.severity) = 0 then 'severity' when grouping(f.status) = 0 then 'status' when grouping(f.kind) = 0 then 'kind'
                            when grouping(f.source) = 0 then 'source' else 'service' end as field,
                       coalesce(f.severity::text, f.status::text, f.kind::text, f.source, f.service) as value, count(*) as count
                from vuln_center.finding f where {filter.Where}
                group by grouping sets ((f.severity), (f.status), (f.kind), (f.source), (f.service))) c) ranked
            where place <= 50 order by field, place
            """);
        filter.AddTo(command);
        Dictionary<string, IReadOnlyDictionary<string, long>> facets = new(StringComparer.Ordinal);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var (field, value) = (reader.GetString(0), reader.GetString(1));
            if (!facets.TryGetValue(field, out var counts))
            {
                facets[field] = counts = new Dictionary<string, long>(StringComparer.Ordinal);
            }

            ((Dictionary<string, long>)counts)[Name(field, value)] = reader.GetInt64(2);
        }

        return facets;

        static string Name(string field, string value) => field switch
        {
            "severity" => FindingFilter.KebabCase((Severity)short.Parse(value, System.Globalization.CultureInfo.InvariantCulture)),
            "status" => FindingFilter.KebabCase((FindingStatus)short.Parse(value, System.Globalization.CultureInfo.InvariantCulture)),
            "kind" => FindingFilter.KebabCase((FindingKind)short.Parse(value, System.Globalization.CultureInfo.InvariantCulture)),
            _ => value,
        };
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
            select o.id, o.scan, o.payload_hash, o.pointer, o.raw_severity, s.finished_at
            from vuln_center.observation o join vuln_center.scan s on s.tenant = o.tenant and s.id = o.scan
            where o.tenant = $1 and o.finding = $2 order by s.finished_at desc, o.id limit {DetailRows}
            """,
            $"""
            select at, scan, pointer, outcome, reason, rule_set, key_kind, key, fields, candidates
            from vuln_center.decision where tenant = $1 and finding = $2 order by at desc, pointer limit {DetailRows}
            """,
            $"""
            select version, at, actor, change, from_status, to_status, reason, scan, evidence
            from vuln_center.transition where tenant = $1 and finding = $2 order by version desc limit {DetailRows}
            """,
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
                reader.GetGuid(0), reader.GetGuid(1), Hex(reader, 2) ?? "", reader.GetString(3), Text(reader, 4), reader.GetFieldValue<DateTimeOffset>(5)));
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

        return new FindingDetail(
            finding, content.Description, rawSeverity, [.. content.Cvss.Select(Assess)], content.Cwes, content.References, content.SecretPreview, observations, decisions, history, evidence,
            [.. (content.OtherLocations ?? []).Select(place => new FindingLocation(place.Path, place.Line, place.EndLine, Resource: null, Url: null))],
            code);
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

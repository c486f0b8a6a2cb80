using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Reporting;

/// <summary>
/// The services, their components and code files, and the findings on them that are not verified, as a graph (JSON Graph Format 2). A component
/// is one node however many services have it; a file belongs to its service.
/// </summary>
internal sealed class FindingGraphReport : IReport
{
    private const string ComponentId = "'component:' || coalesce(f.purl, f.component || coalesce('@' || f.component_version, ''))";

    // The first ':' after "file:" ends the service, whatever is in its name.
    private const string FileId = "'file:' || replace(replace(f.service, '%', '%25'), ':', '%3A') || ':' || f.path";

    private const string Services = """
        select f.service, bool_or(f.gate) from vuln_center.finding f where {where} group by f.service order by f.service
        """;

    private const string Components = $$"""
        select distinct on (c.id) c.id, f.component, f.component_version, f.purl
        from vuln_center.finding f, lateral (select {{ComponentId}} as id) c
        where {where} and f.component is not null and f.status <> 4
        order by c.id, f.component, f.component_version, f.purl
        """;

    private const string Files = $$"""
        select distinct {{FileId}} as id, f.path, f.service
        from vuln_center.finding f where {where} and f.path is not null and f.status <> 4 order by id
        """;

    private const string Findings = $$"""
        select f.id, f.service, f.source, f.kind, f.rule, f.title, f.severity, f.status, f.status_since, f.regression, f.gate, f.identifiers, f.first_seen, f.line,
               case when f.component is not null then {{ComponentId}} end, case when f.path is not null then {{FileId}} end, f.kev, f.sla_due_at, f.sla_breached_at
        from vuln_center.finding f where {where} and f.status <> 4 order by f.id
        """;

    private const string PartOf = $$"""
        select distinct u.id, f.service
        from vuln_center.finding f, unnest(array[case when f.component is not null then {{ComponentId}} end, case when f.path is not null then {{FileId}} end]) as u(id)
        where {where} and u.id is not null and f.status <> 4 order by u.id, f.service
        """;

    public string Name => "program-graph";

    public string MediaType => "application/vnd.jgf+json";

    public int Shape => 2;

    public async Task WriteAsync(ReportSnapshot snapshot, ReportJson json, CancellationToken cancellation)
    {
        var writer = json.Writer;
        writer.WriteStartObject();
        writer.WriteStartObject("graph");
        writer.WriteString("id", snapshot.State.Service is { } service ? $"vuln-center:{service}" : "vuln-center");
        writer.WriteString("type", "vulnerabilities");
        writer.WriteString("label", "Security findings and where they are");
        writer.WriteBoolean("directed", true);
        writer.WriteStartObject("metadata");
        writer.WriteString("schemaVersion", "1");
        ReportTimes.WriteAsOf(writer, snapshot.State);
        writer.WriteEndObject();
        writer.WriteStartObject("nodes");
        await WriteNodesAsync(snapshot, json, cancellation);
        writer.WriteEndObject();
        writer.WriteStartArray("edges");
        await foreach (var edge in EdgesAsync(snapshot, cancellation))
        {
            JsonSerializer.Serialize(writer, edge, VulnCenterJson.Default.ProgramEdge);
            await json.GoOnAsync(cancellation);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    public async Task WriteAsync(ReportSnapshot snapshot, CsvTable csv, CancellationToken cancellation)
    {
        await csv.RowAsync(cancellation, "source", "relation", "target");
        await foreach (var edge in EdgesAsync(snapshot, cancellation))
        {
            await csv.RowAsync(cancellation, edge.Source, edge.Relation, edge.Target);
        }
    }

    private static async Task WriteNodesAsync(ReportSnapshot snapshot, ReportJson json, CancellationToken cancellation)
    {
        var writer = json.Writer;
        await foreach (var row in snapshot.RowsAsync(Services, cancellation))
        {
            Begin($"service:{row.GetString(0)}", row.GetString(0), "service");
            writer.WriteBoolean("blocked", row.GetBoolean(1));
            await EndAsync();
        }

        await foreach (var row in snapshot.RowsAsync(Components, cancellation))
        {
            Begin(row.GetString(0), row.GetString(1), "component");
            Optional("version", row.IsDBNull(2) ? null : row.GetString(2));
            Optional("purl", row.IsDBNull(3) ? null : row.GetString(3));
            await EndAsync();
        }

        await foreach (var row in snapshot.RowsAsync(Files, cancellation))
        {
            Begin(row.GetString(0), row.GetString(1), "file");
            writer.WriteString("service", row.GetString(2));
            await EndAsync();
        }

        await foreach (var row in snapshot.RowsAsync(Findings, cancellation))
        {
            Begin($"finding:{row.GetGuid(0):D}", row.GetString(5), "finding");
            writer.WriteString("service", row.GetString(1));
            writer.WriteString("source", row.GetString(2));
            writer.WriteString("findingKind", FindingFilter.KebabCase((FindingKind)row.GetInt16(3)));
            writer.WriteString("rule", row.GetString(4));
            writer.WriteString("severity", FindingFilter.KebabCase((Severity)row.GetInt16(6)));
            writer.WriteString("status", FindingFilter.KebabCase((FindingStatus)row.GetInt16(7)));
            writer.WriteString("statusSince", row.GetFieldValue<DateTimeOffset>(8));
            writer.WriteBoolean("regression", row.GetBoolean(9));
            writer.WriteBoolean("gate", row.GetBoolean(10));
            writer.WriteStartArray("identifiers");
            foreach (var identifier in row.GetFieldValue<string[]>(11))
            {
                writer.WriteStringValue(identifier);
            }

            writer.WriteEndArray();
            writer.WriteString("firstSeen", row.GetFieldValue<DateTimeOffset>(12));
            if (!row.IsDBNull(13))
            {
                writer.WriteNumber("line", row.GetInt32(13));
            }

            writer.WriteBoolean("kev", row.GetBoolean(16));
            Time("due", row.Time(17));
            Time("breached", row.Time(18));

            await EndAsync();
        }

        void Begin(string id, string label, string kind)
        {
            writer.WriteStartObject(id);
            writer.WriteString("label", label);
            writer.WriteStartObject("metadata");
            writer.WriteString("kind", kind);
        }

        void Optional(string name, string? value)
        {
            if (value is not null)
            {
                writer.WriteString(name, value);
            }
        }

        void Time(string name, DateTimeOffset? value)
        {
            if (value is { } time)
            {
                writer.WriteString(name, time);
            }
        }

        Task EndAsync()
        {
            writer.WriteEndObject();
            writer.WriteEndObject();
            return json.GoOnAsync(cancellation);
        }
    }

    private static async IAsyncEnumerable<ProgramEdge> EdgesAsync(ReportSnapshot snapshot, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var row in snapshot.RowsAsync(Findings, cancellation))
        {
            var finding = $"finding:{row.GetGuid(0):D}";
            yield return new ProgramEdge(finding, $"service:{row.GetString(1)}", "affects");
            if (!row.IsDBNull(14))
            {
                yield return new ProgramEdge(finding, row.GetString(14), "in");
            }

            if (!row.IsDBNull(15))
            {
                yield return new ProgramEdge(finding, row.GetString(15), "located-at");
            }
        }

        await foreach (var row in snapshot.RowsAsync(PartOf, cancellation))
        {
            yield return new ProgramEdge(row.GetString(0), $"service:{row.GetString(1)}", "part-of");
        }
    }
}

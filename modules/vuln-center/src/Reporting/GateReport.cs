using System.Text.Json;
using Microsoft.Extensions.Options;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Reporting;

/// <summary>Which services are held back, and by which findings: everything that stands at the gate now.</summary>
internal sealed class GateReport(IOptions<ImportOptions> options) : IReport
{
    private const string Services = """
        select f.service, count(*) filter (where f.gate) from vuln_center.finding f where {where} group by f.service order by f.service
        """;

    private const string Gates = """
        select f.service, f.id, f.severity, f.status, f.status_since, f.title, f.kev, f.sla_due_at, f.sla_breached_at from vuln_center.finding f
        where {where} and f.gate
        order by f.service, f.severity desc, f.status_since, f.id
        """;

    public string Name => "safety-console";

    public string MediaType => "application/json";

    public int Shape => 2;

    public async Task WriteAsync(ReportSnapshot snapshot, ReportJson json, CancellationToken cancellation)
    {
        var writer = json.Writer;
        writer.WriteStartObject();
        writer.WriteString("schemaVersion", "1");
        ReportTimes.WriteAsOf(writer, snapshot.State);
        writer.WriteStartArray("services");
        await foreach (var row in snapshot.RowsAsync(Services, cancellation))
        {
            JsonSerializer.Serialize(writer, new ServiceGate(row.GetString(0), row.GetInt64(1) > 0, row.GetInt64(1)), VulnCenterJson.Default.ServiceGate);
            await json.GoOnAsync(cancellation);
        }

        writer.WriteEndArray();
        writer.WriteStartArray("gates");
        await foreach (var gate in GatesAsync(snapshot, cancellation))
        {
            JsonSerializer.Serialize(writer, gate, VulnCenterJson.Default.ReportedGate);
            await json.GoOnAsync(cancellation);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    public async Task WriteAsync(ReportSnapshot snapshot, CsvTable csv, CancellationToken cancellation)
    {
        await csv.RowAsync(cancellation, "service", "severity", "status", "since", "title", "finding", "key", "url", "known exploited", "due", "overdue since");
        await foreach (var gate in GatesAsync(snapshot, cancellation))
        {
            await csv.RowAsync(
                cancellation, gate.Service, FindingFilter.KebabCase(gate.Severity), FindingFilter.KebabCase(gate.Status), CsvTable.Of(gate.Since), gate.Title,
                gate.Finding.ToString("D"), gate.Key, gate.Url,
                CsvTable.Of(gate.Kev), CsvTable.Of(gate.Due), CsvTable.Of(gate.Breached));
        }
    }

    private async IAsyncEnumerable<ReportedGate> GatesAsync(ReportSnapshot snapshot, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var row in snapshot.RowsAsync(Gates, cancellation))
        {
            var (service, id) = (row.GetString(0), row.GetGuid(1));
            yield return new ReportedGate(
                FindingEvents.GateKey(service, id), service, id, (Severity)row.GetInt16(2), (FindingStatus)row.GetInt16(3), row.GetFieldValue<DateTimeOffset>(4), row.GetString(5),
                new Uri(options.Value.PublicUrl, $"findings/{id:D}").ToString(),
                row.GetBoolean(6), row.Time(7), row.Time(8));
        }
    }
}

internal static class ReportTimes
{
    /// <summary>The time of the latest change, so that the same findings give the same bytes.</summary>
    public static void WriteAsOf(Utf8JsonWriter writer, ReportState state)
    {
        if (state.AsOf is { } asOf)
        {
            writer.WriteString("asOf", asOf);
        }
        else
        {
            writer.WriteNull("asOf");
        }
    }
}

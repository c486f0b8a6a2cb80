using System.Runtime.CompilerServices;
using System.Text.Json;
using Npgsql;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Reporting;

/// <summary>How each service stands: findings by severity and status, the worst and the oldest that is open, the gate.</summary>
internal sealed class PostureReport : IReport
{
    private const string Counts = """
        select f.service, f.severity, f.status, count(*), count(*) filter (where f.gate), min(f.first_seen),
               count(*) filter (where f.suppression is not null), count(*) filter (where f.kev), count(*) filter (where f.sla_breached_at is not null),
               count(*) filter (where f.kev and f.suppression is null)
        from vuln_center.finding f where {where} group by f.service, f.severity, f.status order by f.service, f.severity desc, f.status
        """;

    private static readonly Severity[] Severities = [.. Enum.GetValues<Severity>().Order().Reverse()];
    private static readonly FindingStatus[] Statuses = [.. Enum.GetValues<FindingStatus>().Order()];

    public string Name => "control-plane";

    public string MediaType => "application/json";

    public int Shape => 3;

    public async Task WriteAsync(ReportSnapshot snapshot, ReportJson json, CancellationToken cancellation)
    {
        var writer = json.Writer;
        writer.WriteStartObject();
        writer.WriteString("schemaVersion", "1");
        ReportTimes.WriteAsOf(writer, snapshot.State);
        writer.WriteStartArray("items");
        await foreach (var posture in PosturesAsync(snapshot, cancellation))
        {
            JsonSerializer.Serialize(writer, posture, VulnCenterJson.Default.ServicePosture);
            await json.GoOnAsync(cancellation);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    public async Task WriteAsync(ReportSnapshot snapshot, CsvTable csv, CancellationToken cancellation)
    {
        var cells = (from severity in Severities from status in Statuses select (Severity: FindingFilter.KebabCase(severity), Status: FindingFilter.KebabCase(status))).ToList();
        await csv.RowAsync(cancellation, ["service", "gate", "gates", "open", "worst open", "oldest open", "suppressed", "known exploited", "overdue", .. cells.Select(cell => $"{cell.Severity} {cell.Status}"), "backlog", "backlog known exploited"]);
        await foreach (var posture in PosturesAsync(snapshot, cancellation))
        {
            await csv.RowAsync(
                cancellation,
                [
                    posture.Service, posture.Gate, CsvTable.Of(posture.Gates), CsvTable.Of(posture.Open),
                    posture.WorstOpen is { } worst ? FindingFilter.KebabCase(worst) : null, CsvTable.Of(posture.OldestOpen),
                    CsvTable.Of(posture.Suppressed), CsvTable.Of(posture.KnownExploited), CsvTable.Of(posture.Overdue),
                    .. cells.Select(cell => CsvTable.Of(posture.Counts[cell.Severity][cell.Status])),
                    CsvTable.Of(posture.Backlog.Open), CsvTable.Of(posture.Backlog.KnownExploited),
                ]);
        }
    }

    private static async IAsyncEnumerable<ServicePosture> PosturesAsync(ReportSnapshot snapshot, [EnumeratorCancellation] CancellationToken cancellation)
    {
        Posture? posture = null;
        await foreach (var row in snapshot.RowsAsync(Counts, cancellation))
        {
            var service = row.GetString(0);
            if (posture is not null && posture.Service != service)
            {
                yield return posture.ToContract();
                posture = null;
            }

            (posture ??= new Posture(service)).Add(row);
        }

        if (posture is not null)
        {
            yield return posture.ToContract();
        }
    }

    private sealed class Posture(string service)
    {
        private readonly Dictionary<Severity, Dictionary<string, long>> _counts = Severities.ToDictionary(
            severity => severity, _ => Statuses.ToDictionary(FindingFilter.KebabCase, _ => 0L, StringComparer.Ordinal));

        private readonly Dictionary<Severity, long> _backlog = Severities.ToDictionary(severity => severity, _ => 0L);

        private long _open;
        private long _gates;
        private Severity? _worst;
        private DateTimeOffset? _oldest;
        private long _suppressed;
        private long _knownExploited;
        private long _overdue;
        private long _backlogExploited;

        public string Service => service;

        public void Add(NpgsqlDataReader row)
        {
            var (severity, status, count) = ((Severity)row.GetInt16(1), (FindingStatus)row.GetInt16(2), row.GetInt64(3));
            _counts[severity][FindingFilter.KebabCase(status)] = count;
            _gates += row.GetInt64(4);
            if (status is FindingStatus.Open or FindingStatus.Triaged)
            {
                var first = row.GetFieldValue<DateTimeOffset>(5);
                _open += count;
                _worst = _worst > severity ? _worst : severity;
                _oldest = _oldest < first ? _oldest : first;
                _suppressed += row.GetInt64(6);
                _knownExploited += row.GetInt64(7);
                _overdue += row.GetInt64(8);
                _backlog[severity] += count - row.GetInt64(6);
                _backlogExploited += row.GetInt64(9);
            }
        }

        public ServicePosture ToContract() => new(
            service,
            Severities.ToDictionary(FindingFilter.KebabCase, severity => (IReadOnlyDictionary<string, long>)_counts[severity], StringComparer.Ordinal),
            _open, _worst, _oldest, _gates > 0 ? "blocked" : "clear", _gates,
            _suppressed, _knownExploited, _overdue,
            new PostureBacklog(_backlog.Values.Sum(), _backlogExploited, Severities.ToDictionary(FindingFilter.KebabCase, severity => _backlog[severity], StringComparer.Ordinal)));
    }
}

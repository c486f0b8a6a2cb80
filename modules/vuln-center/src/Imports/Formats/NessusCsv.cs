using System.Runtime.CompilerServices;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Csv;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// A raw result is a record. Nessus writes one for every CVE of a plugin: they are one finding with several observations,
/// and each has all CVEs that the report gives for its plugin. A record that says that the problem is fixed is rejected.
/// </summary>
internal static class NessusCsv
{
    const int MaxPlugins = 300_000;

    static readonly string[] Plugin = ["Plugin ID", "Plugin", "definition.id"];
    static readonly string[] Host = ["Host", "asset.name", "asset.host_name", "IP Address", "asset.display_ipv4_address", "DNS Name"];
    static readonly string[] Rating = ["Risk", "Severity"];
    static readonly string[] Cve = ["CVE", "definition.cve"];

    public static bool Recognises(string firstLine) =>
        IsOwn(new CsvHeader([.. firstLine.Split(firstLine.Contains(';', StringComparison.Ordinal) ? ';' : ',').Select(name => name.Trim().Trim('"'))]));

    public static async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, IReadOnlyList<SeverityMapping> severities, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var records = new CsvRecords(report, context);
        Dictionary<string, SortedSet<string>> cves = new(StringComparer.Ordinal);
        var count = 0;
        await foreach (var record in records.ReadAsync(cancellationToken))
        {
            if (record.IsHeader && !IsOwn(record.Header))
                throw new ReportFormatException(
                    ReportFormatException.Foreign, "Not a Nessus report: no columns for plugin, host and severity (Plugin ID, Host, Risk).", record.Offset, 1, 1, "");
            if (record.IsHeader)
                continue;
            count++;
            Collect(record, cves);
        }
        yield return new ReportItem.ScannerSeen("nessus")
        {
            HostsAreOfResults = true,
            Results = count,
            Failure = count > 0 ? null : "The report has a header and no records, like one that was cut off.",
        };
        await foreach (var record in records.ReadAsync(cancellationToken))
        {
            if (!record.IsHeader)
                yield return Read(record, cves, severities);
        }
    }

    static bool IsOwn(CsvHeader header) =>
        header.HasAny(Plugin) && header.HasAny(Host) && header.HasAny(Rating) && header.HasAny("Synopsis", "definition.synopsis");

    static void Collect(CsvRecord record, Dictionary<string, SortedSet<string>> cves)
    {
        if (record.Text(Plugin) is not { } plugin || plugin.Length > Bounded.WordLength || record.Text(Cve) is not { } listed)
            return;
        if (!cves.TryGetValue(plugin, out var known))
        {
            if (cves.Count == MaxPlugins)
                throw new ReportFormatException(ReportFormatException.TooMany, $"More than {MaxPlugins} plugins.", record.Offset, 1, 1, record.Pointer);
            cves.Add(plugin, known = new SortedSet<string>(StringComparer.Ordinal));
        }
        foreach (var id in Ids(listed))
        {
            if (known.Count < Bounded.ListLength)
                known.Add(id.Value);
        }
    }

    static IReadOnlyList<AdvisoryId> Ids(string listed) =>
        Identifiers.Advisories(listed.Split([',', ';', ' ', '\r', '\n'], StringSplitOptions.RemoveEmptyEntries));

    static ReportItem Read(CsvRecord record, Dictionary<string, SortedSet<string>> cves, IReadOnlyList<SeverityMapping> severities)
    {
        if (record.Fields.Count < record.Header.Count)
            return Rejected(record, RejectionCodes.Unreadable, $"The record has {record.Fields.Count} fields, the header {record.Header.Count}.");
        if (Bounded.Identity(record.Text(Plugin)) is not { } plugin)
            return Rejected(record, RejectionCodes.Unreadable, "The plugin's id is missing.");
        if (NessusFormat.Resource(record.Text(Host), record.Text("Port", "asset.port"), record.Text("Protocol")) is not { } resource)
            return Rejected(record, RejectionCodes.Unreadable, "The host is missing.");
        if (string.Equals(record.Text("Vulnerability State", "state"), "Fixed", StringComparison.OrdinalIgnoreCase))
            return Rejected(record, RejectionCodes.Absent, "The scanner reports it as fixed.");
        var rating = record.Text(Rating);
        return new ReportItem.Observed(new RawObservation
        {
            Pointer = record.Pointer,
            Offset = record.Offset,
            PayloadHash = record.Hash,
            Kind = FindingKind.Config,
            RuleId = plugin,
            Title = Bounded.Title(record.Text("Name", "Plugin Name", "definition.name") ?? plugin),
            Description = Bounded.Description(string.Join("\n\n", new[]
            {
                record.Text("Synopsis", "definition.synopsis"), record.Text("Description", "definition.description"),
                record.Text("Solution", "Steps to Remediate", "definition.solution"),
            }.OfType<string>())),
            RawSeverity = Bounded.Word(rating),
            Severity = severities.Map(rating),
            Cvss = NessusFormat.Cvss(
                (record.Text("CVSS V4 Vector", "CVSS4 Vector", "CVSS v4.0 Vector", "definition.cvss4.base_vector"),
                    record.Text("CVSS V4 Base Score", "CVSS4 Base Score", "CVSS v4.0 Base Score", "definition.cvss4.base_score")),
                (record.Text("CVSS V3 Vector", "CVSS3 Vector", "definition.cvss3.base_vector"),
                    record.Text("CVSS V3 Base Score", "CVSS3 Base Score", "CVSS v3.0 Base Score", "definition.cvss3.base_score")),
                (record.Text("CVSS V2 Vector", "CVSS Vector", "definition.cvss2.base_vector"),
                    record.Text("CVSS V2 Base Score", "CVSS Base Score", "definition.cvss2.base_score"))),
            Identifiers = cves.TryGetValue(plugin, out var ids) ? Identifiers.Advisories(ids) : [],
            Cwes = Identifiers.Cwes((record.Text("CWE", "definition.cwe") ?? "").Split([',', ' '], StringSplitOptions.RemoveEmptyEntries)),
            Resource = resource,
            References = WebPlaces.Links(record.Text("See Also", "definition.see_also")),
        });
    }

    static ReportItem.Rejected Rejected(CsvRecord record, string code, string reason) => new(record.Pointer, record.Offset, code, reason);
}

using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Tenable Nessus: the <c>.nessus</c> file (XML, version 2, see <see cref="NessusXml"/>) and the CSV of Nessus, Tenable.sc
/// and Tenable Vulnerability Management (see <see cref="NessusCsv"/>). What is found belongs to a port of a host: plugin,
/// host, port and protocol identify it. The plugin's output is not kept; it changes with every scan and can hold what
/// the plugin was able to read.
/// </summary>
internal sealed class NessusFormat : IReportFormat
{
    public string Name => "nessus";
    public string Title => "Tenable Nessus XML and CSV";
    public IReadOnlyList<string> Versions => [".nessus version 2", "CSV of Nessus", "CSV of Tenable.sc", "CSV of Tenable Vulnerability Management"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("4", Severity.Critical),
        new("3", Severity.High),
        new("2", Severity.Medium),
        new("1", Severity.Low),
        new("0", Severity.Info),
        new("Critical", Severity.Critical),
        new("High", Severity.High),
        new("Medium", Severity.Medium),
        new("Low", Severity.Low),
        new("Info", Severity.Info),
        new("None", Severity.Info),
    ];

    public bool Recognises(ReportPeek peek) => peek.Kind switch
    {
        DocumentKind.Xml => peek is { XmlRoot: NessusXml.RootName, XmlNamespace: "" },
        DocumentKind.Text => NessusCsv.Recognises(peek.FirstLine),
        _ => false,
    };

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var items = await Syntax.IsXmlAsync(report, cancellationToken)
            ? NessusXml.ReadAsync(report, context, Severities, cancellationToken)
            : NessusCsv.ReadAsync(report, context, Severities, cancellationToken);
        await foreach (var item in items.WithCancellation(cancellationToken))
            yield return item;
    }

    /// <summary>A port of a host: <c>10.0.0.5:443/tcp</c>; port 0 is the host itself.</summary>
    public static string? Resource(string? host, string? port, string? protocol) => HostOf(host) is { } name
        ? $"{name}:{Bounded.Word(port) ?? "0"}/{Bounded.Word(protocol)?.ToLowerInvariant() ?? "tcp"}"
        : null;

    public static string? HostOf(string? name) => Bounded.Identity(name)?.ToLowerInvariant() is { } host
        ? host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host
        : null;

    /// <summary>Vectors as Tenable writes them: <c>CVSS2#AV:N/…</c>, and version 3 without its prefix, which is 3.0.</summary>
    public static IReadOnlyList<ReportedCvss> Cvss(params IEnumerable<(string? Vector, string? Score)> scores) =>
    [
        .. scores.Select(score => Identifiers.Cvss(Prefixed(score.Vector), Number(score.Score), "tenable")).OfType<ReportedCvss>().Distinct(),
    ];

    static string? Prefixed(string? vector)
    {
        if (vector is null)
            return null;
        var plain = vector.StartsWith("CVSS2#", StringComparison.OrdinalIgnoreCase) ? vector[6..] : vector;
        return plain.StartsWith("AV:", StringComparison.Ordinal) && plain.Contains("/PR:", StringComparison.Ordinal) ? $"CVSS:3.0/{plain}" : plain;
    }

    static decimal? Number(string? text) => Xml.XmlFields.Number(text);
}

using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>ZAP.</summary>
internal sealed class ZapFormat : IReportFormat
{
    public string Name => "zap";
    public string Title => "ZAP XML";
    public IReadOnlyList<string> Versions => ["2.4 and later"];

    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("3", Severity.High),
        new("2", Severity.Medium),
        new("1", Severity.Low),
        new("0", Severity.Info),
    ];

    public bool Recognises(ReportPeek peek) => peek is { Kind: DocumentKind.Xml, XmlRoot: "OWASPZAPReport" };

    public IAsyncEnumerable<ReportItem> ReadAsync(Stream report, ReportContext context, CancellationToken cancellationToken) =>
        ZapXml.ReadAsync(report, context, Severities, cancellationToken);
}

using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Reports of ZAP, the Zed Attack Proxy.</summary>
internal sealed class ZapFormat : IReportFormat
{
    public string Name => "zap";
    public string Title => "ZAP";
    public IReadOnlyList<string> Versions => ["JSON (2.7 and later)"];

    /// <summary>By <c>riskcode</c>.</summary>
    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("3", Severity.High),
        new("2", Severity.Medium),
        new("1", Severity.Low),
        new("0", Severity.Info),
    ];

    public bool Recognises(ReportPeek peek) => ZapJson.Recognises(peek);

    public IAsyncEnumerable<ReportItem> ReadAsync(Stream report, ReportContext context, CancellationToken cancellationToken) =>
        ZapJson.ReadAsync(report, context, Severities, cancellationToken);
}

using System.Runtime.CompilerServices;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Reports of ZAP, the Zed Attack Proxy: JSON (<see cref="ZapJson"/>) and XML (<see cref="ZapXml"/>).</summary>
internal sealed class ZapFormat : IReportFormat
{
    public string Name => "zap";
    public string Title => "ZAP";
    public IReadOnlyList<string> Versions => ["JSON (2.7 and later)", "XML (2.4 and later)"];

    /// <summary>By <c>riskcode</c>.</summary>
    public IReadOnlyList<SeverityMapping> Severities { get; } =
    [
        new("3", Severity.High),
        new("2", Severity.Medium),
        new("1", Severity.Low),
        new("0", Severity.Info),
    ];

    public bool Recognises(ReportPeek peek) => peek.Kind == DocumentKind.Xml ? ZapXml.Recognises(peek) : ZapJson.Recognises(peek);

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var items = await Syntax.IsXmlAsync(report, cancellationToken)
            ? ZapXml.ReadAsync(report, context, Severities, cancellationToken)
            : ZapJson.ReadAsync(report, context, Severities, cancellationToken);
        await foreach (var item in items.WithCancellation(cancellationToken))
            yield return item;
    }
}

using System.Runtime.CompilerServices;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// CycloneDX 1.4 to 1.6 with vulnerabilities, and VEX, in JSON (<see cref="CycloneDxJson"/>) and XML
/// (<see cref="CycloneDxXml"/>). A raw result is a vulnerability with one component it affects, or a vulnerability that names
/// none. What an analysis calls not affected, a false positive or resolved is not a problem.
/// </summary>
internal sealed class CycloneDxFormat : IReportFormat
{
    public string Name => "cyclonedx";
    public string Title => "CycloneDX";
    public IReadOnlyList<string> Versions => ["1.4", "1.5", "1.6", "XML 1.0 to 1.3 with the vulnerability extension 1.0"];

    public IReadOnlyList<SeverityMapping> Severities => CycloneDxVulnerability.Severities;

    public bool Recognises(ReportPeek peek) => peek.Kind == DocumentKind.Xml ? CycloneDxXml.Recognises(peek) : CycloneDxJson.Recognises(peek);

    public async IAsyncEnumerable<ReportItem> ReadAsync(
        Stream report, ReportContext context, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var items = await Syntax.IsXmlAsync(report, cancellationToken)
            ? CycloneDxXml.ReadAsync(report, context, cancellationToken)
            : CycloneDxJson.ReadAsync(report, context, cancellationToken);
        await foreach (var item in items.WithCancellation(cancellationToken))
            yield return item;
    }
}

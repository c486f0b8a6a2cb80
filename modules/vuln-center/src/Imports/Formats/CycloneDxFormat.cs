namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// CycloneDX 1.4 to 1.6 with vulnerabilities, and VEX. A raw result is a vulnerability with one component it affects, or a
/// vulnerability that names none. What an analysis calls not affected, a false positive or resolved is not a problem.
/// </summary>
internal sealed class CycloneDxFormat : IReportFormat
{
    public string Name => "cyclonedx";
    public string Title => "CycloneDX";
    public IReadOnlyList<string> Versions => ["1.4", "1.5", "1.6"];

    public IReadOnlyList<SeverityMapping> Severities => CycloneDxVulnerability.Severities;

    public bool Recognises(ReportPeek peek) => CycloneDxJson.Recognises(peek);

    public IAsyncEnumerable<ReportItem> ReadAsync(Stream report, ReportContext context, CancellationToken cancellationToken) =>
        CycloneDxJson.ReadAsync(report, context, cancellationToken);
}

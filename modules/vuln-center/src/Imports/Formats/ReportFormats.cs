using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Every format this build reads, by name.</summary>
internal static class ReportFormats
{
    /// <summary>As in <c>?format=</c>: the report says itself what it is.</summary>
    public const string Auto = "auto";

    public static IReadOnlyList<IReportFormat> All { get; } =
    [
        new BurpFormat(),
        new CycloneDxFormat(),
        new DependencyCheckFormat(),
        new GenericFormat(),
        new GitleaksFormat(),
        new GrypeFormat(),
        new NessusFormat(),
        new NpmAuditFormat(),
        new NucleiFormat(),
        new OpenVexFormat(),
        new OsvScannerFormat(),
        new SarifFormat(),
        new SemgrepFormat(),
        new SnykFormat(),
        new TrivyFormat(),
        new ZapFormat(),
    ];

    /// <summary>A format, or a source of people's findings as one.</summary>
    public static IReportFormat? Find(string name) =>
        All.FirstOrDefault(format => string.Equals(format.Name, name, StringComparison.OrdinalIgnoreCase)) ?? PeopleSources.Find(name);

    /// <summary>What a report is by its looks. Nothing is guessed: unless exactly one format recognises it, it is none.</summary>
    /// <exception cref="ReportFormatException">No format recognises it, and it is broken besides: that is what to say of it.</exception>
    public static async Task<DetectedFormat> DetectAsync(Stream report, ReportContext context, CancellationToken cancellationToken)
    {
        var peek = await ReportPeek.OfAsync(report, context, cancellationToken);
        var candidates = All.Where(format => format.Recognises(peek)).ToList();
        if (candidates.Count == 0 && peek.Kind is DocumentKind.Empty or DocumentKind.JsonObject or DocumentKind.JsonArray)
        {
            using var whole = await JsonMap.ReadAsync(report, new JsonPaths(), context, cancellationToken);
        }
        return new DetectedFormat(candidates, peek);
    }

    public static Severity Map(this IReadOnlyList<SeverityMapping> table, string? raw)
    {
        var word = raw?.Trim();
        foreach (var mapping in table)
        {
            if (string.Equals(mapping.Raw, word, StringComparison.OrdinalIgnoreCase))
                return mapping.Severity;
        }
        return Severity.Unknown;
    }

    /// <summary>Whether a result states a severity that its table does not have: it counts as unknown, and somebody should be told.</summary>
    public static bool IsUnmapped(this IReadOnlyList<SeverityMapping> table, RawObservation observation) =>
        observation is { Severity: Severity.Unknown, RawSeverity: { } word } && !table.Any(mapping => string.Equals(mapping.Raw, word, StringComparison.OrdinalIgnoreCase));
}

/// <param name="Candidates">The formats that recognise the report.</param>
internal sealed record DetectedFormat(IReadOnlyList<IReportFormat> Candidates, ReportPeek Peek)
{
    /// <summary>Null when no format recognises it, or more than one.</summary>
    public IReportFormat? Format => Candidates is [var only] ? only : null;
}

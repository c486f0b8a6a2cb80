using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>Every format this build reads, by name.</summary>
internal static class ReportFormats
{
    public static IReadOnlyList<IReportFormat> All { get; } = [new GenericFormat(), new GrypeFormat(), new SarifFormat(), new TrivyFormat()];

    public static IReportFormat? Find(string name) =>
        All.FirstOrDefault(format => string.Equals(format.Name, name, StringComparison.OrdinalIgnoreCase));

    public static Severity Map(this IReadOnlyList<SeverityMapping> table, string? raw)
    {
        if (raw is null)
            return Severity.Unknown;
        foreach (var mapping in table)
        {
            if (string.Equals(mapping.Raw, raw, StringComparison.OrdinalIgnoreCase))
                return mapping.Severity;
        }
        return Severity.Unknown;
    }
}

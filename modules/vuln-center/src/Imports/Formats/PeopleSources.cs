using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Imports.Formats;

/// <summary>
/// Where people's findings come from. They come in the normalized schema, each source with the severity words of its own
/// trade; a word that it does not know is unknown, however another source reads it.
/// </summary>
internal static class PeopleSources
{
    public static IReadOnlyList<PeopleSource> All { get; } =
    [
        new("audit", "Audit findings",
        [
            new("critical", Severity.Critical),
            new("high", Severity.High),
            new("medium", Severity.Medium),
            new("low", Severity.Low),
            new("material weakness", Severity.Critical),
            new("significant deficiency", Severity.High),
            new("control deficiency", Severity.Medium),
            new("major nonconformity", Severity.High),
            new("major", Severity.High),
            new("minor nonconformity", Severity.Medium),
            new("minor", Severity.Medium),
            new("observation", Severity.Low),
            new("opportunity for improvement", Severity.Info),
            new("informational", Severity.Info),
            new("info", Severity.Info),
        ]),
        new("bug-bounty", "Bug bounty reports",
        [
            new("P1", Severity.Critical),
            new("P2", Severity.High),
            new("P3", Severity.Medium),
            new("P4", Severity.Low),
            new("P5", Severity.Info),
            new("exceptional", Severity.Critical),
            new("critical", Severity.Critical),
            new("high", Severity.High),
            new("medium", Severity.Medium),
            new("low", Severity.Low),
            new("informational", Severity.Info),
            new("none", Severity.None),
        ]),
        new("red-team", "Red team findings",
        [
            new("critical", Severity.Critical),
            new("high", Severity.High),
            new("medium", Severity.Medium),
            new("moderate", Severity.Medium),
            new("low", Severity.Low),
            new("informational", Severity.Info),
            new("info", Severity.Info),
            new("best practice", Severity.Info),
        ]),
    ];

    /// <summary>"Red Team" and "red_team" are called red-team.</summary>
    public static PeopleSource? Find(string? name) => name is null
        ? null
        : All.FirstOrDefault(source => string.Equals(source.Name, name.Trim().Replace(' ', '-').Replace('_', '-'), StringComparison.OrdinalIgnoreCase));
}

/// <summary>
/// The normalized schema as one source of people's findings sends it: <c>POST /findings</c> with that <c>source</c>, or its
/// name as a format.
/// </summary>
internal sealed class PeopleSource(string name, string title, IReadOnlyList<SeverityMapping> severities) : IReportFormat
{
    public string Name { get; } = name;
    public string Title { get; } = title;
    public IReadOnlyList<string> Versions => GenericFormat.SchemaVersions;
    public IReadOnlyList<SeverityMapping> Severities { get; } = severities;

    /// <summary>It looks like the normalized schema, which it is.</summary>
    public bool Recognises(ReportPeek peek) => false;

    public IAsyncEnumerable<ReportItem> ReadAsync(Stream report, ReportContext context, CancellationToken cancellationToken) =>
        GenericFormat.ReadAsync(report, context, this, cancellationToken);
}

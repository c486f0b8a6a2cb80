using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Cvss;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Findings;

/// <summary>A reported vector, with what became of it.</summary>
/// <param name="Scores">Computed from the vector as reported; null when it does not parse.</param>
/// <param name="Fault">Why it does not parse; it then decides nothing.</param>
internal sealed record AssessedCvss(ReportedCvss Reported, CvssScores? Scores, CvssFault? Fault)
{
    /// <summary>The scanner's score is none that its own vector gives.</summary>
    public bool ScoreDiffers => Reported.Score is { } stated && Scores is { } own && stated != own.Overall && stated != own.Base && stated != own.Temporal;
}

/// <summary>What a finding's severity is, and why. An analyst's override stands above it and is not decided here.</summary>
/// <param name="From"><c>cvss-4.0</c>, <c>cvss-3.1</c>, <c>cvss-3.0</c>, <c>cvss-2.0</c>, each followed by <c>/environmental</c> where the service's metrics
/// are in it, or <c>source</c> for the source's mapping.</param>
/// <param name="Score">Of the vector that decided; null from <c>source</c>.</param>
/// <param name="Vector">The one that decided, normalised, with the service's environmental metrics; null from <c>source</c>.</param>
/// <param name="Assessed">All reported vectors, in the order reported.</param>
internal sealed record SeverityDecision(Severity Severity, string From, decimal? Score, string? Vector, IReadOnlyList<AssessedCvss> Assessed)
{
    public const string FromSource = "source";

    /// <summary>
    /// The newest version's first vector that parses decides, by its own score: scores of several versions or origins are never compared. A report
    /// names its primary origin first.
    /// </summary>
    /// <param name="mapped">What the source's mapping table makes of the raw severity.</param>
    /// <param name="environment">Of the service, where it gives its metrics.</param>
    public static SeverityDecision Of(IReadOnlyList<ReportedCvss> reported, Severity mapped, CvssEnvironment? environment)
    {
        if (reported.Count == 0)
            return new SeverityDecision(mapped, FromSource, null, null, []);

        var assessed = new List<AssessedCvss>(reported.Count);
        CvssVector? best = null;
        foreach (var cvss in reported)
        {
            var (vector, fault) = CvssVector.Read(cvss.Vector);
            assessed.Add(new AssessedCvss(cvss, vector?.Score(), fault));
            if (vector is not null && (best is null || vector.Version > best.Version))
                best = vector;
        }

        if (best is null)
            return new SeverityDecision(mapped, FromSource, null, null, assessed);
        var from = $"cvss-{best.Version.Number()}";
        if (environment?.Concerns(best.Version) == true)
            (best, from) = (best.With(environment), from + "/environmental");
        var scores = best.Score();
        return new SeverityDecision(scores.Severity, from, scores.Overall, best.ToString(), assessed);
    }
}

using System.Globalization;
using System.Runtime.CompilerServices;
using Wave16.VulnCenter.Imports.Formats;
using Wave16.VulnCenter.Imports.Formats.Csv;

namespace Wave16.VulnCenter.Feeds;

/// <param name="At">Where it stands in the feed.</param>
internal sealed record EpssRow(string At, string Cve, float Score, float? Percentile);

/// <summary>FIRST's EPSS scores (<c>epss_scores-YYYY-MM-DD.csv</c>, https://www.first.org/epss/data_stats): a comment with the date, a header, a row for each CVE.</summary>
internal sealed class EpssFeed
{
    private const string DateName = "score_date:";

    /// <summary><c>score_date</c>, known once a row has been read.</summary>
    public string? AsOf { get; private set; }

    /// <summary>Where it says so, or should.</summary>
    public string AsOfAt { get; private set; } = FeedException.LinePointer(1);

    /// <exception cref="FeedException">It is no such file, or a row is wrong.</exception>
    /// <exception cref="ReportFormatException">It is no whole table.</exception>
    public async IAsyncEnumerable<EpssRow> ReadAsync(Stream feed, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var record in FeedTable.ReadAsync(feed, cancellation))
        {
            if (record.IsComment)
            {
                if (AsOf is null && ScoreDate(record) is { } date)
                {
                    (AsOf, AsOfAt) = (date, record.Pointer);
                }
            }
            else if (record.IsHeader)
            {
                if (!record.Header.HasAny("cve") || !record.Header.HasAny("epss"))
                {
                    throw new FeedException(record.Pointer, "is not the header cve,epss,percentile");
                }
            }
            else
            {
                yield return new EpssRow(
                    record.Pointer, FeedValues.Cve(record.Text("cve"), record.Pointer), Probability(record.Text("epss"), "epss", record.Pointer),
                    record.Text("percentile") is { } percentile ? Probability(percentile, "percentile", record.Pointer) : null);
            }
        }
    }

    private static string? ScoreDate(CsvRecord comment)
    {
        if (comment.Fields.Select(field => field.TrimStart('#', ' ')).FirstOrDefault(field => field.StartsWith(DateName, StringComparison.Ordinal)) is not { } named)
        {
            return null;
        }

        var value = named[DateName.Length..].Trim();
        return FeedValues.Moment(value) is null ? throw new FeedException(comment.Pointer, "has a score_date that is not a date") : value;
    }

    private static float Probability(string? text, string field, string pointer) =>
        float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value is >= 0 and <= 1
            ? value
            : throw new FeedException(pointer, $"has an {field} that is not a number from 0 to 1");
}

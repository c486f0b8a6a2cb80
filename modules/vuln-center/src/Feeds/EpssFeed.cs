using System.Globalization;
using System.Runtime.CompilerServices;

namespace Wave16.VulnCenter.Feeds;

/// <param name="At">Where it stands in the feed.</param>
internal sealed record EpssRow(string At, string Cve, float Score, float? Percentile);

/// <summary>FIRST's EPSS scores (<c>epss_scores-YYYY-MM-DD.csv</c>, https://www.first.org/epss/data_stats): a comment with the date, a header, a row for each CVE.</summary>
internal sealed class EpssFeed
{
    /// <summary><c>score_date</c>, known once a row has been read.</summary>
    public string? AsOf { get; private set; }

    /// <exception cref="FeedException">It is no such file, or a row is wrong.</exception>
    public async IAsyncEnumerable<EpssRow> ReadAsync(Stream feed, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var (cve, score, percentile) = (-1, -1, -1);
        await foreach (var record in CsvRecords.ReadAsync(feed, cancellation))
        {
            if (record.Fields is [['#', ..] comment] && cve < 0)
            {
                AsOf ??= Named(comment, "score_date:", record.Line);
                continue;
            }

            if (cve < 0)
            {
                var header = record.Fields.Select(field => field.Trim().ToLowerInvariant()).ToList();
                (cve, score, percentile) = (header.IndexOf("cve"), header.IndexOf("epss"), header.IndexOf("percentile"));
                if (cve < 0 || score < 0)
                {
                    throw FeedException.AtLine(record.Line, "is not the header cve,epss,percentile");
                }

                continue;
            }

            if (record.Fields.Count <= Math.Max(cve, Math.Max(score, percentile)))
            {
                throw FeedException.AtLine(record.Line, $"has {record.Fields.Count} fields, fewer than the header");
            }

            yield return new EpssRow(
                FeedException.LinePointer(record.Line),
                FeedValues.Cve(record.Fields[cve], FeedException.LinePointer(record.Line)),
                Probability(record.Fields[score], "epss", record.Line),
                percentile < 0 || record.Fields[percentile].Length == 0 ? null : Probability(record.Fields[percentile], "percentile", record.Line));
        }

        if (cve < 0)
        {
            throw FeedException.AtLine(1, "is missing: the header cve,epss,percentile");
        }
    }

    private static string? Named(string comment, string name, long line)
    {
        var start = comment.IndexOf(name, StringComparison.Ordinal);
        if (start < 0)
        {
            return null;
        }

        var value = comment[(start + name.Length)..];
        value = (value.IndexOf(',', StringComparison.Ordinal) is var end and >= 0 ? value[..end] : value).Trim();
        return FeedValues.Moment(value) is null ? throw FeedException.AtLine(line, "has a score_date that is not a date") : value;
    }

    private static float Probability(string text, string field, long line) =>
        float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value is >= 0 and <= 1
            ? value
            : throw FeedException.AtLine(line, $"has an {field} that is not a number from 0 to 1");
}

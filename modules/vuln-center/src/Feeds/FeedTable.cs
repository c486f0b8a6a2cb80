using System.Runtime.CompilerServices;
using Wave16.VulnCenter.Imports.Formats;
using Wave16.VulnCenter.Imports.Formats.Csv;

namespace Wave16.VulnCenter.Feeds;

/// <summary>A feed that is a CSV file. Its records point to their lines; one that is shorter than the header is refused, and the feed with it.</summary>
internal static class FeedTable
{
    private static readonly ReportContext Limits = new() { SecretKey = default, MaxElementBytes = 256 << 10 };

    /// <exception cref="FeedException">A record is shorter than the header.</exception>
    /// <exception cref="ReportFormatException">The file is empty, ends within a record, or breaks a limit.</exception>
    public static async IAsyncEnumerable<CsvRecord> ReadAsync(Stream feed, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var records = new CsvRecords(feed, Limits) { HasComments = true, PointerOf = static (_, line) => FeedException.LinePointer(line) };
        await foreach (var record in records.ReadAsync(cancellation))
        {
            if (record.Fields.Count < record.Header.Count)
            {
                throw new FeedException(record.Pointer, $"has {record.Fields.Count} fields, fewer than the header");
            }

            yield return record;
        }
    }
}

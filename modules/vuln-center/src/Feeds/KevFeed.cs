using System.Globalization;
using System.Runtime.CompilerServices;
using Wave16.VulnCenter.Imports.Formats;
using Wave16.VulnCenter.Imports.Formats.Json;

namespace Wave16.VulnCenter.Feeds;

/// <param name="At">Where it stands in the feed.</param>
internal sealed record KevRow(string At, string Cve, DateOnly? Added, DateOnly? Due, bool Ransomware);

/// <summary>CISA's catalog of known exploited vulnerabilities, JSON or CSV (https://www.cisa.gov/known-exploited-vulnerabilities-catalog).</summary>
internal sealed class KevFeed
{
    private const string Known = "Known";
    private static readonly JsonPaths Paths = new("catalogVersion", "dateReleased", "count", "vulnerabilities/*");

    /// <summary>The JSON's <c>dateReleased</c>, or else its <c>catalogVersion</c>; the CSV names none.</summary>
    public string? AsOf { get; private set; }

    /// <summary>Where it says so, or should; null: it is a CSV.</summary>
    public string? AsOfAt { get; private set; }

    /// <exception cref="FeedException">It is no such file, or an entry is wrong.</exception>
    /// <exception cref="ReportFormatException">The JSON is broken, or the table not whole.</exception>
    public IAsyncEnumerable<KevRow> ReadAsync(Stream feed, bool json, ReportContext context, CancellationToken cancellation) =>
        json ? ReadJsonAsync(feed, context, cancellation) : ReadCsvAsync(feed, cancellation);

    private async IAsyncEnumerable<KevRow> ReadJsonAsync(Stream feed, ReportContext context, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var map = await JsonMap.ReadAsync(feed, Paths, context, cancellation);
        if (!map.Has("/vulnerabilities"))
        {
            throw new FeedException("/vulnerabilities", "is missing: this is not the catalog of known exploited vulnerabilities");
        }

        var (released, version) = (map.Scalar("/dateReleased"), map.Scalar("/catalogVersion"));
        (AsOf, AsOfAt) = released is null && version is not null ? (version.Replace('.', '-'), "/catalogVersion") : (released, "/dateReleased");
        if (AsOf is not null && FeedValues.Moment(AsOf) is null)
        {
            throw new FeedException(AsOfAt, "is not a date");
        }

        var read = 0L;
        foreach (var section in map.Sections)
        {
            await foreach (var item in map.ItemsAsync(section, cancellation))
            {
                using var entry = item.Parse();
                var root = entry.RootElement;
                read++;
                yield return new KevRow(
                    item.Pointer,
                    FeedValues.Cve(root.Text("cveID"u8), $"{item.Pointer}/cveID"),
                    Date(root.Text("dateAdded"u8), $"{item.Pointer}/dateAdded"),
                    Date(root.Text("dueDate"u8), $"{item.Pointer}/dueDate"),
                    string.Equals(root.Text("knownRansomwareCampaignUse"u8), Known, StringComparison.OrdinalIgnoreCase));
            }
        }

        if (map.Scalar("/count") is { } count && count != read.ToString(CultureInfo.InvariantCulture))
        {
            throw new FeedException("/count", $"says {count}, but there are {read} entries");
        }
    }

    private static async IAsyncEnumerable<KevRow> ReadCsvAsync(Stream feed, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var record in FeedTable.ReadAsync(feed, cancellation))
        {
            if (record.IsComment || (record.IsHeader && !record.Header.HasAny("cveID")))
            {
                throw new FeedException(record.Pointer, "is neither JSON nor a header with cveID");
            }

            if (!record.IsHeader)
            {
                yield return new KevRow(
                    record.Pointer, FeedValues.Cve(record.Text("cveID"), record.Pointer), Date(record.Text("dateAdded"), record.Pointer), Date(record.Text("dueDate"), record.Pointer),
                    string.Equals(record.Text("knownRansomwareCampaignUse"), Known, StringComparison.OrdinalIgnoreCase));
            }
        }
    }

    private static DateOnly? Date(string? text, string pointer) => text is null
        ? null
        : DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date) ? date : throw new FeedException(pointer, "has a date that is not as in 2024-04-05");
}

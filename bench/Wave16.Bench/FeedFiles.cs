using System.Globalization;
using System.IO.Compression;
using System.Text.Json;

namespace Wave16.Bench;

/// <summary>Feeds as they are published, made up, for the findings of <see cref="Backlog"/>: the same bytes in every run.</summary>
internal sealed class FeedFiles(string folder)
{
    public const int Scores = 280_000;
    public const int Edges = 50_000;
    public const int Catalog = 1_300;
    public const int CatalogKnown = 300;

    // Ranks of the backlog's advisories: the first few are everywhere, and would make the catalogue be about half of the findings.
    private const int FirstInCatalog = 400;
    private const int Known = 60_000;

    public static string Cve(int rank) => string.Create(CultureInfo.InvariantCulture, $"CVE-{2015 + (rank % 11)}-{1000 + rank}");

    /// <summary>Of a rank, as <see cref="FeedsBenchmark"/> names it in findings, too.</summary>
    public static string Ghsa(int rank) => string.Create(CultureInfo.InvariantCulture, $"GHSA-{rank:x4}-{(rank * 7) & 0xFFFF:x4}-{(rank * 31) & 0xFFFF:x4}").ToUpperInvariant();

    /// <param name="day">0 is the first; from one to the next nine scores of ten move a little.</param>
    public string Epss(int day)
    {
        var path = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"epss-{day}.csv.gz"));
        using var file = new StreamWriter(new GZipStream(File.Create(path), CompressionLevel.Fastest));
        file.Write(string.Create(CultureInfo.InvariantCulture, $"#model_version:v2025.03.14,score_date:2026-03-{day + 1:00}T12:55:00Z\ncve,epss,percentile\n"));
        for (var i = 1; i <= Scores; i++)
        {
            var moved = Hash(i, day) % 10 == 0 ? 0 : day;
            var score = Math.Pow(Hash(i, 0) / (double)uint.MaxValue, 12) + (0.00001 * (1 + (moved * (1 + (i % 7)))));
            var cve = i <= Known ? Cve(i) : string.Create(CultureInfo.InvariantCulture, $"CVE-{1999 + (i % 27)}-{100_000 + i}");
            file.Write(string.Create(CultureInfo.InvariantCulture, $"{cve},{Math.Min(score, 1):F5},{Hash(i, 1) / (double)uint.MaxValue:F5}\n"));
        }

        return path;
    }

    public string Kev()
    {
        var path = Path.Combine(folder, "kev.json");
        File.WriteAllText(path, JsonSerializer.Serialize(new
        {
            title = "CISA Catalog of Known Exploited Vulnerabilities",
            catalogVersion = "2026.03.01",
            dateReleased = "2026-03-01T15:00:00.0000Z",
            count = Catalog,
            vulnerabilities = Enumerable.Range(0, Catalog).Select(i => new
            {
                cveID = i < CatalogKnown ? Cve(FirstInCatalog + (i * 20)) : string.Create(CultureInfo.InvariantCulture, $"CVE-2014-{1000 + i}"),
                vendorProject = "vendor",
                product = "product",
                vulnerabilityName = "Vendor Product Code Execution Vulnerability",
                dateAdded = "2026-01-01",
                shortDescription = "A remote attacker can run code.",
                requiredAction = "Apply mitigations per vendor instructions or discontinue use of the product if mitigations are unavailable.",
                dueDate = "2026-01-22",
                knownRansomwareCampaignUse = i % 5 == 0 ? "Known" : "Unknown",
                notes = "https://vendor.example/advisory",
            }),
        }));
        return path;
    }

    public string Aliases()
    {
        var path = Path.Combine(folder, "aliases.jsonl");
        using var file = new StreamWriter(path);
        for (var i = 1; i <= Edges; i++)
        {
            file.Write(JsonSerializer.Serialize(new
            {
                schema_version = "1.6.0",
                id = Ghsa(i),
                modified = "2026-03-01T10:00:00Z",
                aliases = (string[])[Cve(i)],
                summary = "A flaw",
                affected = (object[])[new { package = new { ecosystem = "npm", name = $"package-{i}" } }],
            }));
            file.Write('\n');
        }

        return path;
    }

    private static uint Hash(int i, int salt)
    {
        var x = unchecked(((uint)i * 2654435761u) ^ ((uint)salt * 2246822519u));
        x = unchecked((x ^ (x >> 15)) * 2246822507u);
        return x ^ (x >> 13);
    }
}

using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class FixtureTests
{
    // Rules of the fixtures whose results show a credential without being one.
    static readonly string[] Sensitive = ["js/hardcoded-credentials", "python.lang.security.audit.hardcoded-password", "exposed-env-file"];

    [Theory]
    [InlineData("trivy", "trivy-shop-api.json", 20, 1)]
    [InlineData("trivy", "trivy-legacy.json", 4, 0)]
    [InlineData("grype", "grype-shop-api.json", 9, 0)]
    [InlineData("sarif", "codeql-shop-api.sarif", 7, 0)]
    [InlineData("sarif", "gitleaks.sarif", 5, 0)]
    [InlineData("generic", "generic-red-team.json", 5, 1)]
    [InlineData("cyclonedx", "cyclonedx-shop-api.json", 5, 7)]
    [InlineData("gitleaks", "gitleaks-v8.json", 4, 1)]
    [InlineData("gitleaks", "gitleaks-v7.json", 2, 0)]
    [InlineData("npm-audit", "npm-audit-6.json", 3, 1)]
    [InlineData("npm-audit", "npm-audit-7.json", 4, 5)]
    [InlineData("nuclei", "nuclei-shop.jsonl", 5, 2)]
    [InlineData("nuclei", "nuclei-export.json", 2, 0)]
    [InlineData("openvex", "openvex-shop-api.json", 5, 7)]
    [InlineData("osv-scanner", "osv-shop-api.json", 5, 1)]
    [InlineData("semgrep", "semgrep-shop-api.json", 5, 1)]
    [InlineData("snyk", "snyk-projects.json", 4, 1)]
    [InlineData("snyk", "snyk-container.json", 2, 0)]
    [InlineData("snyk", "snyk-iac.json", 5, 2)]
    [InlineData("zap", "zap-shop.json", 5, 3)]
    [InlineData("burp", "burp-shop-web.xml", 4, 2)]
    [InlineData("cyclonedx", "cyclonedx-shop-api.xml", 5, 7)]
    [InlineData("cyclonedx", "cyclonedx-1.2-extension.xml", 2, 1)]
    [InlineData("dependency-check", "dependency-check-shop-api.xml", 4, 2)]
    [InlineData("dependency-check", "dependency-check-1.3.xml", 1, 0)]
    [InlineData("nessus", "nessus-shop-net.nessus", 6, 2)]
    [InlineData("nessus", "nessus-shop-net.csv", 5, 2)]
    [InlineData("nessus", "nessus-tenable-io.csv", 2, 1)]
    [InlineData("zap", "zap-shop-web.xml", 6, 2)]
    public async Task Every_raw_result_is_observed_or_rejected(string format, string file, int observed, int rejected)
    {
        var items = await Reports.ReadAsync(format, Reports.Bytes(file));

        Assert.Equal(observed, items.OfType<ReportItem.Observed>().Count());
        Assert.Equal(rejected, items.OfType<ReportItem.Rejected>().Count());
        Assert.Equal(observed + rejected, items.OfType<ReportItem.ScannerSeen>().Sum(scan => scan.Results));
    }

    [Theory]
    [MemberData(nameof(Reports.Fixtures), MemberType = typeof(Reports))]
    public async Task A_pointer_leads_to_the_raw_result_that_the_payload_hash_was_taken_of(string format, string file)
    {
        var bytes = Reports.Bytes(file);
        using var document = JsonDocument.Parse(Reports.Json(file));

        foreach (var observation in await Reports.ObservationsAsync(format, bytes))
        {
            var raw = RawAt(document, observation.Pointer);
            Assert.Equal(raw, bytes.AsSpan((int)observation.Offset, raw.Length).ToArray());
            var isKeyed = observation.Secret is not null || Sensitive.Contains(observation.RuleId);
            var hashed = RawAt(document, Hashed(format, observation.Pointer));
            Assert.Equal(isKeyed ? Sha256Digest.Keyed(Reports.Context.SecretKey.Span, hashed) : Sha256Digest.Of(hashed), observation.PayloadHash);
        }
    }

    [Theory]
    [MemberData(nameof(Reports.Fixtures), MemberType = typeof(Reports))]
    public async Task A_report_that_arrives_byte_by_byte_reads_the_same(string format, string file)
    {
        var bytes = Reports.Bytes(file);

        var whole = await Reports.ReadAsync(format, bytes);
        var dripped = await Reports.ReadAsync(format, new DripStream(bytes));

        Assert.Equal(whole.Select(JsonOf), dripped.Select(JsonOf));
    }

    [Fact]
    public async Task A_byte_order_mark_is_skipped_and_counted_in_the_offsets()
    {
        var bytes = Reports.Bytes("trivy-legacy.json");

        var plain = await Reports.ObservationsAsync("trivy", bytes);
        var marked = await Reports.ObservationsAsync("trivy", [0xEF, 0xBB, 0xBF, .. bytes]);

        Assert.Equal(plain.Select(o => (o.Offset + 3, o.PayloadHash)), marked.Select(o => (o.Offset, o.PayloadHash)));
    }

    [Theory]
    [InlineData("generic")]
    [InlineData("grype")]
    [InlineData("sarif")]
    [InlineData("Trivy")]
    public void A_format_is_found_by_its_name_in_any_case_and_shows_its_severities(string name)
    {
        var format = ReportFormats.Find(name);

        Assert.Equal(name.ToLowerInvariant(), format?.Name);
        Assert.Contains(format?.Severities ?? [], mapping => mapping.Severity == Severity.Critical);
    }

    static string JsonOf(ReportItem item) => JsonSerializer.Serialize<object>(item);

    static byte[] RawAt(JsonDocument document, string pointer) => Encoding.UTF8.GetBytes(Resolve(document.RootElement, pointer).GetRawText());

    // A product that a statement is about is hashed with the statement.
    static string Hashed(string format, string pointer) => format is "cyclonedx" or "openvex" ? string.Join('/', pointer.Split('/').Take(3)) : pointer;

    static JsonElement Resolve(JsonElement root, string pointer) =>
        pointer.Split('/').Skip(1).Aggregate(root, (element, segment) => element.ValueKind == JsonValueKind.Array
            ? element[int.Parse(segment, System.Globalization.CultureInfo.InvariantCulture)]
            : element.GetProperty(segment.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)));
}

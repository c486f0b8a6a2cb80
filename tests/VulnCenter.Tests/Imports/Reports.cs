using System.Text;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>The fixtures, and reading a report as the import does.</summary>
internal static class Reports
{
    public static readonly ReportContext Context = new() { SecretKey = Encoding.ASCII.GetBytes("a tenant's key of 32 bytes, fake") };

    public static readonly (string Format, string File)[] Good =
    [
        ("trivy", "trivy-shop-api.json"), ("trivy", "trivy-legacy.json"), ("grype", "grype-shop-api.json"),
        ("sarif", "codeql-shop-api.sarif"), ("sarif", "gitleaks.sarif"), ("generic", "generic-red-team.json"),
        ("cyclonedx", "cyclonedx-shop-api.json"), ("gitleaks", "gitleaks-v8.json"), ("gitleaks", "gitleaks-v7.json"),
        ("npm-audit", "npm-audit-6.json"), ("npm-audit", "npm-audit-7.json"), ("nuclei", "nuclei-shop.jsonl"), ("nuclei", "nuclei-export.json"),
        ("openvex", "openvex-shop-api.json"), ("osv-scanner", "osv-shop-api.json"), ("semgrep", "semgrep-shop-api.json"),
        ("snyk", "snyk-projects.json"), ("snyk", "snyk-container.json"), ("snyk", "snyk-iac.json"), ("zap", "zap-shop.json"),
    ];

    public static TheoryData<string, string> Fixtures => [.. Good.Select(report => new TheoryDataRow<string, string>(report.Format, report.File))];

    /// <summary>Whether a fixture is JSON Lines: values that are read as if they were the elements of one array.</summary>
    public static bool IsLines(string fixture) => fixture.EndsWith(".jsonl", StringComparison.Ordinal);

    /// <summary>A fixture as one JSON document, to which the pointers into it apply.</summary>
    public static string Json(string fixture)
    {
        var text = Encoding.UTF8.GetString(Bytes(fixture));
        return IsLines(fixture) ? $"[{string.Join(',', text.Split('\n', StringSplitOptions.RemoveEmptyEntries))}]" : text;
    }

    public static byte[] Bytes(string fixture) => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "fixtures", fixture));

    public static Task<List<ReportItem>> ReadAsync(string format, string json, ReportContext? context = null) =>
        ReadAsync(format, Encoding.UTF8.GetBytes(json), context);

    public static Task<List<ReportItem>> ReadAsync(string format, byte[] report, ReportContext? context = null) =>
        ReadAsync(format, new MemoryStream(report), context);

    public static async Task<List<ReportItem>> ReadAsync(string format, Stream report, ReportContext? context = null)
    {
        var reader = ReportFormats.Find(format) ?? throw new ArgumentException($"No format {format}.", nameof(format));
        var items = new List<ReportItem>();
        await foreach (var item in reader.ReadAsync(report, context ?? Context, TestContext.Current.CancellationToken))
            items.Add(item);
        return items;
    }

    public static async Task<List<RawObservation>> ObservationsAsync(string format, string json) =>
        [.. (await ReadAsync(format, json)).OfType<ReportItem.Observed>().Select(item => item.Observation)];

    public static async Task<List<RawObservation>> ObservationsAsync(string format, byte[] report) =>
        [.. (await ReadAsync(format, report)).OfType<ReportItem.Observed>().Select(item => item.Observation)];

    public static Task<ReportFormatException> RefusedAsync(string format, string json, ReportContext? context = null) =>
        Assert.ThrowsAsync<ReportFormatException>(() => ReadAsync(format, json, context));

    /// <summary>A schema 2 Trivy report around the given vulnerabilities.</summary>
    public static string Trivy(params string[] vulnerabilities) =>
        $$"""{"SchemaVersion":2,"ArtifactName":"shop/api:1","ArtifactType":"container_image","Results":[{"Target":"shop/api:1 (debian 12.4)","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{{string.Join(',', vulnerabilities)}}]}]}""";

    /// <summary>A SARIF log of one run.</summary>
    public static string Sarif(string tool, string rules, params string[] results) =>
        $$$"""{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"{{{tool}}}","rules":[{{{rules}}}]}},"results":[{{{string.Join(',', results)}}}]}]}""";

    /// <summary>A normalized report.</summary>
    public static string Generic(params string[] findings) =>
        $$"""{"schemaVersion":"1","source":"red-team","findings":[{{string.Join(',', findings)}}]}""";
}

/// <summary>A report that arrives one byte at a time.</summary>
internal sealed class DripStream(byte[] content) : MemoryStream(content)
{
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        base.ReadAsync(buffer[..Math.Min(1, buffer.Length)], cancellationToken);
}

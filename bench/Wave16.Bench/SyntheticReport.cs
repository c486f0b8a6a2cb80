using System.Text.Json;

namespace Wave16.Bench;

/// <summary>
/// A report in Trivy's schema 2 with as many findings as wanted, all different: the same bytes for the same arguments. Of a hundred
/// findings two are critical, 18 high, 45 medium and 35 low; a finding takes about 1.5 KB, as in reports of real images.
/// </summary>
internal static class SyntheticReport
{
    private const int FindingsPerTarget = 2_000;

    private static readonly string Description = string.Join(' ', Enumerable.Repeat(
        "A crafted header makes the parser read past the end of its buffer, which lets a remote attacker crash the process or learn a part of its memory.", 5));

    public static async Task<string> WriteAsync(string folder, int findings, string createdAt, CancellationToken cancellation)
    {
        var path = Path.Combine(folder, $"trivy-{findings}-{Guid.NewGuid():N}.json");
        await using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16, FileOptions.Asynchronous);
        await using var json = new Utf8JsonWriter(file);
        json.WriteStartObject();
        json.WriteNumber("SchemaVersion", 2);
        json.WriteString("CreatedAt", createdAt);
        json.WriteString("ArtifactName", "registry.example/shop/api:2.4.1");
        json.WriteString("ArtifactType", "container_image");
        json.WriteStartArray("Results");
        for (var first = 0; first < findings; first += FindingsPerTarget)
        {
            var isOperatingSystem = first == 0;
            json.WriteStartObject();
            json.WriteString("Target", isOperatingSystem ? "registry.example/shop/api:2.4.1 (debian 12.4)" : $"app/{first / FindingsPerTarget}/package-lock.json");
            json.WriteString("Class", isOperatingSystem ? "os-pkgs" : "lang-pkgs");
            json.WriteString("Type", isOperatingSystem ? "debian" : "npm");
            json.WriteStartArray("Vulnerabilities");
            for (var i = first; i < Math.Min(findings, first + FindingsPerTarget); i++)
            {
                Vulnerability(json, i, isOperatingSystem ? "deb/debian" : "npm");
                if (json.BytesPending > 1 << 15)
                {
                    await json.FlushAsync(cancellation);
                }
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        await json.FlushAsync(cancellation);
        return path;
    }

    /// <summary>
    /// A report in the normalized schema of static analysis, where a file has the same rule on the same code twice: only their place tells the two apart.
    /// </summary>
    /// <param name="shift">How many lines further down the second of each two stands.</param>
    public static async Task<string> WriteCodeAsync(
        string folder, int findings, int shift, CancellationToken cancellation, string source = "code", string severity = "high")
    {
        var path = Path.Combine(folder, $"code-{findings}-{Guid.NewGuid():N}.json");
        await using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16, FileOptions.Asynchronous);
        await using var json = new Utf8JsonWriter(file);
        json.WriteStartObject();
        json.WriteString("schemaVersion", "1");
        json.WriteString("source", source);
        json.WriteStartArray("findings");
        for (var i = 0; i < findings; i++)
        {
            json.WriteStartObject();
            json.WriteString("kind", "sast");
            json.WriteString("rule", $"rule-{i / 2 % 40}");
            json.WriteString("title", "Query built from input");
            json.WriteString("severity", severity);
            json.WriteStartObject("location");
            json.WriteString("path", $"src/module{i / 200}/file{i / 20}.cs");
            json.WriteNumber("startLine", 10 + (i / 2 % 10) + (i % 2 * (100 + shift)));
            json.WriteString("snippet", $"db.Execute(query{i / 2 % 10})");
            json.WriteEndObject();
            json.WriteEndObject();
            if (json.BytesPending > 1 << 15)
            {
                await json.FlushAsync(cancellation);
            }
        }

        json.WriteEndArray();
        json.WriteEndObject();
        await json.FlushAsync(cancellation);
        return path;
    }

    private static void Vulnerability(Utf8JsonWriter json, int i, string type)
    {
        var id = $"CVE-2024-{10_000 + i}";
        var package = $"package-{i % 700}";
        json.WriteStartObject();
        json.WriteString("VulnerabilityID", id);
        json.WriteString("PkgName", package);
        json.WriteStartObject("PkgIdentifier");
        json.WriteString("PURL", $"pkg:{type}/{package}@1.{i % 40}.{i % 9}");
        json.WriteEndObject();
        json.WriteString("InstalledVersion", $"1.{i % 40}.{i % 9}");
        json.WriteString("FixedVersion", $"1.{(i % 40) + 1}.0");
        json.WriteString("PrimaryURL", $"https://avd.aquasec.com/nvd/{id}");
        json.WriteString("Title", $"{package}: out-of-bounds read in header parser {i}");
        json.WriteString("Description", Description);
        json.WriteString("Severity", (i % 100) switch { < 2 => "CRITICAL", < 20 => "HIGH", < 65 => "MEDIUM", _ => "LOW" });
        json.WriteStartArray("CweIDs");
        json.WriteStringValue("CWE-125");
        json.WriteEndArray();
        json.WriteStartObject("CVSS");
        json.WriteStartObject("nvd");
        json.WriteString("V3Vector", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:H");
        json.WriteNumber("V3Score", 8.2);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartArray("References");
        json.WriteStringValue($"https://nvd.nist.gov/vuln/detail/{id}");
        json.WriteStringValue($"https://www.cve.org/CVERecord?id={id}");
        json.WriteEndArray();
        json.WriteString("PublishedDate", "2024-02-11T00:00:00Z");
        json.WriteString("LastModifiedDate", "2024-03-01T00:00:00Z");
        json.WriteEndObject();
    }
}

using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using ZstdSharp;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>The same report, written otherwise.</summary>
public sealed class ListOrderTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [InlineData("osv-scanner", "osv-shop-api.json")]
    [InlineData("trivy", "trivy-shop-api.json")]
    [InlineData("grype", "grype-shop-api.json")]
    [InlineData("generic", "generic-red-team.json")]
    public async Task Lists_that_have_no_order_may_come_in_any(string format, string file)
    {
        var tenant = $"shuffled-{format}";
        using var client = await host.OperatorAsync(tenant);
        var report = Reports.Bytes(file);
        await client.ImportAsync(format, "shop-api", report);
        var root = JsonNode.Parse(report) ?? throw new InvalidOperationException("Null.");
        Reverse(root);

        var again = await client.ImportAsync(format, "shop-api", Encoding.UTF8.GetBytes(root.ToJsonString()));

        Assert.Equal((0L, 0L, 0L), (again.New, again.Reopened, again.FindingsChanged));
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("zstd")]
    public async Task A_file_that_was_compressed_before_is_the_same_report_without_a_word_about_it(string compression)
    {
        using var client = await host.OperatorAsync($"plain-{compression}");
        var report = Reports.Bytes("trivy-shop-api.json");

        var result = await client.ImportAsync("auto", "shop-api", Compressed(report, compression));

        Assert.Equal("trivy", result.Format);
        Assert.Equal(0L, (await client.ImportAsync("trivy", "shop-api", report)).New);
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("zstd")]
    public async Task A_bomb_is_refused_without_a_word_about_it_too(string compression)
    {
        using var client = await host.OperatorAsync($"bomb-{compression}");

        using var answer = await client.PostReportAsync("trivy", "shop-api", Compressed(new byte[200 << 20], compression));

        Assert.Equal("import.report-too-large", await answer.CodeOfAsync());
    }

    // What a format calls a set; of vectors and SARIF's locations the first one counts.
    private static readonly HashSet<string> Sets =
        ["references", "aliases", "identifiers", "fixedVersions", "environments", "cwes", "CweIDs", "References", "related", "urls", "links", "versions", "events"];

    private static void Reverse(JsonNode? node)
    {
        switch (node)
        {
            case JsonObject members:
                foreach (var (name, value) in members.ToList())
                {
                    if (value is JsonArray list && Sets.Contains(name) && name != "identifiers")
                    {
                        members[name] = new JsonArray([.. list.Reverse().Select(item => item?.DeepClone())]);
                    }
                    else
                    {
                        Reverse(value);
                    }
                }

                break;
            case JsonArray items:
                foreach (var item in items)
                {
                    Reverse(item);
                }

                break;
        }
    }

    private static byte[] Compressed(byte[] report, string compression)
    {
        using var buffer = new MemoryStream();
        using (Stream stream = compression == "gzip" ? new GZipStream(buffer, CompressionLevel.Optimal, leaveOpen: true) : new CompressionStream(buffer, leaveOpen: true))
        {
            stream.Write(report);
        }

        return buffer.ToArray();
    }
}

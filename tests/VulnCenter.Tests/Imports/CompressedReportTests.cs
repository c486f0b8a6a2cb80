using System.IO.Compression;
using System.Net;
using System.Text;
using Wave16.VulnCenter.Contracts;
using ZstdSharp;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>Lines and rows have no end of their own: only the compression tells that a report was cut off.</summary>
public sealed class CompressedReportTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [InlineData("nessus", "gzip", "gzip")]
    [InlineData("nessus", "gzip", null)]
    [InlineData("nessus", "zstd", "zstd")]
    [InlineData("nessus", "zstd", null)]
    [InlineData("nuclei", "gzip", "gzip")]
    [InlineData("nuclei", "zstd", null)]
    public async Task A_compressed_report_that_was_cut_off_between_two_results_closes_nothing(string format, string compression, string? encoding)
    {
        using var client = await host.OperatorAsync($"cut-{format}-{compression}-{encoding ?? "file"}");
        var whole = await client.ImportAsync(format, "shop", Report(format, 40), "&scope=complete");

        using var answer = await client.PostReportAsync(format, "shop", Unended(Report(format, 20), compression), encoding, "&scope=complete");

        var detail = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.Equal((40L, HttpStatusCode.UnprocessableEntity), (whole.New, answer.StatusCode));
        Assert.Contains("import.report-unreadable", detail, StringComparison.Ordinal);
        Assert.Contains($"The {compression} data", detail, StringComparison.Ordinal);
        Assert.Contains("cut off", detail, StringComparison.Ordinal);
        Assert.Equal(40, (await client.FindingsAsync("?status=open&limit=100")).Items.Count);
    }

    [Theory]
    [InlineData("gzip", 1)]
    [InlineData("gzip", 4)]
    [InlineData("gzip", 8)]
    [InlineData("gzip", 9)]
    [InlineData("zstd", 1)]
    [InlineData("zstd", 4)]
    [InlineData("zstd", 9)]
    public async Task A_report_without_the_last_bytes_of_its_compression_is_refused(string compression, int lacking)
    {
        using var client = await host.OperatorAsync("lacking");

        await IsRefusedAsync(client, Compressed(Report("nessus", 5), compression)[..^lacking], compression, "cut off");
    }

    [Theory]
    [InlineData("gzip", "g")]
    [InlineData("gzip", "garbage, and some more of it")]
    [InlineData("gzip", "\u001f")]
    [InlineData("gzip", "\u001f\u000b")]
    [InlineData("gzip", "\0\0\0\0\0\0\0\0\0\0\0\0")]
    [InlineData("zstd", "g")]
    [InlineData("zstd", "garbage, and some more of it")]
    public async Task A_report_with_something_after_the_end_of_its_compression_is_refused(string compression, string after)
    {
        using var client = await host.OperatorAsync("after");

        await IsRefusedAsync(client, [.. Compressed(Report("nessus", 5), compression), .. Encoding.Latin1.GetBytes(after)], compression, compression);
    }

    [Fact]
    public async Task Much_that_follows_the_end_of_the_compression_is_refused_before_it_is_read()
    {
        using var client = await host.OperatorAsync("much-after");

        await IsRefusedAsync(client, [.. Compressed(Report("nessus", 5), "gzip"), .. new byte[1 << 20]], "gzip", "followed by something else");
    }

    [Theory]
    [InlineData("gzip", 2)]
    [InlineData("gzip", 6)]
    [InlineData("gzip", 30)]
    [InlineData("zstd", 2)]
    public async Task A_report_that_its_checksum_does_not_fit_is_refused_as_damaged(string compression, int fromTheEnd)
    {
        using var client = await host.OperatorAsync("checksum");
        var damaged = Compressed(Report("nessus", 50), compression);
        damaged[^fromTheEnd] ^= 1;

        await IsRefusedAsync(client, damaged, compression, "damaged");
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("zstd")]
    public async Task A_report_compressed_in_parts_is_one_report_and_is_refused_when_its_last_part_was_cut_off(string compression)
    {
        using var client = await host.OperatorAsync($"parts-{compression}");
        var report = Report("nessus", 40);
        var half = report.Length / 2;
        byte[] parts = [.. Compressed(report[..half], compression), .. Compressed(report[half..], compression)];

        foreach (var lacking in (int[])[1, 8, 12])
        {
            await IsRefusedAsync(client, parts[..^lacking], compression, "cut off");
        }

        using var answer = await client.PostReportAsync("nessus", "shop", parts, compression);
        using var ended = await client.PostReportAsync("nessus", "shop", [.. parts, .. Compressed([], compression)], compression);
        Assert.Equal(40L, (await answer.ReadAsync<Import>()).Result?.New);
        Assert.NotNull((await ended.ReadAsync<Import>()).Result?.RepeatOf);
    }

    private static async Task IsRefusedAsync(HttpClient client, byte[] body, string encoding, string because)
    {
        using var answer = await client.PostReportAsync("nessus", "shop", body, encoding, "&scope=complete");

        var detail = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
        Assert.Contains("import.report-unreadable", detail, StringComparison.Ordinal);
        Assert.Contains(because, detail, StringComparison.Ordinal);
        Assert.Empty((await client.FindingsAsync()).Items);
    }

    private static byte[] Report(string format, int results) => Encoding.UTF8.GetBytes(format == "nessus"
        ? "Plugin ID,CVE,CVSS v2.0 Base Score,Risk,Host,Protocol,Port,Name,Synopsis,Description,Solution,See Also,Plugin Output\r\n" + string.Concat(
            Enumerable.Range(0, results).Select(i => $"{1000 + i},,5.0,High,10.0.20.5,tcp,443,Finding {i},s,d,s,,\r\n"))
        : string.Concat(Enumerable.Range(0, results).Select(i =>
            $$$"""{"template-id":"t-{{{i}}}","info":{"name":"Finding {{{i}}}","severity":"high"},"type":"http","host":"https://shop.example","matched-at":"https://shop.example/{{{i}}}"}""" + "\n")));

    private static byte[] Compressed(byte[] report, string compression)
    {
        using var buffer = new MemoryStream();
        using (var stream = Compressor(buffer, compression))
        {
            stream.Write(report);
        }

        return buffer.ToArray();
    }

    /// <summary>All of the report, and no end: as a pipe whose writer died.</summary>
    private static byte[] Unended(byte[] report, string compression)
    {
        using var buffer = new MemoryStream();
        using var stream = Compressor(buffer, compression);
        stream.Write(report);
        stream.Flush();
        return buffer.ToArray();
    }

    private static Stream Compressor(Stream buffer, string compression) => compression == "gzip"
        ? new GZipStream(buffer, CompressionLevel.Optimal, leaveOpen: true)
        : new CompressionStream(buffer, leaveOpen: true);
}

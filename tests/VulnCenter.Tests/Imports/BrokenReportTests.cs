using System.Text;
using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class BrokenReportTests
{
    [Theory]
    [MemberData(nameof(Reports.Fixtures), MemberType = typeof(Reports))]
    public async Task A_report_cut_off_anywhere_is_refused_with_the_place_and_yields_nothing(string format, string file)
    {
        var bytes = Reports.Bytes(file);
        var end = bytes.AsSpan().LastIndexOfAny((byte)'}', (byte)']');
        var step = bytes.Length > 10_000 ? 13 : 1;

        for (var length = 0; length <= end; length += step)
        {
            // Lines cut off between two of them are a shorter report.
            if (Reports.IsLines(file) && length > 0 && (bytes[length] == '\n' || bytes[length - 1] == '\n'))
                continue;
            var yielded = 0;
            var reader = ReportFormats.Find(format);
            Assert.NotNull(reader);
            var refused = await Assert.ThrowsAsync<ReportFormatException>(async () =>
            {
                await foreach (var _ in reader.ReadAsync(new MemoryStream(bytes, 0, length), Reports.Context, TestContext.Current.CancellationToken))
                    yielded++;
            });
            Assert.Equal(length == 0 ? ReportFormatException.Empty : ReportFormatException.Truncated, refused.Code);
            Assert.Equal(length, refused.ByteOffset);
            Assert.Equal(bytes.AsSpan(0, length).Count((byte)'\n') + 1, refused.Line);
            Assert.Equal(0, yielded);
        }
    }

    [Fact]
    public async Task The_truncated_fixture_says_in_which_result_it_ends()
    {
        var bytes = Reports.Bytes("truncated-trivy.json");

        var refused = await Assert.ThrowsAsync<ReportFormatException>(() => Reports.ReadAsync("trivy", bytes));

        Assert.Equal((ReportFormatException.Truncated, bytes.Length, 199L, 23L), (refused.Code, refused.ByteOffset, refused.Line, refused.Column));
        Assert.Equal("/Results/0/Vulnerabilities/3", refused.Pointer);
    }

    [Theory]
    [InlineData("{\"SchemaVersion\":2,\n \"Results\":[{\"Target\":\"a\",\n  \"Vulnerabilities\":[{\"VulnerabilityID\":\"x\",,}]}]}", 3, 45)]
    [InlineData("<html>", 1, 1)]
    [InlineData("\n\n {\"SchemaVersion\":2}}", 3, 21)]
    [InlineData("{\"SchemaVersion\":2 \"Results\":[]}", 1, 20)]
    public async Task Malformed_JSON_is_refused_with_line_and_column(string json, long line, long column)
    {
        var refused = await Reports.RefusedAsync("trivy", json);

        Assert.Equal((ReportFormatException.Malformed, line, column), (refused.Code, refused.Line, refused.Column));
        Assert.Equal(json.Split('\n').Take((int)line - 1).Sum(before => before.Length + 1) + column - 1, refused.ByteOffset);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \r\n\t ")]
    public async Task An_empty_report_is_refused_as_empty(string json) =>
        Assert.Equal(ReportFormatException.Empty, (await Reports.RefusedAsync("trivy", json)).Code);

    [Fact]
    public async Task UTF_16_as_PowerShell_writes_it_is_refused_by_name()
    {
        var report = Encoding.Unicode.GetPreamble().Concat(Encoding.Unicode.GetBytes("{}")).ToArray();

        var refused = await Assert.ThrowsAsync<ReportFormatException>(() => Reports.ReadAsync("trivy", report));

        Assert.Equal(ReportFormatException.Encoding, refused.Code);
    }

    [Fact]
    public async Task A_report_of_another_format_is_refused_by_every_format()
    {
        foreach (var (format, file) in Reports.Good)
        {
            foreach (var other in ReportFormats.All.Where(other => other.Name != format))
            {
                var refused = await Assert.ThrowsAsync<ReportFormatException>(() => Reports.ReadAsync(other.Name, Reports.Bytes(file)));
                Assert.True(
                    refused.Code is ReportFormatException.Foreign or ReportFormatException.WrongType || (Reports.IsLines(file) && refused.Code == ReportFormatException.Malformed),
                    $"{file} as {other.Name}: {refused.Code}");
            }
        }
    }

    [Theory]
    [InlineData("trivy", """{"SchemaVersion":2,"Results":5}""", "/Results")]
    [InlineData("trivy", """{"SchemaVersion":2,"Results":[{"Target":"a","Vulnerabilities":{}}]}""", "/Results/0/Vulnerabilities")]
    [InlineData("trivy", """{"SchemaVersion":2,"Results":[7]}""", "/Results/0")]
    [InlineData("grype", """{"matches":"none"}""", "/matches")]
    [InlineData("sarif", """{"version":"2.1.0","runs":[{"tool":{"driver":[]}}]}""", "/runs/0/tool/driver")]
    [InlineData("generic", """{"schemaVersion":"1","findings":true}""", "/findings")]
    public async Task A_list_of_results_of_the_wrong_type_is_never_taken_for_an_empty_one(string format, string json, string pointer)
    {
        var refused = await Reports.RefusedAsync(format, json);

        Assert.Equal((ReportFormatException.WrongType, pointer), (refused.Code, refused.Pointer));
    }

    [Theory]
    [InlineData("generic", """{"schemaVersion":{},"findings":[]}""", "/schemaVersion")]
    [InlineData("generic", """{"schemaVersion":"1","source":["red-team"],"findings":[]}""", "/source")]
    [InlineData("generic", """{"schemaVersion":"1","service":{},"findings":[]}""", "/service")]
    [InlineData("generic", """{"schemaVersion":"1","tool":{"name":[]},"findings":[]}""", "/tool/name")]
    [InlineData("generic", """{"schemaVersion":[],"title":"t","rule":"r","kind":"config","resource":"x"}""", "/schemaVersion")]
    public async Task A_member_of_the_whole_report_of_the_wrong_type_is_not_taken_for_one_that_is_missing(string format, string json, string pointer)
    {
        var refused = await Reports.RefusedAsync(format, json);

        Assert.Equal((ReportFormatException.WrongType, pointer), (refused.Code, refused.Pointer));
    }

    [Fact]
    public async Task A_list_of_results_that_occurs_twice_is_refused()
    {
        var refused = await Reports.RefusedAsync("grype", """{"matches":[],"\u006datches":[]}""");

        Assert.Equal((ReportFormatException.DuplicateKey, "/matches", 14L), (refused.Code, refused.Pointer, refused.ByteOffset));
    }

    [Theory]
    [InlineData('[', ']')]
    [InlineData('{', '}')]
    public async Task Nesting_of_ten_thousand_levels_is_refused(char open, char close)
    {
        var nested = string.Concat(Enumerable.Repeat(open == '{' ? "{\"a\":" : "[", 10_000)) + "1" + new string(close, 10_000);

        var inResult = await Reports.RefusedAsync("trivy", Reports.Trivy($$"""{"VulnerabilityID":"CVE-2024-1000","PkgName":"a","Custom":{{nested}}}"""));
        var elsewhere = await Reports.RefusedAsync("trivy", $$"""{"Layers":{{nested}}}""");

        Assert.Equal((ReportFormatException.TooDeep, ReportFormatException.TooDeep), (inResult.Code, elsewhere.Code));
        Assert.Equal("/Results/0/Vulnerabilities/0", inResult.Pointer);
    }

    [Fact]
    public async Task A_result_over_the_limit_is_refused_with_its_pointer()
    {
        var context = Reports.Context with { MaxElementBytes = 1 << 20 };
        var json = Reports.Trivy("""{"VulnerabilityID":"CVE-2024-1000","PkgName":"a"}""", $$"""{"VulnerabilityID":"CVE-2024-1001","References":[{{string.Join(',', Enumerable.Repeat("\"https://example.org/\"", 60_000))}}]}""");

        var refused = await Reports.RefusedAsync("trivy", json, context);

        Assert.Equal((ReportFormatException.TooLarge, "/Results/0/Vulnerabilities/1"), (refused.Code, refused.Pointer));
    }

    [Fact]
    public async Task A_single_string_over_the_limit_is_refused_wherever_it_stands()
    {
        var context = Reports.Context with { MaxElementBytes = 1 << 20 };

        var refused = await Reports.RefusedAsync("trivy", $$"""{"Metadata":{"a":"{{new string('x', 3 << 20)}}"},"SchemaVersion":2}""", context);

        Assert.Equal(ReportFormatException.TooLarge, refused.Code);
    }

    [Fact]
    public async Task More_results_than_allowed_are_refused()
    {
        var context = Reports.Context with { MaxElements = 100 };

        var refused = await Reports.RefusedAsync("grype", $$"""{"matches":[{{string.Join(',', Enumerable.Repeat("0", 101))}}]}""", context);

        Assert.Equal((ReportFormatException.TooMany, "/matches/100"), (refused.Code, refused.Pointer));
    }

    [Theory]
    [InlineData("{\"runs\":[],\"version\":\"1.0.0\"}", "sarif")]
    [InlineData("{\"version\":\"2.1.0\"}", "sarif")]
    [InlineData("{\"schemaVersion\":\"2\",\"findings\":[]}", "generic")]
    [InlineData("{\"matches\":[],\"descriptor\":{\"name\":\"other\"}}", "grype")]
    [InlineData("{}", "trivy")]
    [InlineData("{}", "grype")]
    [InlineData("{}", "sarif")]
    [InlineData("{}", "generic")]
    [InlineData("7", "generic")]
    public async Task What_does_not_say_it_is_this_format_is_refused(string json, string format)
    {
        var refused = await Reports.RefusedAsync(format, json);

        Assert.True(refused.Code is ReportFormatException.Foreign or ReportFormatException.WrongType, refused.Code);
    }

    [Theory]
    [InlineData("trivy", "null")]
    [InlineData("trivy", "[]")]
    [InlineData("sarif", """{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}}}]}""")]
    [InlineData("sarif", """{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":null}]}""")]
    [InlineData("sarif", """{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}""")]
    public async Task A_scan_that_does_not_say_it_completed_is_marked(string format, string json)
    {
        var scan = Assert.IsType<ReportItem.ScannerSeen>(Assert.Single(await Reports.ReadAsync(format, json)));

        Assert.NotNull(scan.Failure);
    }

    [Fact]
    public async Task A_scan_that_completed_without_results_is_not_marked()
    {
        var scan = Assert.IsType<ReportItem.ScannerSeen>(Assert.Single(await Reports.ReadAsync("trivy", Reports.Trivy())));

        Assert.Null(scan.Failure);
    }
}

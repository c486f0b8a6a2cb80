using System.Net;
using System.Net.Http.Headers;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Imports;

public sealed class TextImportTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Theory]
    [MemberData(nameof(TextReports.All), MemberType = typeof(TextReports))]
    public async Task Every_raw_result_is_accounted_for_and_importing_again_changes_nothing(string format, string file)
    {
        using var client = await host.OperatorAsync($"text-{file}");

        var first = await client.ImportAsync(format, "shop", Reports.Bytes(file));
        var second = await client.ImportAsync("auto", "shop", Reports.Bytes(file));

        Assert.Equal(first.Observations, first.New + first.Matched + first.Reopened + first.Rejected);
        Assert.Equal((format, 0L, 0L, 0L), (second.Format, second.New, second.Reopened, second.FindingsChanged));
        Assert.Equal(first.Rejections, second.Rejections);
    }

    [Theory]
    [InlineData("application/xml", "nessus-shop-net.nessus")]
    [InlineData("text/xml", "nessus-shop-net.nessus")]
    [InlineData("text/csv", "nessus-shop-net.csv")]
    public async Task A_report_is_taken_under_the_media_type_of_its_syntax(string mediaType, string file)
    {
        using var client = await host.OperatorAsync($"media-{mediaType.Replace('/', '-')}");
        using var content = new ByteArrayContent(Reports.Bytes(file));
        content.Headers.ContentType = new MediaTypeHeaderValue(mediaType);

        using var answer = await client.PostAsync(new Uri("/findings/imports?service=shop", UriKind.Relative), content, TestContext.Current.CancellationToken);

        var import = await answer.ReadAsync<Import>();
        Assert.Equal(("succeeded", "nessus"), (import.State, import.Result?.Format));
    }

    [Fact]
    public async Task A_report_with_an_entity_is_refused_with_the_place_and_leaves_nothing()
    {
        using var client = await host.OperatorAsync("text-xxe");
        var report = $"<!DOCTYPE x [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{TextReports.Nessus(TextReports.Item("1"), TextReports.Item("2", "<synopsis>&x;</synopsis>"))}";

        using var answer = await client.PostReportAsync("nessus", "shop", System.Text.Encoding.UTF8.GetBytes(report));

        Assert.Equal((HttpStatusCode.UnprocessableEntity, "import.report-unreadable"), (answer.StatusCode, await answer.CodeOfAsync()));
        Assert.Empty((await client.FindingsAsync()).Items);
    }
}

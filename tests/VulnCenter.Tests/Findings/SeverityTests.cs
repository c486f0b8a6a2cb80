using System.Net.Http.Json;
using System.Text;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class SeverityTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const string Log4Shell = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H";

    [Fact]
    public async Task The_vector_decides_and_a_score_of_the_scanner_that_it_does_not_give_is_kept_and_named()
    {
        using var client = await host.OperatorAsync("vector");
        await client.ImportAsync("generic", "shop", Report("low", $$"""{"vector":"{{Log4Shell}}","score":4.2,"origin":"nvd"}"""));

        var detail = await client.FindingAsync(Assert.Single((await client.FindingsAsync()).Items).Id);

        Assert.Equal((Severity.Critical, "cvss-3.1", true), (detail.Finding.Severity, detail.Finding.SeverityFrom, detail.Finding.Gate));
        Assert.Equal((10.0m, Log4Shell, "low"), (detail.Finding.Risk.CvssScore, detail.Finding.Risk.CvssVector, detail.RawSeverity));
        var reported = Assert.Single(detail.Cvss);
        Assert.Equal((4.2m, 10.0m, true, null), (reported.Score, reported.Computed, reported.Differs, reported.Fault));
    }

    [Fact]
    public async Task Of_several_versions_the_newest_decides_and_a_vector_that_is_none_decides_nothing()
    {
        using var client = await host.OperatorAsync("versions-of-cvss");
        await client.ImportAsync("generic", "shop", Report(
            "info", "\"CVSS:4.0/AV:N/AC:X\"", "\"CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N\"", "\"AV:N/AC:L/Au:N/C:C/I:C/A:C\""));

        var detail = await client.FindingAsync(Assert.Single((await client.FindingsAsync()).Items).Id);

        Assert.Equal((Severity.Low, "cvss-3.1"), (detail.Finding.Severity, detail.Finding.SeverityFrom));
        Assert.Contains(detail.Cvss, reported => reported is { Fault: not null, Computed: null });
    }

    [Fact]
    public async Task A_services_environmental_metrics_and_mission_change_severity_gate_and_decision_without_an_import()
    {
        using var client = await host.OperatorAsync("environment");
        await client.ImportAsync("generic", "shop", Report("critical", $"\"{Log4Shell}\""));
        var before = Assert.Single((await client.FindingsAsync()).Items);
        Assert.Null(before.Risk.Ssvc);

        using var request = new HttpRequestMessage(HttpMethod.Put, "/findings/services/shop")
        {
            Content = JsonContent.Create(
                new ServiceProfile(Mission: MissionImpact.High, CvssEnvironment: new Dictionary<string, string> { ["3.1"] = "MAV:P/MC:L/MI:L/MA:N/MS:U" }), options: VulnCenterCalls.Json),
        };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        var recomputation = (await answer.ReadAsync<ServiceView>()).Recomputation;
        while (recomputation is { State: "queued" or "running" })
        {
            recomputation = await client.GetFromJsonAsync<Recomputation>($"/findings/recomputations/{recomputation.Id}", VulnCenterCalls.Json, TestContext.Current.CancellationToken);
        }

        var after = Assert.Single((await client.FindingsAsync()).Items);
        Assert.Equal((1L, before.Version + 1), (recomputation?.Changed, after.Version));
        Assert.Equal(("cvss-3.1/environmental", false, SsvcDecision.Attend), (after.SeverityFrom, after.Gate, after.Risk.Ssvc));
        Assert.True(after.Severity < Severity.High, after.Severity.ToString());

        var state = await host.ScalarAsync<string>(Imports.ImportTests.State, "environment");
        await client.ImportAsync("generic", "shop", Report("critical", $"\"{Log4Shell}\""));
        Assert.Equal(state, await host.ScalarAsync<string>(Imports.ImportTests.State, "environment"));
    }

    [Theory]
    [InlineData("""{"3.1":"CR:X/CR:H"}""", "/cvssEnvironment/3.1")]
    [InlineData("""{"5.0":"CR:H"}""", "/cvssEnvironment/5.0")]
    [InlineData("""{"3.1":"AV:N"}""", "/cvssEnvironment/3.1")]
    public async Task Environmental_metrics_that_are_none_are_refused_with_their_place(string metrics, string pointer)
    {
        using var client = await host.OperatorAsync("bad-environment");
        using var request = new HttpRequestMessage(HttpMethod.Put, "/findings/services/shop")
        {
            Content = new StringContent($$"""{"cvssEnvironment":{{metrics}} }""", Encoding.UTF8, "application/json"),
        };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        var problem = await answer.ReadAsync<System.Text.Json.JsonElement>();
        Assert.Equal(pointer, problem.GetProperty("errors")[0].GetProperty("pointer").GetString());
    }

    private static byte[] Report(string severity, params string[] vectors) => Encoding.UTF8.GetBytes($$"""
        {"schemaVersion":"1","findings":[{"kind":"sca","rule":"CVE-2021-44228","title":"t","severity":"{{severity}}","identifiers":["CVE-2021-44228"],
          "component":{"name":"log4j-core","version":"2.14.1","purl":"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"},"cvss":[{{string.Join(',', vectors)}}]}]}
        """);
}

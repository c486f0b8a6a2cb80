using System.Net;
using System.Net.Http.Json;
using System.Text;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class SuppressionTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Fact]
    public async Task A_suppressed_critical_keeps_its_status_leaves_the_gate_and_comes_back_when_that_is_lifted()
    {
        using var client = await host.OperatorAsync("suppress");
        var finding = await ImportOneAsync(client);

        using var suppressed = await client.PutAsync(finding.Id, "suppression", new SuppressionChange(SuppressionKind.RiskAccepted, "behind the proxy", DateTimeOffset.UtcNow.AddDays(30)));
        var during = (await suppressed.ReadAsync<FindingDetail>()).Finding;
        Assert.Equal((FindingStatus.Open, false, SlaState.Paused, 2L), (during.Status, during.Gate, during.Sla.State, during.Version));

        using var lifted = await client.DeleteAsync(finding.Id, "suppression?reason=proxy%20is%20gone");
        var detail = await lifted.ReadAsync<FindingDetail>();
        Assert.Equal((FindingStatus.Open, true, SlaState.Running, null), (detail.Finding.Status, detail.Finding.Gate, detail.Finding.Sla.State, detail.Finding.Suppression));
        Assert.Equal(["finding.suppression-lifted", "finding.suppressed", "finding.observed"], detail.History.Select(step => step.Change));
        Assert.Equal(["proxy is gone", "behind the proxy"], detail.History.Take(2).Select(step => step.Reason));
    }

    [Fact]
    public async Task A_scan_that_shows_it_again_leaves_it_suppressed()
    {
        using var client = await host.OperatorAsync("seen");
        var finding = await ImportOneAsync(client);
        using var suppressed = await client.PutAsync(finding.Id, "suppression", new SuppressionChange(SuppressionKind.FalsePositive, "not our code", DateTimeOffset.UtcNow.AddDays(30)));
        await client.ImportAsync("generic", "shop", Report("r1").Replace("critical", "high"u8));

        var after = Assert.Single((await client.FindingsAsync()).Items);

        Assert.Equal((SuppressionKind.FalsePositive, Severity.High, SlaState.Paused), (after.Suppression?.Kind, after.Severity, after.Sla.State));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(400)]
    public async Task A_suppression_that_does_not_end_when_it_may_is_refused_with_the_field(int days)
    {
        using var client = await host.OperatorAsync("when-it-may");
        var finding = await ImportOneAsync(client);

        using var refused = await client.PutAsync(finding.Id, "suppression", new SuppressionChange(SuppressionKind.RiskAccepted, "until the release", DateTimeOffset.UtcNow.AddDays(days)));

        Assert.Equal((HttpStatusCode.UnprocessableEntity, "finding.suppression-expiry", "/until"), await Groups.GroupCalls.RefusalAsync(refused));
    }

    [Fact]
    public async Task A_suppression_ends_by_itself_at_its_time_and_the_gate_is_raised_again()
    {
        var (module, database) = await host.StartAloneAsync();
        await using var running = module;
        using var client = await module.ClientAsync("expiry", TestContext.Current.CancellationToken, "operator");
        var finding = await ImportOneAsync(client);
        using var suppressed = await client.PutAsync(finding.Id, "suppression", new SuppressionChange(SuppressionKind.RiskAccepted, "until the release", DateTimeOffset.UtcNow.AddDays(2)));
        Assert.Equal(HttpStatusCode.OK, suppressed.StatusCode);

        await VulnCenterHost.PassAsync(database, TimeSpan.FromDays(3));
        var after = await WhenAsync(client, finding.Id, detail => detail.Finding.Suppression is null);

        Assert.True(after.Finding.Gate);
        Assert.Equal(("finding.suppression-expired", "system:clock"), (after.History[0].Change, after.History[0].Actor));
        Assert.InRange(after.Finding.Sla.Due - after.Finding.Sla.Since ?? default, TimeSpan.FromDays(9) - TimeSpan.FromMinutes(1), TimeSpan.FromDays(9) + TimeSpan.FromMinutes(1));
    }

    [Fact]
    public async Task An_SLA_warns_and_is_breached_once_each_with_an_event_also_after_the_cluster_was_down()
    {
        var (before, database) = await host.StartAloneAsync();
        Guid id;
        await using (before)
        {
            using var first = await before.ClientAsync("breach", TestContext.Current.CancellationToken, "operator");
            id = (await ImportOneAsync(first)).Id;
        }

        await VulnCenterHost.PassAsync(database, TimeSpan.FromDays(20));
        var (module, _) = await host.StartAloneAsync(database);
        await using var running = module;
        using var client = await module.ClientAsync("breach", TestContext.Current.CancellationToken, "operator");
        var after = await WhenAsync(client, id, detail => detail.Finding.Sla.State == SlaState.Breached);

        Assert.Equal(["finding.sla-breached", "finding.sla-warned", "finding.observed"], after.History.Select(step => step.Change));
        Assert.Equal(after.Finding.Sla.Since + TimeSpan.FromDays(7), after.Finding.Sla.Breached);
        Assert.Equal(
            "wave16.vuln-center.finding-sla-breached.v1,wave16.vuln-center.finding-sla-warned.v1,wave16.vuln-center.gate-raised.v1",
            await VulnCenterHost.ScalarInAsync<string>(database, "select string_agg(type, ',' order by type) from platform.event where subject = $1", id.ToString("D")));
    }

    [Fact]
    public async Task An_override_counts_before_the_source_and_survives_the_next_scan()
    {
        using var client = await host.OperatorAsync("override");
        var finding = await ImportOneAsync(client);
        using var lowered = await client.PutAsync(finding.Id, "severity", new SeverityChange(Severity.Low, "test code"));
        await client.ImportAsync("generic", "shop", Report("r1").Replace("src/", "lib/"u8), "&scope=complete");
        await client.ImportAsync("generic", "shop", Report("r1").Replace("critical", "high"u8), "&scope=complete");

        var after = (await client.FindingAsync(finding.Id)).Finding;
        Assert.Equal((Severity.Low, "override", false), (after.Severity, after.SeverityFrom, after.Gate));

        using var restored = await client.DeleteAsync(finding.Id, "severity?reason=it%20ships");
        var detail = await restored.ReadAsync<FindingDetail>();
        Assert.Equal((Severity.High, "source"), (detail.Finding.Severity, detail.Finding.SeverityFrom));
    }

    [Fact]
    public async Task Many_findings_are_changed_each_by_itself_and_one_that_is_refused_keeps_no_other_back()
    {
        using var client = await host.OperatorAsync("bulk");
        await client.ImportAsync("generic", "shop", Report([.. Enumerable.Range(0, 40).Select(i => $"r{i}")]));
        var ids = (await client.FindingsAsync("?limit=100")).Items.Select(finding => finding.Id).ToList();
        var unknown = Guid.CreateVersion7();
        BulkItem[] items = [.. ids.Select(id => new BulkItem(id, 1)), new BulkItem(unknown)];

        using var first = await client.PostAsJsonAsync("/findings/status", new BulkStatusChange(items, FindingStatus.Triaged), VulnCenterCalls.Json, TestContext.Current.CancellationToken);
        using var stale = await client.PostAsJsonAsync("/findings/status", new BulkStatusChange(items[..2], FindingStatus.Fixed, "upgraded"), VulnCenterCalls.Json, TestContext.Current.CancellationToken);

        var answer = await first.ReadAsync<BulkAnswer>();
        Assert.Equal((40, 1, "not-found"), (answer.Done, answer.Refused, answer.Items[^1].Code));
        Assert.Equal(ids, answer.Items.Take(40).Select(item => item.Id));
        Assert.All((await stale.ReadAsync<BulkAnswer>()).Items, item => Assert.Equal(("precondition.failed", 2L), (item.Code, item.Version)));
        Assert.Equal(40, (await client.FindingsAsync("?status=triaged&limit=100")).Items.Count);
    }

    [Theory]
    [InlineData("suppression", """{"kind":"risk-accepted","reason":"x"}""", HttpStatusCode.BadRequest)]
    [InlineData("suppression", """{"kind":"risk-accepted","reason":" ","until":"2030-01-01T00:00:00Z"}""", HttpStatusCode.BadRequest)]
    [InlineData("suppression", """{"kind":"risk-accepted","reason":"x","until":"2020-01-01T00:00:00Z"}""", HttpStatusCode.UnprocessableEntity)]
    [InlineData("suppression", """{"kind":"risk-accepted","reason":"x","until":"2090-01-01T00:00:00Z"}""", HttpStatusCode.UnprocessableEntity)]
    [InlineData("suppression", """{"kind":"because","reason":"x","until":"2030-01-01T00:00:00Z"}""", HttpStatusCode.BadRequest)]
    [InlineData("severity", """{"severity":"worst","reason":"x"}""", HttpStatusCode.BadRequest)]
    [InlineData("assignee", """{"assignee":""}""", HttpStatusCode.BadRequest)]
    public async Task What_is_not_complete_is_refused_and_changes_nothing(string what, string body, HttpStatusCode expected)
    {
        using var client = await host.OperatorAsync("bad-suppression");
        var finding = await ImportOneAsync(client);
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/findings/{finding.Id}/{what}") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("If-Match", "*");

        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);

        Assert.Equal(expected, answer.StatusCode);
        Assert.Equal(1, (await client.FindingAsync(finding.Id)).Finding.Version);
    }

    private static async Task<Finding> ImportOneAsync(HttpClient client)
    {
        await client.ImportAsync("generic", "shop", Report("r1"), "&scope=complete");
        return Assert.Single((await client.FindingsAsync()).Items);
    }

    private static byte[] Report(params string[] rules) => Encoding.UTF8.GetBytes("{\"schemaVersion\":\"1\",\"findings\":[" + string.Join(',', rules.Select(rule =>
        $$$"""{"kind":"sast","rule":"{{{rule}}}","title":"{{{rule}}}","severity":"critical","location":{"path":"src/{{{rule}}}.cs","startLine":1,"snippet":"{{{rule}}}()"} }""")) + "]}");

    /// <summary>Looks until the finding is as expected: the sweeper looks every two seconds, on its own thread.</summary>
    private static async Task<FindingDetail> WhenAsync(HttpClient client, Guid id, Func<FindingDetail, bool> expected)
    {
        var deadline = DateTimeOffset.UtcNow.AddMinutes(1);
        while (DateTimeOffset.UtcNow < deadline)
        {
            if (await client.FindingAsync(id) is var detail && expected(detail))
            {
                return detail;
            }
        }

        throw new TimeoutException("It never came.");
    }
}

internal static class SuppressionCalls
{
    public static async Task<HttpResponseMessage> PutAsync<T>(this HttpClient client, Guid id, string what, T body, string ifMatch = "*")
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/findings/{id}/{what}") { Content = JsonContent.Create(body, options: VulnCenterCalls.Json) };
        request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        return await client.SendAsync(request, TestContext.Current.CancellationToken);
    }

    public static async Task<HttpResponseMessage> DeleteAsync(this HttpClient client, Guid id, string what, string ifMatch = "*")
    {
        using var request = new HttpRequestMessage(HttpMethod.Delete, $"/findings/{id}/{what}");
        request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        return await client.SendAsync(request, TestContext.Current.CancellationToken);
    }

    public static byte[] Replace(this byte[] text, string what, ReadOnlySpan<byte> with) =>
        Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(text).Replace(what, Encoding.UTF8.GetString(with), StringComparison.Ordinal));
}

using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class FindingLifeTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private static readonly object Triaged = new { status = "triaged", reason = "reachable" };
    private static readonly object Fixed = new { status = "fixed", reason = "upgraded" };

    [Fact]
    public async Task A_finding_goes_through_its_whole_life_and_every_step_is_in_its_history()
    {
        using var client = await host.OperatorAsync("life");
        var finding = await ImportOneAsync(client, "shop-api", "critical");
        foreach (var step in (Func<Task<object>>[])[() => Task.FromResult(Triaged), () => Task.FromResult(Fixed), () => client.AttachEvidenceAsync(finding.Id)])
        {
            using var answer = await client.MoveAsync(finding.Id, await step(), "*");
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        var detail = await client.FindingAsync(finding.Id);
        Assert.Equal((FindingStatus.Verified, 5L), (detail.Finding.Status, detail.Finding.Version));
        Assert.Equal(
            ["finding.verified", "finding.artifact-attached", "finding.fix-claimed", "finding.triaged", "finding.observed"], detail.History.Select(step => step.Change));
        Assert.All(detail.History, step => Assert.Equal("life-tester", step.Actor));
        Assert.Matches("^[0-9a-f]{64}$", Assert.Single(detail.Evidence).Sha256);
    }

    [Fact]
    public async Task A_change_needs_the_version_it_was_made_against()
    {
        using var client = await host.OperatorAsync("versions");
        var finding = await ImportOneAsync(client, "shop-api", "high");
        using var missing = await client.PostAsJsonAsync($"/findings/{finding.Id}/status", Triaged, TestContext.Current.CancellationToken);
        using var first = await client.MoveAsync(finding.Id, Triaged, "\"1\"");
        using var stale = await client.MoveAsync(finding.Id, Fixed, "\"1\"");
        Assert.Equal(
            (HttpStatusCode.PreconditionRequired, HttpStatusCode.OK, HttpStatusCode.PreconditionFailed),
            (missing.StatusCode, first.StatusCode, stale.StatusCode));
        Assert.Equal("\"2\"", first.Headers.ETag?.Tag);
    }

    [Fact]
    public async Task Of_many_changes_against_one_version_exactly_one_is_made()
    {
        using var client = await host.OperatorAsync("race");
        var finding = await ImportOneAsync(client, "shop-api", "high");
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => client.MoveAsync(finding.Id, Triaged, "\"1\"")));
        Assert.Single(answers, answer => answer.StatusCode == HttpStatusCode.OK);
        Assert.All(answers.Where(answer => answer.StatusCode != HttpStatusCode.OK), answer => Assert.Equal(HttpStatusCode.PreconditionFailed, answer.StatusCode));
        Assert.Equal(2L, await host.ScalarAsync<long>("select version from vuln_center.finding where id = $1", finding.Id));
    }

    [Fact]
    public async Task A_repeated_command_gives_the_first_answer_and_is_not_done_twice()
    {
        using var client = await host.OperatorAsync("repeat");
        var finding = await ImportOneAsync(client, "shop-api", "high");
        using var first = await client.MoveAsync(finding.Id, Triaged, "\"1\"", "move-1");
        using var again = await client.MoveAsync(finding.Id, Triaged, "\"1\"", "move-1");
        using var other = await client.MoveAsync(finding.Id, Fixed, "\"1\"", "move-1");
        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK, HttpStatusCode.UnprocessableEntity), (first.StatusCode, again.StatusCode, other.StatusCode));
        Assert.Equal(2L, (await client.FindingAsync(finding.Id)).Finding.Version);
    }

    [Fact]
    public async Task What_the_rules_refuse_is_a_409_with_its_code()
    {
        using var client = await host.OperatorAsync("refused");
        var finding = await ImportOneAsync(client, "shop-api", "high");
        using var answer = await client.MoveAsync(finding.Id, Fixed, "*");
        Assert.Equal((HttpStatusCode.Conflict, "finding.invalid-transition"), (answer.StatusCode, await answer.CodeOfAsync()));
    }

    [Theory]
    [InlineData("""{"status":"fixed"}""", "/reason")]
    [InlineData("""{"status":"verified","evidence":{}}""", "/evidence")]
    [InlineData("""{"status":"verified","evidence":{"sha256":"abc"}}""", "/evidence/sha256")]
    [InlineData("""{"status":"verified","evidence":{"uri":"javascript:alert(1)"}}""", "/evidence/uri")]
    [InlineData("""{"status":"gone"}""", "/status")]
    [InlineData("""{"reason":"x"}""", "/status")]
    [InlineData("""{"status":"triaged","reson":"reachable"}""", "/reson")]
    [InlineData("""{"status":"verified","evidence":{"sha265":"abc"}}""", "/evidence/sha265")]
    public async Task A_bad_field_is_named(string body, string pointer)
    {
        using var client = await host.OperatorAsync("fields");
        var finding = await ImportOneAsync(client, "shop-api", "high");
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/findings/{finding.Id}/status") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        Assert.Contains(pointer, problem.GetProperty("errors").EnumerateArray().Select(error => error.GetProperty("pointer").GetString()));
    }

    [Theory]
    [InlineData("status", """{"status":"gone"}""", "/status must be one of open, triaged, fixed, verified")]
    [InlineData("severity", """{"severity":"huge","reason":"x"}""", "/severity must be one of unknown, none, info, low, medium, high, critical")]
    public async Task A_value_there_is_not_is_answered_with_those_there_are(string what, string body, string error)
    {
        using var client = await host.OperatorAsync("values");
        var finding = await ImportOneAsync(client, "shop-api", "high");
        using var request = new HttpRequestMessage(what == "status" ? HttpMethod.Post : HttpMethod.Put, $"/findings/{finding.Id}/{what}") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        var problem = await answer.Content.ReadFromJsonAsync<JsonElement>(TestContext.Current.CancellationToken);
        Assert.Equal([error], problem.GetProperty("errors").EnumerateArray().Select(found => $"{found.GetProperty("pointer")} {found.GetProperty("reason")}"));
    }

    [Fact]
    public async Task A_finding_of_another_tenant_is_not_there()
    {
        using var owner = await host.OperatorAsync("mine");
        using var stranger = await host.OperatorAsync("not-mine");
        var finding = await ImportOneAsync(owner, "shop-api", "high");
        using var read = await stranger.GetAsync(new Uri($"/findings/{finding.Id}", UriKind.Relative), TestContext.Current.CancellationToken);
        using var moved = await stranger.MoveAsync(finding.Id, Triaged, "*");
        Assert.Equal((HttpStatusCode.NotFound, HttpStatusCode.NotFound), (read.StatusCode, moved.StatusCode));
        Assert.Equal(1L, (await owner.FindingAsync(finding.Id)).Finding.Version);
    }

    [Fact]
    public async Task A_reader_may_look_and_not_change()
    {
        using var owner = await host.OperatorAsync("readers");
        using var reader = await host.Module.ClientAsync("readers", TestContext.Current.CancellationToken, "reader");
        var finding = await ImportOneAsync(owner, "shop-api", "high");
        using var moved = await reader.MoveAsync(finding.Id, Triaged, "*");
        using var imported = await reader.PostReportAsync("generic", "shop-api", "[]"u8.ToArray());
        Assert.Equal(1L, (await reader.FindingAsync(finding.Id)).Finding.Version);
        Assert.Equal((HttpStatusCode.Forbidden, HttpStatusCode.Forbidden), (moved.StatusCode, imported.StatusCode));
    }

    [Fact]
    public async Task A_finding_seen_again_after_its_fix_opens_as_a_regression_even_though_its_grain_remembers_it_as_fixed()
    {
        using var client = await host.OperatorAsync("regression");
        var finding = await ImportOneAsync(client, "shop-api", "high");
        foreach (var step in (object[])[Triaged, Fixed])
        {
            using var answer = await client.MoveAsync(finding.Id, step, "*");
            answer.EnsureSuccessStatusCode();
        }

        var again = await client.ImportAsync("generic", "shop-api", OneFinding("high"));
        using var triagedAgain = await client.MoveAsync(finding.Id, Triaged, "*");

        Assert.Equal((1L, 0L, 1L), (again.Reopened, again.New, again.FindingsChanged));
        Assert.Equal(HttpStatusCode.OK, triagedAgain.StatusCode);
        var detail = await client.FindingAsync(finding.Id);
        Assert.True(detail.Finding.Regression);
        Assert.Equal(["finding.triaged", "finding.seen-again", "finding.fix-claimed", "finding.triaged", "finding.observed"], detail.History.Select(step => step.Change));
    }

    [Fact]
    public async Task A_complete_scan_that_no_longer_shows_it_verifies_a_finding_and_a_partial_one_does_not()
    {
        using var client = await host.OperatorAsync("evidence");
        var finding = await ImportOneAsync(client, "shop-api", "critical");
        foreach (var step in (object[])[Triaged, Fixed])
        {
            using var answer = await client.MoveAsync(finding.Id, step, "*");
            answer.EnsureSuccessStatusCode();
        }

        var partial = await client.ImportAsync("generic", "shop-api", OneFinding("low", "RT-2"));
        var complete = await client.ImportAsync("generic", "shop-api", OneFinding("low", "RT-3"), "&scope=complete");
        using var byPartial = await client.MoveAsync(finding.Id, new { status = "verified", evidence = new { scan = partial.Scans[0].Scan } }, "*");
        using var byComplete = await client.MoveAsync(finding.Id, new { status = "verified", evidence = new { scan = complete.Scans[0].Scan } }, "*");

        Assert.Equal("finding.evidence-insufficient", await byPartial.CodeOfAsync());
        Assert.Equal(HttpStatusCode.OK, byComplete.StatusCode);
    }

    [Fact]
    public async Task A_critical_finding_stands_at_the_safety_console_until_it_is_fixed_and_again_when_it_comes_back()
    {
        using var client = await host.OperatorAsync("gates");
        using var console = new HttpClient { BaseAddress = host.Neighbours };
        var finding = await ImportOneAsync(client, "shop/api eu", "critical");
        var raised = await GateCallsAsync(console, finding.Id, 1);
        using (var answer = await client.MoveAsync(finding.Id, Triaged, "*"))
        {
            answer.EnsureSuccessStatusCode();
        }

        using (var answer = await client.MoveAsync(finding.Id, Fixed, "*"))
        {
            answer.EnsureSuccessStatusCode();
        }

        var withdrawn = await GateCallsAsync(console, finding.Id, 2);
        await client.ImportAsync("generic", "shop/api eu", OneFinding("critical"));
        var raisedAgain = await GateCallsAsync(console, finding.Id, 3);
        await client.ImportAsync("generic", "shop/api eu", OneFinding("medium"));
        var lowered = await GateCallsAsync(console, finding.Id, 4);

        Assert.Equal(["PUT"], raised);
        Assert.Equal(["PUT", "DELETE"], withdrawn);
        Assert.Equal(["PUT", "DELETE", "PUT"], raisedAgain);
        Assert.Equal(["PUT", "DELETE", "PUT", "DELETE"], lowered);
    }

    private static byte[] OneFinding(string severity, string rule = "RT-1") => JsonSerializer.SerializeToUtf8Bytes(new
    {
        schemaVersion = "1",
        source = "red-team",
        findings = new[] { new { rule, title = "Order ids can be guessed", kind = "config", severity, resource = "orders" } },
    });

    [Fact]
    public async Task What_stands_at_the_gate_says_the_severity_it_has_now()
    {
        using var client = await host.OperatorAsync("gate-severity");
        using var policy = new HttpRequestMessage(HttpMethod.Put, "/findings/policies/gate") { Content = JsonContent.Create(GatePolicy.Default with { AtLeast = Severity.Low, Epss = 0 }, options: VulnCenterCalls.Json) };
        policy.Headers.TryAddWithoutValidation("If-Match", "*");
        using var put = await client.SendAsync(policy, TestContext.Current.CancellationToken);
        put.EnsureSuccessStatusCode();
        var finding = await ImportOneAsync(client, "gate-severity", "critical");
        using var lowered = new HttpRequestMessage(HttpMethod.Put, $"/findings/{finding.Id}/severity") { Content = JsonContent.Create(new SeverityChange(Severity.Critical, "as bad as it says"), options: VulnCenterCalls.Json) };
        lowered.Headers.TryAddWithoutValidation("If-Match", "*");
        using var same = await client.SendAsync(lowered, TestContext.Current.CancellationToken);
        same.EnsureSuccessStatusCode();
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(*) from platform.event where tenant = 'gate-severity' and type = 'wave16.vuln-center.gate-raised.v1'"));

        await host.ScalarAsync<long>("with u as (update vuln_center.finding set epss = 0.9 where tenant = 'gate-severity' returning 1) select count(*) from u");
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/findings/{finding.Id}/severity") { Content = JsonContent.Create(new SeverityChange(Severity.High, "behind a login"), options: VulnCenterCalls.Json) };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var high = await client.SendAsync(request, TestContext.Current.CancellationToken);
        high.EnsureSuccessStatusCode();

        Assert.True((await client.FindingAsync(finding.Id)).Finding.Gate);
        Assert.Equal("high", await host.ScalarAsync<string>(
            "select data::jsonb ->> 'severity' from platform.event where tenant = 'gate-severity' and type = 'wave16.vuln-center.gate-raised.v1' order by entity_version desc limit 1"));
    }

    [Fact]
    public async Task What_stands_at_the_gate_has_the_title_of_the_latest_report_and_is_not_put_again_for_less()
    {
        using var client = await host.OperatorAsync("gate-title");
        using var console = new HttpClient { BaseAddress = host.Neighbours };
        console.DefaultRequestHeaders.Add("Tenant-Id", "gate-title");
        var finding = await client.ImportOneAsync("shop", "critical", title: "Order ids can be guessed");
        await GateCallsAsync(console, finding.Id, 1);
        await client.ImportOneAsync("shop", "critical", title: "Order numbers can be guessed");
        await client.ImportOneAsync("shop", "critical", title: "Order numbers can be guessed");
        using var triaged = await client.MoveAsync(finding.Id, Triaged, "*");
        triaged.EnsureSuccessStatusCode();
        await client.ImportOneAsync("shop", "high", title: "Orders can be guessed");
        await client.ImportOneAsync("shop", "high", title: "Orders can be enumerated");

        Assert.Equal(3L, await host.ScalarAsync<long>("select count(*) from platform.event where tenant = 'gate-title' and type like 'wave16.vuln-center.gate-%'"));
        Assert.Equal(["PUT", "PUT", "DELETE"], await GateCallsAsync(console, finding.Id, 3));
        Assert.Equal(
            ["Order ids can be guessed", "Order numbers can be guessed"],
            (await console.GetFromJsonAsync<JsonElement>("/neighbours/safety-console/received?after=0&limit=1000", TestContext.Current.CancellationToken)).GetProperty("items").EnumerateArray()
                .Where(call => call.GetProperty("method").GetString() == "PUT" && call.GetProperty("path").GetString()?.Contains(finding.Id.ToString("D"), StringComparison.Ordinal) == true)
                .Select(call => JsonSerializer.Deserialize<JsonElement>(call.GetProperty("body").GetString() ?? "").GetProperty("title").GetString()));
    }

    [Fact]
    public async Task An_override_does_not_lower_what_a_verification_needs()
    {
        using var client = await host.OperatorAsync("override-verify");
        var finding = await ImportOneAsync(client, "override-verify", "critical");
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/findings/{finding.Id}/severity") { Content = JsonContent.Create(new SeverityChange(Severity.Low, "nobody can reach it"), options: VulnCenterCalls.Json) };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var lowered = await client.SendAsync(request, TestContext.Current.CancellationToken);
        lowered.EnsureSuccessStatusCode();
        foreach (var step in (object[])[new { status = "triaged" }, new { status = "fixed", reason = "upgraded" }])
        {
            using var moved = await client.MoveAsync(finding.Id, step, "*");
            moved.EnsureSuccessStatusCode();
        }

        using var noted = await client.MoveAsync(finding.Id, new { status = "verified", evidence = new { note = "trust me" } }, "*");
        Assert.Equal("finding.evidence-insufficient", await noted.CodeOfAsync());
    }

    [Fact]
    public async Task A_finding_whose_score_changed_is_not_said_to_be_as_it_was()
    {
        using var client = await host.OperatorAsync("no-304");
        var finding = await ImportOneAsync(client, "no-304", "low");
        using var first = await GetAsync(null);
        using var same = await GetAsync(first.Headers.ETag?.Tag);
        await host.ScalarAsync<long>("with u as (update vuln_center.finding set epss = 0.9 where tenant = 'no-304' returning 1) select count(*) from u");
        using var scored = await GetAsync(first.Headers.ETag?.Tag);
        using var moved = await client.MoveAsync(finding.Id, Triaged, scored.Headers.ETag?.Tag ?? "");
        Assert.Equal(
            (HttpStatusCode.OK, HttpStatusCode.NotModified, HttpStatusCode.OK, HttpStatusCode.OK), (first.StatusCode, same.StatusCode, scored.StatusCode, moved.StatusCode));

        Task<HttpResponseMessage> GetAsync(string? known)
        {
            var request = new HttpRequestMessage(HttpMethod.Get, $"/findings/{finding.Id}");
            request.Headers.TryAddWithoutValidation("If-None-Match", known);
            return client.SendAsync(request, TestContext.Current.CancellationToken);
        }
    }

    private static async Task<Finding> ImportOneAsync(HttpClient client, string service, string severity)
    {
        await client.ImportAsync("generic", service, OneFinding(severity));
        return Assert.Single((await client.FindingsAsync($"?service={Uri.EscapeDataString(service)}")).Items);
    }

    /// <summary>Waits for that many gate calls about the finding at the stand-in and returns their methods in order.</summary>
    private static async Task<IReadOnlyList<string>> GateCallsAsync(HttpClient console, Guid finding, int count)
    {
        for (long after = 0; ;)
        {
            var received = await console.GetFromJsonAsync<JsonElement>($"/neighbours/safety-console/received?after=0&limit=1000", TestContext.Current.CancellationToken);
            var calls = received.GetProperty("items").EnumerateArray().Where(call => call.GetProperty("path").GetString()?.Contains(finding.ToString("D"), StringComparison.Ordinal) == true).ToList();
            if (calls.Count >= count)
            {
                return [.. calls.Select(call => call.GetProperty("method").GetString() ?? "")];
            }

            after = received.GetProperty("items").EnumerateArray().Select(call => call.GetProperty("sequence").GetInt64()).DefaultIfEmpty(after).Max();
            await console.GetAsync(new Uri($"/neighbours/safety-console/received?after={after}&waitMs=5000", UriKind.Relative), TestContext.Current.CancellationToken);
        }
    }
}

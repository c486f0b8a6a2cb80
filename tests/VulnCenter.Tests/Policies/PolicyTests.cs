using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;
using Wave16.VulnCenter.Policies;
using Wave16.VulnCenter.Tests.Findings;

namespace Wave16.VulnCenter.Tests.Policies;

public sealed class PolicyTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    [Fact]
    public async Task A_tenant_that_never_said_anything_has_the_default_policy_as_version_0()
    {
        using var client = await host.OperatorAsync("fresh");
        var sla = await GetAsync<PolicyView<SlaPolicies>>(client, "/findings/policies/sla");
        var gate = await GetAsync<PolicyView<GatePolicy>>(client, "/findings/policies/gate");
        Assert.Equal((0L, "default"), (sla.Version, sla.Policy.Default));
        Assert.Equal((0L, Severity.High, false), (gate.Version, gate.Policy.AtLeast, gate.Policy.Kev));
        Assert.Equal(["default", "cisa-bod", "cisa-ssvc"], (await GetAsync<List<SlaPolicy>>(client, "/findings/policies/sla/built-in")).Select(policy => policy.Name));
    }

    [Fact]
    public async Task Another_policy_moves_the_deadlines_of_what_is_there_and_of_what_comes()
    {
        using var client = await host.OperatorAsync("moves");
        await client.ImportAsync("generic", "shop", Report("a"));
        var before = Assert.Single((await client.FindingsAsync()).Items);

        var view = await PutAsync<PolicyView<SlaPolicies>>(client, "/findings/policies/sla", new SlaPolicies("ours", Policies: [new SlaPolicy("ours", [new SlaRule(2, [Severity.Critical])])]), "\"0\"");
        var done = await EndedAsync(client, view.Recomputation);
        await client.ImportAsync("generic", "shop", Report("b"));

        Assert.Equal((1L, "SLA policy 1"), (done.Changed, done.Why));
        var after = (await client.FindingsAsync("?sort=age")).Items;
        Assert.All(after, finding => Assert.Equal(("ours", finding.Sla.Since + TimeSpan.FromDays(2)), (finding.Sla.Policy, finding.Sla.Due)));
        Assert.Equal((before.Id, before.Version + 1, before.Sla.Since), (after[0].Id, after[0].Version, after[0].Sla.Since));
        Assert.Equal(("finding.settled", "SLA policy 1"), ((await client.FindingAsync(before.Id)).History[0].Change, (await client.FindingAsync(before.Id)).History[0].Reason));
    }

    [Fact]
    public async Task Without_a_policy_there_is_no_SLA_and_nothing_waits()
    {
        using var client = await host.OperatorAsync("none");
        await client.ImportAsync("generic", "shop", Report("a"));
        var view = await PutAsync<PolicyView<SlaPolicies>>(client, "/findings/policies/sla", new SlaPolicies(Default: null), "*");
        await EndedAsync(client, view.Recomputation);
        Assert.Equal((SlaState.None, null), (Assert.Single((await client.FindingsAsync()).Items).Sla.State, Assert.Single((await client.FindingsAsync()).Items).Sla.Due));
        Assert.Equal(0L, await host.ScalarAsync<long>("select count(*) from platform.due where tenant = 'none'"));
    }

    [Fact]
    public async Task A_services_tier_picks_its_policy()
    {
        using var client = await host.OperatorAsync("tiers");
        var policies = new SlaPolicies("default", new Dictionary<string, string> { ["gold"] = "strict" }, [new SlaPolicy("strict", [new SlaRule(1)])]);
        await EndedAsync(client, (await PutAsync<PolicyView<SlaPolicies>>(client, "/findings/policies/sla", policies, "*")).Recomputation);
        await client.ImportAsync("generic", "shop", Report("a"));
        await client.ImportAsync("generic", "mail", Report("a"));

        var view = await PutAsync<ServiceView>(client, "/findings/services/shop", new ServiceProfile("gold", "team-shop", "https://git.example/shop", MissionImpact.High), "*");
        await EndedAsync(client, view.Recomputation);

        Assert.Equal("strict", Assert.Single((await client.FindingsAsync("?service=shop")).Items).Sla.Policy);
        Assert.Equal("default", Assert.Single((await client.FindingsAsync("?service=mail")).Items).Sla.Policy);
        Assert.Equal("shop", Assert.Single((await GetAsync<JsonElement>(client, "/findings/services")).GetProperty("items").EnumerateArray()).GetProperty("service").GetString());
    }

    [Fact]
    public async Task The_gate_policy_can_add_findings_and_never_takes_a_critical_one_away()
    {
        using var client = await host.OperatorAsync("gate-policy");
        await client.ImportAsync("generic", "shop", Encoding.UTF8.GetBytes("""
            {"schemaVersion":"1","findings":[
              {"kind":"sca","rule":"CVE-2024-1000","title":"a","severity":"high","identifiers":["CVE-2024-1000"],"component":{"name":"a"}},
              {"kind":"sca","rule":"CVE-2024-1001","title":"b","severity":"high","identifiers":["CVE-2024-1001"],"component":{"name":"b"}},
              {"kind":"sca","rule":"CVE-2024-1002","title":"c","severity":"critical","identifiers":["CVE-2024-1002"],"component":{"name":"c"}}]}
            """));
        await using (var connection = new NpgsqlConnection(host.Database))
        {
            await connection.OpenAsync(TestContext.Current.CancellationToken);
            await using var command = new NpgsqlCommand("insert into vuln_center.kev (tenant, cve, ransomware) values ('gate-policy', 'CVE-2024-1001', false)", connection);
            await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        var view = await PutAsync<PolicyView<GatePolicy>>(client, "/findings/policies/gate", GatePolicy.Default with { Kev = true }, "*");
        await EndedAsync(client, view.Recomputation);
        Assert.Equal(["CVE-2024-1001", "CVE-2024-1002"], (await client.FindingsAsync()).Items.Where(finding => finding.Gate).Select(finding => finding.Rule).Order());

        var back = await PutAsync<PolicyView<GatePolicy>>(client, "/findings/policies/gate", GatePolicy.Default, "\"1\"");
        await EndedAsync(client, back.Recomputation);
        Assert.Equal(["CVE-2024-1002"], (await client.FindingsAsync()).Items.Where(finding => finding.Gate).Select(finding => finding.Rule));
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(*) from platform.event where tenant = 'gate-policy' and type = 'wave16.vuln-center.gate-withdrawn.v1'"));
    }

    [Fact]
    public async Task A_recomputation_waits_for_an_import_that_has_read_the_policy_before()
    {
        using var client = await host.OperatorAsync("policy-import");
        await using var import = new NpgsqlConnection(host.Database);
        await import.OpenAsync(TestContext.Current.CancellationToken);
        await using var merge = await import.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await using (var reads = new NpgsqlCommand(SettlingLock.Shared, import) { Parameters = { new NpgsqlParameter<string> { TypedValue = "policy-import" } } })
        {
            await reads.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        var view = await PutAsync<PolicyView<SlaPolicies>>(client, "/findings/policies/sla", new SlaPolicies("ours", Policies: [new SlaPolicy("ours", [new SlaRule(2)])]), "\"0\"");
        while ((await GetAsync<Recomputation>(client, $"/findings/recomputations/{view.Recomputation?.Id}")).State is "queued")
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        }

        await using (var writes = new NpgsqlCommand(SeededFinding.OpenCritical, import) { Parameters = { new NpgsqlParameter<string> { TypedValue = "policy-import" } } })
        {
            await writes.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        await merge.CommitAsync(TestContext.Current.CancellationToken);
        Assert.Equal((1L, 1L), (await EndedAsync(client, view.Recomputation)) is var done ? (done.Seen, done.Changed) : default);
        Assert.Equal("ours", Assert.Single((await client.FindingsAsync()).Items).Sla.Policy);
    }

    [Fact]
    public async Task What_is_decided_by_a_policy_or_a_score_that_has_changed_meanwhile_is_not_saved()
    {
        using var client = await host.OperatorAsync("decided-before");
        await client.ImportAsync("generic", "shop", Report("a"));
        var id = Assert.Single((await client.FindingsAsync()).Items).Id;
        var store = host.Module.Services.GetRequiredService<FindingStore>();
        var policies = await host.Module.Services.GetRequiredService<PolicyStore>().ForAsync("decided-before", "shop", TestContext.Current.CancellationToken);
        var before = await store.LoadAsync("decided-before", id, TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("No finding.");
        var triaged = Assert.IsType<FindingDecision.Accepted>(FindingRules.Decide(before, new FindingCommand.Triage(null), policies, DateTimeOffset.UtcNow));

        await EndedAsync(client, (await PutAsync<PolicyView<GatePolicy>>(client, "/findings/policies/gate", GatePolicy.Default with { Epss = 0.5 }, "*")).Recomputation);
        Assert.IsType<SaveOutcome.Stale>(await store.SaveAsync(before, triaged, policies, "test", commandId: null, TestContext.Current.CancellationToken));

        var newer = await host.Module.Services.GetRequiredService<PolicyStore>().ForAsync("decided-before", "shop", TestContext.Current.CancellationToken);
        await host.ScalarAsync<long>("with u as (update vuln_center.finding set epss = 0.9 where tenant = 'decided-before' returning 1) select count(*) from u");
        Assert.IsType<SaveOutcome.Stale>(await store.SaveAsync(before, triaged, newer, "test", commandId: null, TestContext.Current.CancellationToken));
        Assert.IsType<SaveOutcome.Saved>(await store.SaveAsync(before with { Epss = 0.9f }, triaged, newer, "test", commandId: null, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_policy_that_nobody_changed_has_a_tag_to_change_it_by()
    {
        using var client = await host.OperatorAsync("policy-tags");
        foreach (var address in (string[])["/findings/policies/sla", "/findings/policies/gate"])
        {
            using var answer = await client.GetAsync(new Uri(address, UriKind.Relative), TestContext.Current.CancellationToken);
            Assert.Equal("\"0\"", answer.Headers.ETag?.Tag);
        }
    }

    [Fact]
    public async Task Of_many_changes_against_one_version_exactly_one_is_made_and_every_version_is_kept()
    {
        using var client = await host.OperatorAsync("policy-race");
        var answers = await Task.WhenAll(Enumerable.Range(1, 12).Select(days => SendAsync(
            client, "/findings/policies/sla", new SlaPolicies("p", Policies: [new SlaPolicy("p", [new SlaRule(days)])]), "\"0\"")));
        Assert.Single(answers, answer => answer.StatusCode == HttpStatusCode.OK);
        Assert.All(answers.Where(answer => answer.StatusCode != HttpStatusCode.OK), answer => Assert.Equal(HttpStatusCode.PreconditionFailed, answer.StatusCode));
        Assert.Equal(1L, await host.ScalarAsync<long>("select count(*) from vuln_center.policy where tenant = 'policy-race'"));
    }

    [Theory]
    [InlineData("/findings/policies/sla", """{"default":"unheard-of"}""", "/default")]
    [InlineData("/findings/policies/sla", """{"default":"p","policies":[{"name":"p","rules":[]}]}""", "/policies/0/rules")]
    [InlineData("/findings/policies/sla", """{"default":"p","policies":[{"name":"p","rules":[{"days":0}]}]}""", "/policies/0/rules/0/days")]
    [InlineData("/findings/policies/sla", """{"default":"p","policies":[{"name":"p","rules":[{"days":1e308}]}]}""", "/policies/0/rules/0/days")]
    [InlineData("/findings/policies/sla", """{"default":"p","policies":[{"name":"p","warnAfter":1.5,"rules":[{"days":1}]}]}""", "/policies/0/warnAfter")]
    [InlineData("/findings/policies/sla", """{"default":"default","policies":[{"name":"default","rules":[{"days":1}]}]}""", "/policies/0/name")]
    [InlineData("/findings/policies/sla", """{"default":"default","tiers":{"a/b":"nope"}}""", "/tiers/a~1b")]
    [InlineData("/findings/policies/gate", """{"atLeast":"high","kev":true,"epss":2,"ssvc":[]}""", "/epss")]
    [InlineData("/findings/services/shop", """{"repository":"javascript:alert(1)"}""", "/repository")]
    [InlineData("/findings/policies/sla", """{"default":"p","policies":[{"name":"p","rules":[{"dais":1}]}]}""", "/policies/0/rules/0/dais")]
    [InlineData("/findings/services/shop", """{"tier":""}""", "/tier")]
    [InlineData("/findings/services/shop", """{"teir":"1"}""", "/teir")]
    [InlineData("/findings/services/shop", """{"cvssEnvironment":{"3.1":null}}""", "/cvssEnvironment/3.1")]
    public async Task A_bad_field_is_named_and_nothing_is_kept(string address, string body, string pointer)
    {
        using var client = await host.OperatorAsync("bad-policy");
        using var request = new HttpRequestMessage(HttpMethod.Put, address) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("If-Match", "*");
        using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
        var problem = await answer.ReadAsync<JsonElement>();
        Assert.Equal((HttpStatusCode.BadRequest, pointer), (answer.StatusCode, problem.GetProperty("errors")[0].GetProperty("pointer").GetString()));
        Assert.Equal(0L, await host.ScalarAsync<long>("select (select count(*) from vuln_center.policy where tenant = 'bad-policy') + (select count(*) from vuln_center.service where tenant = 'bad-policy')"));
    }

    [Fact]
    public async Task Another_tenant_sees_neither_the_service_nor_the_recomputation()
    {
        using var client = await host.OperatorAsync("ours");
        using var other = await host.OperatorAsync("theirs");
        var view = await PutAsync<ServiceView>(client, "/findings/services/shop", new ServiceProfile("gold"), "*");
        using var service = await other.GetAsync(new Uri("/findings/services/shop", UriKind.Relative), TestContext.Current.CancellationToken);
        using var recomputation = await other.GetAsync(new Uri($"/findings/recomputations/{view.Recomputation?.Id}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal((HttpStatusCode.NotFound, HttpStatusCode.NotFound), (service.StatusCode, recomputation.StatusCode));
    }

    private static async Task<T> GetAsync<T>(HttpClient client, string address) =>
        await client.GetFromJsonAsync<T>(address, VulnCenterCalls.Json, TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("Empty answer.");

    private static async Task<T> PutAsync<T>(HttpClient client, string address, object body, string ifMatch)
    {
        using var answer = await SendAsync(client, address, body, ifMatch);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        return await answer.ReadAsync<T>();
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient client, string address, object body, string ifMatch)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, address) { Content = JsonContent.Create(body, body.GetType(), options: VulnCenterCalls.Json) };
        request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        return await client.SendAsync(request, TestContext.Current.CancellationToken);
    }

    private static async Task<Recomputation> EndedAsync(HttpClient client, Recomputation? started)
    {
        Assert.NotNull(started);
        while (await GetAsync<Recomputation>(client, $"/findings/recomputations/{started.Id}") is var now)
        {
            if (now.State is not ("queued" or "running"))
            {
                Assert.Equal("succeeded", now.State);
                return now;
            }
        }

        throw new InvalidOperationException("It has no state.");
    }

    private static byte[] Report(string rule) => Encoding.UTF8.GetBytes(
        $$"""{"schemaVersion":"1","findings":[{"kind":"sast","rule":"{{rule}}","title":"t","severity":"critical","location":{"path":"src/{{rule}}.cs","snippet":"x()"} }]}""");
}

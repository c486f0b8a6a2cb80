using System.Net.Http.Json;
using System.Text;
using Npgsql;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Tests.Dedup;

namespace Wave16.VulnCenter.Tests.Findings;

public sealed class HistoryOrderTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    // Another change of the finding, as far as its history tells of it.
    private const string Change = """
        with f as (update vuln_center.finding set version = version + 1 where tenant = $1 returning tenant, id, version, status)
        insert into vuln_center.transition (tenant, finding, version, at, actor, change, from_status, to_status)
        select tenant, id, version, clock_timestamp(), 'ann', 'finding.assigned', status, status from f
        """;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("import")]
    [InlineData("gone")]
    [InlineData("policy")]
    [InlineData("artifact")]
    public async Task What_waited_for_another_change_of_a_finding_was_done_after_it(string act)
    {
        var tenant = $"order-{act}";
        using var client = await host.OperatorAsync(tenant);
        await client.ImportAsync("generic", "shop", Report("high"), "&scope=complete");
        var finding = Assert.Single((await client.FindingsAsync()).Items).Id;
        await using var other = new NpgsqlConnection(host.Database);
        await other.OpenAsync(Cancellation);
        await using var transaction = await other.BeginTransactionAsync(Cancellation);
        await ExecuteAsync(other, "select from vuln_center.finding where tenant = $1 for update", tenant);

        var acting = ActAsync(client, act, finding);
        await UntilSomebodyWaitsForAsync(other);
        await ExecuteAsync(other, Change, tenant);
        await transaction.CommitAsync(Cancellation);
        await acting;

        var history = await ChangedAsync(client, finding, versions: 3);
        Assert.Equal([3, 2, 1], history.Select(step => step.Version));
        Assert.Equal(history.Select(step => step.At).OrderDescending(), history.Select(step => step.At));
    }

    private static async Task ActAsync(HttpClient client, string act, Guid finding)
    {
        if (act == "policy")
        {
            using var answer = await client.SendAsync(
                HttpMethod.Put, "/findings/policies/sla", new SlaPolicies("ours", Policies: [new SlaPolicy("ours", [new SlaRule(2)])]), "*");
            answer.EnsureSuccessStatusCode();
            return;
        }

        if (act == "artifact")
        {
            using var attached = await client.PostAsJsonAsync($"/findings/{finding}/artifacts", new { sha256 = new string('a', 64), uri = "https://evidence.example/a", mediaType = "text/plain" }, Cancellation);
            attached.EnsureSuccessStatusCode();
            return;
        }

        await client.ImportAsync("generic", "shop", act == "gone" ? Report() : Report("critical"), "&scope=complete&expectEmpty=true");
    }

    private static byte[] Report(params string[] severities) => Encoding.UTF8.GetBytes(
        $$"""{"schemaVersion":"1","source":"audit","findings":[{{string.Join(',', severities.Select(severity => $$"""{"rule":"A-1","title":"t","kind":"config","severity":"{{severity}}","resource":"r"}"""))}}]}""");

    private static async Task<IReadOnlyList<Transition>> ChangedAsync(HttpClient client, Guid finding, int versions)
    {
        var detail = await client.FindingAsync(finding);
        while (detail.History.Count < versions)
        {
            detail = await client.FindingAsync(finding);
        }

        return detail.History;
    }

    private static async Task UntilSomebodyWaitsForAsync(NpgsqlConnection blocker)
    {
        await using var look = new NpgsqlCommand("select exists (select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid)))", blocker);
        while (await look.ExecuteScalarAsync(Cancellation) is not true)
        {
            Cancellation.ThrowIfCancellationRequested();
        }
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, string tenant)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        await command.ExecuteNonQueryAsync(Cancellation);
    }
}

using System.Text.Json;
using Npgsql;
using static Wave16.VulnCenter.Tests.Dedup.DedupCalls;

namespace Wave16.VulnCenter.Tests.Imports;

/// <summary>A server that has not analyzed its tables since a tenant came: what its planner believes. How long imports take then is measured (bench, import-stale).</summary>
public sealed class PlannerStatisticsTests(VulnCenterHost host) : IClassFixture<VulnCenterHost>
{
    private const int Results = 2_500;

    [Fact]
    public async Task When_a_report_has_brought_many_findings_the_planner_knows_that_they_are_many()
    {
        var (module, database) = await host.StartAloneAsync();
        await using var running = module;
        await ExecuteAsync(database, """
            do $$
            declare name text;
            begin
              for name in select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'vuln_center'::regnamespace loop
                execute 'alter table ' || name || ' set (autovacuum_enabled = off)';
              end loop;
            end $$
            """);
        using var before = await module.ClientAsync("before", TestContext.Current.CancellationToken, "operator");
        await before.ShowAsync([.. Enumerable.Range(0, 200).Select(i => Sast("R1", $"src/{i}.cs", 1, "x()"))]);
        await ExecuteAsync(database, "analyze");
        using var since = await module.ClientAsync("since", TestContext.Current.CancellationToken, "operator");
        await since.ShowAsync(Sast("R1", "src/0.cs", 1, "x()"));
        Assert.All(await ExpectedAsync(database, "since"), expected => Assert.InRange(expected, 0, Results / 20));

        await since.ShowAsync([.. Enumerable.Range(0, Results).Select(i => Sast("R1", $"src/{i}.cs", 1, "x()"))]);

        Assert.All(await ExpectedAsync(database, "since"), expected => Assert.InRange(expected, Results / 2, Results * 2));
    }

    private static async Task<List<double>> ExpectedAsync(string database, string tenant)
    {
        List<double> rows = [];
        foreach (var table in (string[])["finding", "finding_key", "finding_seen", "observation", "decision", "transition"])
        {
            using var plan = JsonDocument.Parse(await VulnCenterHost.ScalarInAsync<string>(database, $"explain (format json) select from vuln_center.{table} where tenant = '{tenant}'"));
            rows.Add(plan.RootElement[0].GetProperty("Plan").GetProperty("Plan Rows").GetDouble());
        }

        return rows;
    }

    private static async Task ExecuteAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }
}

using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter;

namespace Wave16.Bench;

/// <summary>
/// The life of a service in reports, for a tenant or a service that came after the tables were last analyzed beside what was there then. In a large
/// installation a tenth of all rows has to change before the server looks at them again, and to its planner a new tenant has next to no rows.
/// </summary>
internal static class StaleStatisticsBenchmark
{
    private const int Findings = 7_000;
    private const int Rounds = 3;

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        await using var hosted = await Hosted.StartAsync(new VulnCenterModule(), await ground.DatabaseAsync("bench_import_stale", cancellation), cancellation, neighbours: []);
        var database = hosted.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName).DataSource;
        await ExecuteAsync(
            database,
            "do $$ declare t text; begin for t in select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'vuln_center'::regnamespace "
            + "loop execute 'alter table ' || t || ' set (autovacuum_enabled = off)'; end loop; end $$",
            cancellation);
        var code = await SyntheticReport.WriteCodeAsync(ground.Folder, Findings, shift: 0, cancellation);
        var moved = await SyntheticReport.WriteCodeAsync(ground.Folder, Findings, shift: 3, cancellation);
        var worse = await SyntheticReport.WriteCodeAsync(ground.Folder, Findings, shift: 3, cancellation, severity: "critical");
        var half = await SyntheticReport.WriteCodeAsync(ground.Folder, Findings / 2, shift: 3, cancellation);
        var other = await SyntheticReport.WriteCodeAsync(ground.Folder, Findings, shift: 0, cancellation, source: "other");
        var packages = await SyntheticReport.WriteAsync(ground.Folder, Findings, "2024-12-20T09:14:03Z", cancellation);
        (string Name, string Report, string Format)[] steps =
        [
            ("first report of a source", code, "generic"),
            ("the same again", code, "generic"),
            ("half of it three lines further down", moved, "generic"),
            ("another severity", worse, "generic"),
            ("half of it gone", half, "generic"),
            ("back again", worse, "generic"),
            ("first report of a second source", other, "generic"),
            ("first report of packages", packages, "trivy"),
            ("the same again", packages, "trivy"),
        ];

        var known = await LiveAsync(round => ($"known-{round}", ImportCalls.Service), analyze: true);
        var service = await LiveAsync(round => ("known-0", $"service-{round}"), analyze: false);
        var tenant = await LiveAsync(round => ($"new-{round}", ImportCalls.Service), analyze: false);
        Table table = new($"import: {Findings:N0} results a report, seconds", "", "known to the planner", "a service that came since", "×", "a tenant that came since", "×");
        foreach (var (i, step) in steps.Index())
        {
            table.Add(
                step.Name, $"{known[i].Median:F2}", $"{service[i].Median:F2}", $"{service[i].Median / known[i].Median:F1}",
                $"{tenant[i].Median:F2}", $"{tenant[i].Median / known[i].Median:F1}");
        }

        table.Print();

        async Task<Samples[]> LiveAsync(Func<int, (string Tenant, string Service)> whose, bool analyze)
        {
            Samples[] times = [.. steps.Select(_ => new Samples())];
            for (var round = 0; round < Rounds; round++)
            {
                var (ofTenant, ofService) = whose(round);
                using var client = await hosted.ClientAsync(ofTenant, cancellation);
                foreach (var (i, step) in steps.Index())
                {
                    await times[i].TimeAsync(() => client.ImportAsync(step.Report, cancellation, step.Format, ofService, "&scope=complete"));
                    await ExecuteAsync(database, analyze ? "analyze; checkpoint" : "checkpoint", cancellation);
                    Console.Error.WriteLine($"{ofTenant} {ofService}, {step.Name}: {times[i].Last:F2} s");
                }
            }

            return times;
        }
    }

    private static async Task ExecuteAsync(NpgsqlDataSource database, string sql, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(cancellation);
    }
}

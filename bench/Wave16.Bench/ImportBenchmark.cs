using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter;
using Wave16.VulnCenter.Contracts;

namespace Wave16.Bench;

/// <summary>14,000 findings through <c>POST /findings/imports</c>, for the first time and again, against <see cref="ImportFloor"/>.</summary>
internal static class ImportBenchmark
{
    private const int Findings = 14_000;

    // Everything a repeated import must leave as it was; last-seen times, the scan itself and its audit leaf are not state of a finding.
    private const string State = """
        select concat_ws('/',
          (select count(*) || ',' || coalesce(sum(version), 0) from vuln_center.finding where tenant = $1),
          (select count(*) from vuln_center.observation where tenant = $1),
          (select count(*) from vuln_center.decision where tenant = $1),
          (select count(*) from vuln_center.transition where tenant = $1),
          (select count(*) from vuln_center.finding_key where tenant = $1))
        """;

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        await using var hosted = await Hosted.StartAsync(new VulnCenterModule(), await ground.DatabaseAsync("bench_import", cancellation), cancellation);
        var database = hosted.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName).DataSource;
        var importFloor = new ImportFloor(database);
        await importFloor.PrepareAsync(cancellation);
        var report = await SyntheticReport.WriteAsync(ground.Folder, Findings, "2024-12-20T09:14:03Z", cancellation);
        var later = await SyntheticReport.WriteAsync(ground.Folder, Findings, "2024-12-21T09:14:03Z", cancellation);
        var small = await SyntheticReport.WriteAsync(ground.Folder, Findings / 10, "2024-12-20T09:14:03Z", cancellation);

        // Everything compiled and every plan cached before the first round.
        await importFloor.RunAsync(small, "warm", cancellation);
        using (var warm = await hosted.ClientAsync("warm", cancellation))
        {
            await warm.ImportAsync(small, cancellation);
            await warm.ImportAsync(small, cancellation);
        }

        Samples floor = new(), first = new(), identical = new(), timestamp = new();
        for (var round = 0; round < Ground.Rounds; round++)
        {
            var tenant = $"round-{round}";
            using var client = await hosted.ClientAsync(tenant, cancellation);
            await RestAsync(database, cancellation);
            Expect(Findings, await floor.TimeAsync(() => importFloor.RunAsync(report, tenant, cancellation)));
            await RestAsync(database, cancellation);
            Expect(Findings, (await first.TimeAsync(() => client.ImportAsync(report, cancellation))).New);
            await RestAsync(database, cancellation);
            var before = await StateAsync(database, tenant, cancellation);
            ExpectNothing(await identical.TimeAsync(() => client.ImportAsync(report, cancellation)));
            await RestAsync(database, cancellation);
            ExpectNothing(await timestamp.TimeAsync(() => client.ImportAsync(later, cancellation)));
            Expect(before, await StateAsync(database, tenant, cancellation));
            Console.WriteLine($"round {round + 1}: floor {floor.Last:F2}, first {first.Last:F2}, identical {identical.Last:F2}, another timestamp {timestamp.Last:F2} s");
        }

        var megabytes = new FileInfo(report).Length / 1e6;
        var table = new Table($"import: {Findings:N0} findings ({megabytes:F1} MB), seconds", "", "median", "range", "× floor");
        table.Add("floor: read + COPY", $"{floor.Median:F2}", floor.Range(), "1");
        table.Add("first import", $"{first.Median:F2}", first.Range(), $"{first.Median / floor.Median:F1}");
        table.Add("identical report again", $"{identical.Median:F2}", identical.Range(), $"{identical.Median / floor.Median:F1}");
        table.Add("again, another timestamp", $"{timestamp.Median:F2}", timestamp.Range(), $"{timestamp.Median / floor.Median:F1}");
        table.Print();
        await CountStatementsAsync(hosted, database, small, report, cancellation);
    }

    /// <summary>Equal places, before and after one finding of the service was un-merged: from then on numbers are recalled.</summary>
    public static async Task RunToldApartAsync(Ground ground, CancellationToken cancellation)
    {
        await using var hosted = await Hosted.StartAsync(new VulnCenterModule(), await ground.DatabaseAsync("bench_import_apart", cancellation), cancellation);
        var database = hosted.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName).DataSource;
        var report = await SyntheticReport.WriteCodeAsync(ground.Folder, Findings, shift: 0, cancellation);
        var shifted = await SyntheticReport.WriteCodeAsync(ground.Folder, Findings, shift: 3, cancellation);
        Samples first = new(), moved = new(), identical = new(), apart = new();
        for (var round = 0; round < Ground.Rounds; round++)
        {
            using var client = await hosted.ClientAsync($"code-{round}", cancellation);
            Expect(Findings, (await first.TimeAsync(() => client.ImportAsync(report, cancellation, "generic"))).New);
            await RestAsync(database, cancellation);
            Expect(Findings, (await moved.TimeAsync(() => client.ImportAsync(shifted, cancellation, "generic"))).Matched);
            await RestAsync(database, cancellation);
            ExpectNothing(await identical.TimeAsync(() => client.ImportAsync(shifted, cancellation, "generic")));
            await client.UnmergeOneAsync(cancellation);
            await client.ImportAsync(shifted, cancellation, "generic");
            await RestAsync(database, cancellation);
            ExpectNothing(await apart.TimeAsync(() => client.ImportAsync(shifted, cancellation, "generic")));
            await RestAsync(database, cancellation);
        }

        var table = new Table($"import: {Findings:N0} results that stand in pairs in one file with the same code, seconds", "", "median", "range");
        table.Add("first import", $"{first.Median:F2}", first.Range());
        table.Add("half of them three lines further down", $"{moved.Median:F2}", moved.Range());
        table.Add("identical report again", $"{identical.Median:F2}", identical.Range());
        table.Add("again, after an un-merge in the service", $"{apart.Median:F2}", apart.Range());
        table.Print();
    }

    private static async Task CountStatementsAsync(Hosted hosted, NpgsqlDataSource database, string small, string large, CancellationToken cancellation)
    {
        var table = new Table("import: SQL statements of one request and its job", "findings", "statements", "COPY batches of 5,000", "later, delivering its events");
        foreach (var (path, findings) in new[] { (small, Findings / 10), (large, Findings) })
        {
            using var client = await hosted.ClientAsync($"count-{findings}", cancellation);
            using var count = new StatementCount();
            Expect(findings, (await client.ImportAsync(path, cancellation)).New);
            await RestAsync(database, cancellation);
            table.Add($"{findings:N0}", $"{count.Statements}", $"{count.Copies}", $"{count.InDeliveries}");
        }

        table.Print();
    }

    /// <summary>Until the outbox is empty and what was written is on disk, so that no measurement pays for the one before.</summary>
    private static async Task RestAsync(NpgsqlDataSource database, CancellationToken cancellation)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (await ScalarAsync<long>(database, "select count(*) from platform.delivery", [], cancellation) > 0)
        {
            await look.WaitForNextTickAsync(cancellation);
        }

        await using var checkpoint = database.CreateCommand("checkpoint");
        await checkpoint.ExecuteNonQueryAsync(cancellation);
    }

    private static Task<string> StateAsync(NpgsqlDataSource database, string tenant, CancellationToken cancellation) =>
        ScalarAsync<string>(database, State, [tenant], cancellation);

    private static async Task<T> ScalarAsync<T>(NpgsqlDataSource database, string sql, object[] values, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(sql);
        foreach (var value in values)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        }

        return (T)(await command.ExecuteScalarAsync(cancellation) ?? throw new InvalidOperationException(sql));
    }

    private static void ExpectNothing(ImportResult result) => Expect((0L, (long)Findings, 0L, 0L), (result.New, result.Matched, result.Reopened, result.FindingsChanged));

    private static void Expect<T>(T expected, T actual)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
        {
            throw new InvalidOperationException($"Expected {expected}, but it is {actual}; the figures would be of something else.");
        }
    }
}

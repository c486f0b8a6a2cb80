using System.Net.Http.Headers;
using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter;
using Wave16.VulnCenter.Contracts;

namespace Wave16.Bench;

/// <summary>The feeds over 200,000 findings, against <see cref="FeedsFloor"/>; and what an import feels of one.</summary>
internal static class FeedsBenchmark
{
    private const int Findings = 200_000;
    private const int Rounds = 3;
    private const int ImportedFindings = 500;
    private const string Tenant = "bench";

    // The backlog is four fifths components; a quarter of those names the advisory's GHSA id alone, as npm audit does: six findings of ten name
    // a CVE. Gates and deadlines are as the built-in policies have them, so that nothing but the feeds changes anything.
    private const string Settle = """
        update vuln_center.finding f
        set epss = null, kev = false, version = 4, gate = r.live and f.severity = 6,
            identifiers = case when f.kind = 1 and r.rank % 4 = 3
              then array[upper('GHSA-' || lpad(to_hex(r.rank), 4, '0') || '-' || lpad(to_hex(r.rank * 7 & 65535), 4, '0') || '-' || lpad(to_hex(r.rank * 31 & 65535), 4, '0'))]
              else f.identifiers end,
            sla_paused_at = case when not r.live then now() end,
            sla_warn_at = case when r.live then f.first_seen + r.allowed * 0.8 end, sla_due_at = case when r.live then f.first_seen + r.allowed end,
            sla_warned_at = case when not r.live or f.first_seen + r.allowed * 0.8 <= now() then f.sla_warned_at end,
            sla_breached_at = case when not r.live or f.first_seen + r.allowed <= now() then f.sla_breached_at end
        from (
          select id, case when kind = 1 then split_part(rule, '-', 3)::int - 1000 else 0 end as rank, status in (1, 2) and suppression is null as live,
                 interval '1 day' * case severity when 6 then 7 when 5 then 30 when 4 then 90 end as allowed
          from vuln_center.finding) r
        where r.id = f.id
        """;

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        await using var hosted = await Hosted.StartAsync(new VulnCenterModule(), await ground.DatabaseAsync("bench_feeds", cancellation), cancellation);
        var database = hosted.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName).DataSource;
        await Backlog.WriteAsync(database, Tenant, 0, Findings, TimeProvider.System.GetUtcNow(), cancellation);
        await ExecuteAsync(database, Settle, cancellation);
        await ExecuteAsync(database, "insert into vuln_center.scan (tenant, id, import, service, source, tool, format, scope, report_digest, started_at, finished_at, new, matched, reopened, rejected, findings_changed) "
            + "select tenant, gen_random_uuid(), gen_random_uuid(), service, source, source, 'bench', 2, '\\x00', now(), now(), 0, 0, 0, 0, 0 from vuln_center.finding group by tenant, service, source", cancellation);
        await ExecuteAsync(database, "vacuum full analyze vuln_center.finding", cancellation);
        var feedsFloor = new FeedsFloor(database);
        await feedsFloor.PrepareAsync(cancellation);
        Console.WriteLine($"{Findings:N0} findings of {await ScalarAsync(database, "select count(distinct service) from vuln_center.finding", cancellation)} services, "
            + $"{await ScalarAsync(database, "select count(*) from vuln_center.finding where identifiers::text like '%CVE%'", cancellation):N0} name a CVE");

        var files = new FeedFiles(ground.Folder);
        var (kev, aliases, days) = (files.Kev(), files.Aliases(), Enumerable.Range(0, 2).Select(files.Epss).ToList());
        using var client = await hosted.ClientAsync(Tenant, cancellation);
        Step[] steps =
        [
            new("EPSS, for the first time", "epss", days[0], path => feedsFloor.EpssAsync(path, Tenant, cancellation)),
            new("EPSS, the next day", "epss", days[1], path => feedsFloor.EpssAsync(path, Tenant, cancellation)),
            new("KEV", "kev", kev, path => feedsFloor.KevAsync(path, Tenant, cancellation)),
            new("aliases", "aliases", aliases, path => feedsFloor.AliasesAsync(path, Tenant, cancellation)),
        ];
        for (var round = 0; round < Rounds; round++)
        {
            await RestAsync(database, feedsFloor, cancellation);
            foreach (var step in steps)
            {
                var expected = await step.Floor.TimeAsync(() => step.AtLeast(step.Path));
                await CheckpointAsync(database, cancellation);
                var update = await step.Ours.TimeAsync(() => PutAsync(client, step.Feed, step.Path, cancellation));
                await CheckpointAsync(database, cancellation);
                if (update.Progress.Changed != expected)
                {
                    throw new InvalidOperationException($"{step.Name}: {expected} findings should have changed, but {update.Progress.Changed} did; the figures would be of something else.");
                }

                step.Changed = update.Progress;
                Console.Error.WriteLine($"round {round + 1}, {step.Name}: floor {step.Floor.Last:F2}, ours {step.Ours.Last:F2} s, {update.Progress}");
            }
        }

        var table = new Table($"feeds: over {Findings:N0} findings, seconds", "", "findings changed", "groups", "floor", "range", "ours", "range", "ours / floor");
        foreach (var step in steps)
        {
            table.Add(step.Name, $"{step.Changed?.Changed:N0}", $"{step.Changed?.Groups:N0}", $"{step.Floor.Median:F2}", step.Floor.Range(), $"{step.Ours.Median:F2}", step.Ours.Range(), $"{step.Ours.Median / step.Floor.Median:F1}");
        }

        table.Print();
        await MeetingAsync(hosted, database, feedsFloor, ground, steps, cancellation);
    }

    /// <summary>Imports one after the other into the largest service, with nothing beside them and while each feed goes through.</summary>
    private static async Task MeetingAsync(
        Hosted hosted, NpgsqlDataSource database, FeedsFloor floor, Ground ground, IReadOnlyList<Step> steps, CancellationToken cancellation)
    {
        using var client = await hosted.ClientAsync(Tenant, cancellation);
        List<string> reports = [];
        for (var i = 0; i < 2; i++)
        {
            reports.Add(await SyntheticReport.WriteAsync(ground.Folder, ImportedFindings + i, "2026-03-01T00:00:00Z", cancellation));
        }

        await RestAsync(database, floor, cancellation);
        Samples alone = new();
        for (var i = 0; i < 20; i++)
        {
            await ImportAsync(alone, i);
        }

        var table = new Table($"feeds: a report of {ImportedFindings} findings meanwhile, seconds", "", "imports", "median", "longest");
        table.Add("no feed", $"{alone.Count}", $"{alone.Median:F2}", $"{alone.Percentile(1):F2}");
        foreach (var step in steps)
        {
            Samples beside = new();
            var feed = PutAsync(client, step.Feed, step.Path, cancellation);
            for (var i = 0; beside.Count == 0 || !feed.IsCompleted; i++)
            {
                await ImportAsync(beside, i);
            }

            await feed;
            table.Add(step.Name, $"{beside.Count}", $"{beside.Median:F2}", $"{beside.Percentile(1):F2}");
        }

        table.Print();

        Task<ImportResult> ImportAsync(Samples samples, int i) => samples.TimeAsync(() => client.ImportAsync(reports[i % reports.Count], cancellation));
    }

    private static async Task<FeedUpdate> PutAsync(HttpClient client, string feed, string path, CancellationToken cancellation)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.Asynchronous);
        using var content = new StreamContent(file, 1 << 16);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using var answer = await client.PutAsync(new Uri($"/findings/feeds/{feed}?wait=120", UriKind.Relative), content, cancellation);
        var update = answer.IsSuccessStatusCode ? await answer.Content.ReadFromJsonAsync<FeedUpdate>(Wave16Json.Options, cancellation) : null;
        return update is { State: "succeeded" } ? update : throw new InvalidOperationException($"{feed}: {answer.StatusCode} {update?.State} {update?.Problem}");
    }

    /// <summary>As if no feed had ever come.</summary>
    private static async Task RestAsync(NpgsqlDataSource database, FeedsFloor floor, CancellationToken cancellation)
    {
        await ExecuteAsync(database, "truncate vuln_center.feed, vuln_center.epss, vuln_center.kev, vuln_center.alias_edge, vuln_center.alias_cluster, vuln_center.group_member, vuln_center.finding_group", cancellation);
        await ExecuteAsync(database, "update vuln_center.finding set epss = null, kev = false where epss is not null or kev", cancellation);
        await ExecuteAsync(database, "vacuum analyze vuln_center.finding", cancellation);
        await ExecuteAsync(database, "vacuum analyze vuln_center.finding_count", cancellation);
        await floor.RestAsync(cancellation);
        await CheckpointAsync(database, cancellation);
    }

    private static async Task CheckpointAsync(NpgsqlDataSource database, CancellationToken cancellation)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (await ScalarAsync(database, "select count(*) from platform.delivery", cancellation) > 0)
        {
            await look.WaitForNextTickAsync(cancellation);
        }

        await ExecuteAsync(database, "checkpoint", cancellation);
    }

    private static async Task ExecuteAsync(NpgsqlDataSource database, string sql, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(sql);
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static async Task<long> ScalarAsync(NpgsqlDataSource database, string sql, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(sql);
        return (long)(await command.ExecuteScalarAsync(cancellation) ?? 0L);
    }

    private sealed record Step(string Name, string Feed, string Path, Func<string, Task<int>> AtLeast)
    {
        public Samples Floor { get; } = new();

        public Samples Ours { get; } = new();

        public FeedProgress? Changed { get; set; }
    }
}

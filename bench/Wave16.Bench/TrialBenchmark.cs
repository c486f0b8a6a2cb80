using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Dedup;

namespace Wave16.Bench;

/// <summary>A dry run of dedup rules over a million findings of one source, against reading the same identities in the same order and making their keys.</summary>
internal static class TrialBenchmark
{
    private const int Findings = 1_000_000;
    private const int Services = 50;
    private const int Batch = 100_000;
    private const string Tenant = "bench";
    private const string Source = "trivy";

    // One in ten differs from another of its service by the manifest alone: that is what would merge.
    private const string Fill = """
        with f as (
          insert into vuln_center.finding (
            tenant, id, version, service, source, kind, rule, title, severity, severity_from, scan_severity, scan_severity_from, status, status_since, identifiers,
            component, fixed_versions, environments, first_seen, content_hash, audit_hash, detail, sla_from)
          select $1, md5('f' || i)::uuid, 1, 'service-' || i % $4, $5, 1, 'CVE-2024-' || i / 500 * 500, 'A flaw', 3, 'source', 3, 'source', 1, now(), '{}',
                 'package-' || i % 450, '{}', '{}', now() - i * interval '1 second', decode(md5('c' || i), 'hex'), '\x00', '{}', now()
          from generate_series($2::bigint, $3::bigint) i
          returning id
        )
        insert into vuln_center.observation (tenant, finding, payload_hash, occurrence, id, scan, pointer, identity, content_hash)
        select $1, md5('f' || i)::uuid, sha256(('p' || i)::bytea), 1, md5('o' || i)::uuid, md5('s' || i % $4)::uuid, '/Results/0/Vulnerabilities/' || i,
               replace(replace(replace($6, '@rule', 'CVE-2024-' || i / 500 * 500), '@package', 'package-' || i % 450), '@manifest', 'app-' || i || '/package-lock.json')::jsonb,
               decode(md5('c' || i), 'hex')
        from generate_series($2::bigint, $3::bigint) i
        """;

    private static readonly DedupKeyRule[] Keys =
    [
        new("package", [FindingKind.Sca], ["rule", "component"]),
        new("position", Enum.GetValues<FindingKind>(), ["rule", "path?", "code?", "resource?", "host?", "path-template?", "parameter?", "occurrence"], Fallback: true),
    ];

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        await using var hosted = await Hosted.StartAsync(new VulnCenterModule(), await ground.DatabaseAsync("bench_trial", cancellation), cancellation);
        var database = hosted.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName).DataSource;
        await FillAsync(database, cancellation);
        using var client = await hosted.ClientAsync(Tenant, cancellation);
        Samples floor = new(), ours = new();
        long peak = 0;
        DedupPreview? preview = null;
        for (var round = 0; round < 2; round++)
        {
            await floor.TimeAsync(() => ReadAsync(database, cancellation));
            using var heap = new HeapWatch();
            preview = await ours.TimeAsync(() => TryAsync(client, cancellation));
            peak = Math.Max(peak, heap.Peak);
            Console.Error.WriteLine($"round {round + 1}: floor {floor.Last:F1}, ours {ours.Last:F1} s, {peak / 1e6:F0} MB");
        }

        var table = new Table($"dedup-trial: {Findings:N0} findings of one source in {Services} services, seconds", "", "median", "range", "× floor");
        table.Add("floor: read in order, make the keys", $"{floor.Median:F1}", floor.Range("F1"), "1");
        table.Add("dry run", $"{ours.Median:F1}", ours.Range("F1"), $"{ours.Median / floor.Median:F1}");
        table.Print();
        Console.WriteLine();
        Console.WriteLine($"{preview?.Findings:N0} findings looked at, {preview?.Merges:N0} merges. Largest managed heap while trying: {peak / 1e6:F0} MB.");
    }

    private static async Task<DedupPreview> TryAsync(HttpClient client, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/findings/dedup-rules/{Source}?dryRun=true&wait=0") { Content = JsonContent.Create(new DedupRulesChange(Keys), options: Wave16Json.Options) };
        request.Headers.TryAddWithoutValidation("If-Match", "\"1\"");
        using var answer = await client.SendAsync(request, cancellation);
        var trial = await answer.Content.ReadFromJsonAsync<DedupTrial>(Wave16Json.Options, cancellation);
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (trial is { State: "queued" or "running" })
        {
            await look.WaitForNextTickAsync(cancellation);
            trial = await client.GetFromJsonAsync<DedupTrial>($"/findings/dedup-rules/trials/{trial.Id}", Wave16Json.Options, cancellation);
        }

        return trial?.Preview is { Findings: Findings } preview ? preview : throw new InvalidOperationException($"{trial?.State}: {trial?.Problem} {trial?.Preview?.Findings}");
    }

    private static async Task<int> ReadAsync(NpgsqlDataSource database, CancellationToken cancellation)
    {
        var rules = RuleSets.Of(Source, 2, Keys);
        var keys = 0;
        await using var connection = await database.OpenConnectionAsync(cancellation);
        for (var service = 0; service < Services; service++)
        {
            foreach (var identity in await connection.ListAsync(
                RekeySql.Observations, row => row.GetString(6), cancellation, Tenant, $"service-{service}", Source, new short[] { (short)FindingKind.Sca }))
            {
                keys += DedupKeys.KeysOf(Identities.Read(identity), rules).Count;
            }
        }

        return keys;
    }

    private static async Task FillAsync(NpgsqlDataSource database, CancellationToken cancellation)
    {
        // What a dry run does not read is not kept while the findings are written: that takes most of the time.
        await ExecuteAsync(database, """
            alter table vuln_center.finding disable trigger user;
            do $$ declare i text; begin
              for i in select indexname from pg_indexes where schemaname = 'vuln_center' and tablename = 'finding' and indexname not in ('finding_pkey', 'finding_by_service', 'finding_by_source') loop
                execute 'drop index vuln_center.' || i;
              end loop;
            end $$
            """, cancellation);
        var identity = Identities.Write(new ObservationIdentity(
            FindingKind.Sca, "@rule", "npm", "@package", "1.0.0", "pkg:npm/@package", "@manifest", Identifiers: ["@rule"],
            Cvss: [new ReportedScore("3.1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8m, "nvd")]));
        for (var from = 0; from < Findings; from += Batch)
        {
            await using var fill = database.CreateCommand(Fill);
            fill.CommandTimeout = 600;
            fill.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Tenant });
            fill.Parameters.Add(new NpgsqlParameter<long> { TypedValue = from });
            fill.Parameters.Add(new NpgsqlParameter<long> { TypedValue = from + Batch - 1 });
            fill.Parameters.Add(new NpgsqlParameter<int> { TypedValue = Services });
            fill.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Source });
            fill.Parameters.Add(new NpgsqlParameter { Value = identity, NpgsqlDbType = NpgsqlDbType.Text });
            await fill.ExecuteNonQueryAsync(cancellation);
        }

        await ExecuteAsync(database, $"""
            insert into vuln_center.scan (tenant, id, import, service, source, tool, format, scope, report_digest, started_at, finished_at, new, matched, reopened, rejected, findings_changed)
            select '{Tenant}', md5('s' || s)::uuid, gen_random_uuid(), 'service-' || s, '{Source}', 'trivy', 'trivy', 2, '\x00', now(), now(), 0, 0, 0, 0, 0 from generate_series(0, {Services - 1}) s
            """, cancellation);
        await ExecuteAsync(database, "vacuum analyze", cancellation);
    }

    private static async Task ExecuteAsync(NpgsqlDataSource database, string sql, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(sql);
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync(cancellation);
    }
}

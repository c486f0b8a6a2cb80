using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Npgsql;
using Wave16.ServiceDefaults;

namespace Wave16.Bench;

/// <summary>
/// Verifying an audit log of a million leaves over HTTP, against reading the same leaves in order and hashing their content. The log
/// is 100,000 entities of ten versions each, so every leaf has its chain to be looked up.
/// </summary>
internal static class AuditBenchmark
{
    private const int Entities = 100_000;
    private const int Versions = 10;
    private const string Path = "/audit/" + CounterModule.ModuleName;

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        var connectionString = await ground.DatabaseAsync("bench_audit", cancellation);
        await using var hosted = await Hosted.StartAsync(new CounterModule(), connectionString, cancellation, neighbours: []);
        using var client = await Hosted.ClientAsync(hosted.Address, "bench", cancellation, Access.Auditor);
        await using var source = NpgsqlDataSource.Create(connectionString);
        var sealing = await FillAsync(source, cancellation);

        Samples ours = new(), floor = new();
        var memory = 0L;
        for (var round = 0; round < Ground.Rounds; round++)
        {
            await floor.TimeAsync(() => ReadAsync(source, cancellation));
            using var watch = new HeapWatch();
            var report = await ours.TimeAsync(() => GetAsync(client, Path + "/verify", cancellation));
            memory = Math.Max(memory, watch.Peak);
            if (!report.GetProperty("intact").GetBoolean() || report.GetProperty("leavesChecked").GetInt64() != Entities * Versions)
            {
                throw new InvalidOperationException($"The log is not what it must be: {report}");
            }
        }

        var table = new Table($"audit: {Entities * Versions:N0} leaves", "", "median s", "range s", "× floor");
        table.Add("floor: read in order and hash", $"{floor.Median:F1}", floor.Range("F1"), "1");
        table.Add("verify", $"{ours.Median:F1}", ours.Range("F1"), $"{ours.Median / floor.Median:F1}");
        table.Print();
        table = new Table("audit: sealing and memory", "leaves per second into the log", "largest managed heap while verifying", "working set at the end");
        table.Add($"{sealing:N0}", $"{memory / 1e6:F0} MB", $"{Environment.WorkingSet / 1e6:F0} MB");
        table.Print();
    }

    /// <returns>Leaves that the sealer took per second, while it had enough.</returns>
    private static async Task<double> FillAsync(NpgsqlDataSource source, CancellationToken cancellation)
    {
        var started = 0L;
        for (var version = 1; version <= Versions; version++)
        {
            await ExecuteAsync(source, $$"""
                insert into platform.audit_leaf (epoch, tenant, entity, entity_version, at, actor, action, canonical, hash)
                select 1, 'bench', 'counter/' || i, {{version}}, '2026-03-01T12:00:00Z', 'ann', 'counter.count', c.canonical, sha256('\x00'::bytea || convert_to(c.canonical, 'UTF8'))
                from generate_series(1, {{Entities}}) i
                left join platform.audit_leaf p on p.tenant = 'bench' and p.entity = 'counter/' || i and p.entity_version = {{version - 1}},
                lateral (select '{"tenant":"bench","entity":"counter/' || i || '","version":{{version}},"at":"2026-03-01T12:00:00+00:00","actor":"ann","action":"counter.count","details":{"from":{{version - 1}},"to":{{version}},"reason":"as in a benchmark"},"prev":"'
                  || coalesce(encode(p.hash, 'hex'), '') || '"}' as canonical) c
                """, cancellation);
            started = version == 1 ? Stopwatch.GetTimestamp() : started;
        }

        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (await ScalarAsync(source, "select tree_size from platform.audit_sealer", cancellation) < Entities * Versions)
        {
            await look.WaitForNextTickAsync(cancellation);
        }

        var rate = Entities * Versions / Stopwatch.GetElapsedTime(started).TotalSeconds;
        await ExecuteAsync(source, "vacuum analyze", cancellation);
        return rate;
    }

    private static async Task<long> ReadAsync(NpgsqlDataSource source, CancellationToken cancellation)
    {
        var good = 0L;
        await using var command = source.CreateCommand("select canonical, hash from platform.audit_leaf order by epoch, xid, id");
        command.CommandTimeout = 0;
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            good += SHA256.HashData([0, .. Encoding.UTF8.GetBytes(reader.GetString(0))]).AsSpan().SequenceEqual(reader.GetFieldValue<byte[]>(1)) ? 1 : 0;
        }

        return good == Entities * Versions ? good : throw new InvalidOperationException($"{good} leaves have their hash.");
    }

    private static async Task<JsonElement> GetAsync(HttpClient client, string path, CancellationToken cancellation)
    {
        using var answer = await client.GetAsync(new Uri(path, UriKind.Relative), cancellation);
        return JsonElement.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(cancellation));
    }

    private static async Task ExecuteAsync(NpgsqlDataSource source, string sql, CancellationToken cancellation)
    {
        await using var command = source.CreateCommand(sql);
        command.CommandTimeout = 0;
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static async Task<long> ScalarAsync(NpgsqlDataSource source, string sql, CancellationToken cancellation)
    {
        await using var command = source.CreateCommand(sql);
        return await command.ExecuteScalarAsync(cancellation) as long? ?? 0;
    }
}

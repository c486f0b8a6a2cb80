using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.Bench;

/// <summary>A finding's change of status through its grain, against an INSERT that commits by itself, over the same pool.</summary>
internal static class SaveBenchmark
{
    private const string Tenant = "saves";
    private const int FindingsPerWorker = 40;
    private static readonly TimeSpan Round = TimeSpan.FromSeconds(2);

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        await using var hosted = await Hosted.StartAsync(new VulnCenterModule(), await ground.DatabaseAsync("bench_save", cancellation), cancellation);
        var database = hosted.Services.GetRequiredKeyedService<ModuleDatabase>(VulnCenterModule.ModuleName).DataSource;
        var grains = hosted.Services.GetRequiredService<IGrainFactory>();
        using (var client = await hosted.ClientAsync(Tenant, cancellation))
        {
            await client.ImportAsync(await SyntheticReport.WriteAsync(ground.Folder, 2_000, "2024-12-20T09:14:03Z", cancellation), cancellation);
        }

        await ExecuteAsync(database, "create table bench_floor (tenant text not null, id uuid not null, at timestamptz not null, payload text not null, primary key (tenant, id))", cancellation);
        var findings = await FindingsAsync(database, cancellation);
        var table = new Table("save: commits per second", "workers", "floor: bare INSERT", "a finding's change of status", "ours / floor", "median ms of one save");
        var toggles = findings.Select(id => new Toggle(grains, id)).Chunk(FindingsPerWorker).ToList();
        foreach (var workers in new[] { 1, 8 })
        {
            Samples floor = new(), ours = new(), latency = new();
            await RateAsync(workers, worker => SaveAsync(toggles[worker], latency, cancellation)); // activates every grain
            latency = new Samples();
            for (var round = 0; round < Ground.Rounds; round++)
            {
                await ExecuteAsync(database, "checkpoint", cancellation);
                floor.Add(await RateAsync(workers, _ => InsertAsync(database, cancellation)));
                await ExecuteAsync(database, "checkpoint", cancellation);
                ours.Add(await RateAsync(workers, worker => SaveAsync(toggles[worker], latency, cancellation)));
            }

            table.Add($"{workers}", $"{floor.Median:N0} ({floor.Range("F0")})", $"{ours.Median:N0} ({ours.Range("F0")})", $"{ours.Median / floor.Median:F2}", $"{latency.Median * 1000:F2}");
        }

        table.Print();
    }

    /// <summary>Things done per second by so many workers, each one after the other.</summary>
    private static async Task<double> RateAsync(int workers, Func<int, Func<Task>> begin)
    {
        var started = Stopwatch.GetTimestamp();
        var counts = await Task.WhenAll(Enumerable.Range(0, workers).Select(worker => Task.Run(async () =>
        {
            var next = begin(worker);
            long count = 0;
            for (; Stopwatch.GetElapsedTime(started) < Round; count++)
            {
                await next();
            }

            return count;
        })));
        return counts.Sum() / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private static Func<Task> SaveAsync(Toggle[] findings, Samples latency, CancellationToken cancellation)
    {
        var next = 0;
        return async () =>
        {
            var started = Stopwatch.GetTimestamp();
            await findings[next++ % findings.Length].ChangeAsync(cancellation);
            lock (latency)
            {
                latency.Add(Stopwatch.GetElapsedTime(started).TotalSeconds);
            }
        };
    }

    private static Func<Task> InsertAsync(NpgsqlDataSource database, CancellationToken cancellation) => async () =>
    {
        await using var command = database.CreateCommand("insert into bench_floor (tenant, id, at, payload) values ($1, $2, $3, $4)");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = Guid.CreateVersion7() });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = TimeProvider.System.GetUtcNow() });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = new string('x', 200) });
        await command.ExecuteNonQueryAsync(cancellation);
    };

    // Below critical: a change of these calls no neighbour.
    private static async Task<List<Guid>> FindingsAsync(NpgsqlDataSource database, CancellationToken cancellation)
    {
        List<Guid> findings = [];
        await using var command = database.CreateCommand("select id from vuln_center.finding where tenant = $1 and severity < $2 order by id");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Tenant });
        command.Parameters.Add(new NpgsqlParameter<short> { TypedValue = (short)Severity.Critical });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            findings.Add(reader.GetGuid(0));
        }

        return findings;
    }

    private static async Task ExecuteAsync(NpgsqlDataSource database, string sql, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>A finding that is triaged and opened again by turns.</summary>
    private sealed class Toggle(IGrainFactory grains, Guid id)
    {
        private readonly IFindingGrain _grain = grains.GetGrain<IFindingGrain>(FindingKey.Of(Tenant, id));
        private bool _triaged;

        public async Task ChangeAsync(CancellationToken cancellation)
        {
            _triaged = !_triaged;
            var answer = await _grain.ChangeStatus(
                new ChangeFindingStatus("bench", Guid.CreateVersion7().ToString("N"), null, _triaged ? FindingStatus.Triaged : FindingStatus.Open, "measured", null), cancellation);
            if (answer.RefusalCode is { } code)
            {
                throw new InvalidOperationException($"{code}: {answer.RefusalDetail}");
            }
        }
    }
}

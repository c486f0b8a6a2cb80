using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Wave16.Platform.Events;

namespace Wave16.Bench;

/// <summary>
/// Events through the outbox and the in-process transport: how long after its commit one is handled while there is little to do, and
/// how fast a backlog goes, against reading and deleting the same rows in the same batches.
/// </summary>
internal static class EventsBenchmark
{
    private const int Single = 300;
    private const int Pending = 20_000;
    private const int Subjects = 2_000;

    // A lane's own: rows it fetches, and rows it settles, at once.
    private const int Fetch = 200;
    private const int Settle = 64;

    public static async Task RunAsync(Ground ground, CancellationToken cancellation)
    {
        await using var hosted = await Hosted.StartAsync(new CounterModule(), await ground.DatabaseAsync("bench_events", cancellation), cancellation);
        var store = new CounterStore(hosted.Services);
        var handler = hosted.Services.GetKeyedServices<IEventHandler>(CounterModule.ModuleName).OfType<CountedHandler>().Single();
        var signal = hosted.Services.GetRequiredKeyedService<OutboxSignal>(CounterModule.ModuleName);
        await LatencyAsync(store, handler, new Samples(), -1, cancellation);

        Samples latency = new(), ours = new(), floor = new();
        for (var round = 0; round < Ground.Rounds; round++)
        {
            await LatencyAsync(store, handler, latency, round, cancellation);
            await store.FillAsync("floor", round, Pending, Subjects, cancellation);
            var started = Stopwatch.GetTimestamp();
            await store.DrainAsync("floor", Fetch, Settle, cancellation);
            floor.Add(Pending / Stopwatch.GetElapsedTime(started).TotalSeconds);
            await store.FillAsync(BusDestination.BusName, round, Pending, Subjects, cancellation);
            ours.Add(Pending / await DrainedAsync(store, handler, signal, cancellation));
        }

        var table = new Table("events: commit to handler, one at a time, in-process transport", "events", "p50 ms", "p95 ms", "p99 ms");
        table.Add($"{Single * Ground.Rounds:N0}", $"{latency.Median * 1000:F1}", $"{latency.Percentile(0.95) * 1000:F1}", $"{latency.Percentile(0.99) * 1000:F1}");
        table.Print();
        table = new Table($"events: {Pending:N0} pending of {Subjects:N0} subjects, events per second", "floor: select and delete", "ours: to the handler and out of the store", "ours / floor");
        table.Add($"{floor.Median:N0} ({floor.Range("F0")})", $"{ours.Median:N0} ({ours.Range("F0")})", $"{ours.Median / floor.Median:F2}");
        table.Print();
    }

    private static async Task LatencyAsync(CounterStore store, CountedHandler handler, Samples latency, int round, CancellationToken cancellation)
    {
        for (var i = 0; i < Single; i++)
        {
            await store.CreateAsync("bench", $"{round}-{i}", cancellation);
            var committed = Stopwatch.GetTimestamp();
            var handled = await handler.NextAsync(cancellation);
            latency.Add(Math.Max(0, Stopwatch.GetElapsedTime(committed, handled).TotalSeconds));
        }
    }

    /// <returns>Seconds from the commit of the backlog to the end of it.</returns>
    private static async Task<double> DrainedAsync(CounterStore store, CountedHandler handler, OutboxSignal signal, CancellationToken cancellation)
    {
        var started = Stopwatch.GetTimestamp();
        signal.Committed([BusDestination.BusName]);
        for (var i = 0; i < Pending; i++)
        {
            await handler.NextAsync(cancellation);
        }

        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (!await store.IsEmptyAsync(BusDestination.BusName, cancellation))
        {
            await look.WaitForNextTickAsync(cancellation);
        }

        return Stopwatch.GetElapsedTime(started).TotalSeconds;
    }
}

using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Wave16.Platform.Events;
using Wave16.Platform.TestHost;
using Wave16.ServiceDefaults;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

/// <summary>Lanes over a real store, to destinations that the test answers for.</summary>
public abstract class OutboxTest(PostgresFixture postgres)
{
    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    internal static IMeterFactory Meters { get; } = new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>();

    internal async Task<TestStore> OpenStoreAsync(params string[] destinations) =>
        await TestStore.OpenAsync(await CreateDatabaseAsync(), destinations);

    private protected Task<string> CreateDatabaseAsync() => postgres.CreateDatabaseAsync("counters", TestStore.MigrateAsync, Cancellation);

    internal static RunningLane StartLane(TestStore store, IDestination destination, TimeProvider? time = null, LaneSettings? settings = null, DependencyHealth? health = null)
    {
        var lane = NewLane(store, destination, time, settings, health);
        store.Signal.Connect(destination.Name, lane.Signal);
        return new RunningLane(lane);
    }

    internal static Lane NewLane(TestStore store, IDestination destination, TimeProvider? time = null, LaneSettings? settings = null, DependencyHealth? health = null)
    {
        time ??= TimeProvider.System;
        return new Lane(destination, store.Database, store.Locks, settings ?? new LaneSettings(), health ?? new DependencyHealth(time),
            new OutboxMetrics(Meters, time), time, NullLogger.Instance);
    }

    internal static string Name(EventEnvelope envelope) => $"{envelope.Subject} {envelope.EntityVersion}";
}

internal sealed class RunningLane : IAsyncDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly CancellationTokenSource _abort = new();
    private readonly Task _running;

    public RunningLane(Lane lane)
    {
        Lane = lane;
        _running = Task.Run(() => lane.RunAsync(_stopping.Token, _abort.Token), CancellationToken.None);
    }

    public Lane Lane { get; }

    /// <summary>Drains and returns.</summary>
    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _running;
    }

    public async ValueTask DisposeAsync()
    {
        await _abort.CancelAsync();
        await StopAsync();
        _stopping.Dispose();
        _abort.Dispose();
    }
}

/// <summary>A destination that keeps what it is given, and answers what the test says.</summary>
internal sealed class Recorder(string name, Func<EventEnvelope, CancellationToken, Task<DeliveryOutcome>>? answer = null) : IDestination
{
    private readonly Channel<EventEnvelope> _received = Channel.CreateUnbounded<EventEnvelope>();

    public string Name => name;

    public async Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation)
    {
        var outcome = answer is null ? DeliveryOutcome.Done : await answer(envelope, cancellation);
        await _received.Writer.WriteAsync(envelope, CancellationToken.None);
        return outcome;
    }

    /// <summary>The next delivery that was answered, whatever the answer.</summary>
    public Task<EventEnvelope> NextAsync() => _received.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().Soon();

    public async Task<List<EventEnvelope>> NextAsync(int count)
    {
        var received = new List<EventEnvelope>();
        while (received.Count < count)
        {
            received.Add(await NextAsync());
        }

        return received;
    }
}

/// <summary>Lets a fake clock run, fast, until disposed of.</summary>
internal sealed class FastClock : IAsyncDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _running;

    public FastClock(FakeTimeProvider time, TimeSpan step) => _running = Task.Run(
        async () =>
        {
            while (!_stopping.IsCancellationRequested)
            {
                time.Advance(step);
                await Task.Yield();
            }
        },
        CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _running;
        _stopping.Dispose();
    }
}

internal static class Patience
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    /// <summary>Fails a test that waits for what never comes.</summary>
    public static Task Soon(this Task awaited) => awaited.WaitAsync(Limit, TestContext.Current.CancellationToken);

    public static Task<T> Soon<T>(this Task<T> awaited) => awaited.WaitAsync(Limit, TestContext.Current.CancellationToken);
}

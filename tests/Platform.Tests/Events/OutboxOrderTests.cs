using System.Collections.Concurrent;
using CsCheck;
using Wave16.Platform.Events;
using Wave16.Platform.TestHost;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Events;

public sealed class OutboxOrderTests(PostgresFixture postgres) : OutboxTest(postgres)
{
    private static readonly LaneSettings Fast = new()
    {
        Batch = 8,
        Concurrency = 4,
        FirstWait = TimeSpan.FromMilliseconds(2),
        PollEvery = TimeSpan.FromMilliseconds(10),
        MaxAttempts = int.MaxValue,
    };

    private enum Trouble
    {
        None,
        Retry,
        Throw,
        Down,
        Cut,
    }

    [Fact]
    public async Task Whatever_fails_and_whoever_commits_late_each_subject_arrives_complete_and_in_order()
    {
        var troubles = Gen.Frequency((12, Gen.Const(Trouble.None)), (3, Gen.Const(Trouble.Retry)), (1, Gen.Const(Trouble.Throw)), (1, Gen.Const(Trouble.Down)), (1, Gen.Const(Trouble.Cut)));
        await Gen.Select(troubles.Array[20, 120], Gen.Int[1, 6].Array[2, 6]).SampleAsync(ArriveAsync, iter: 12, threads: 1);
    }

    /// <param name="troubles">What happens to the first, second … delivery of all; nothing to those after the last.</param>
    /// <param name="versions">How many versions each subject gets.</param>
    private async Task ArriveAsync(Trouble[] troubles, int[] versions)
    {
        // Its own, so that what one sample leaves behind fails no other.
        var database = await CreateDatabaseAsync();
        await using var store = await TestStore.OpenAsync(database, "hub");
        await using var other = await TestStore.OpenAsync(database, "hub");
        await using var settled = await RowWatch.StartAsync(other.Database.DataSource, "platform.delivery", "delete");
        var left = new ConcurrentQueue<Trouble>(troubles);
        var arrived = new ConcurrentDictionary<string, long>(StringComparer.Ordinal);
        var wrong = new ConcurrentQueue<string>();
        var hub = new Recorder("hub", async (envelope, _) =>
        {
            switch (left.TryDequeue(out var trouble) ? trouble : Trouble.None)
            {
                case Trouble.Retry:
                    return new DeliveryOutcome.Retry("no");
                case Trouble.Throw:
                    throw new InvalidOperationException();
                case Trouble.Down:
                    return new DeliveryOutcome.Unavailable("down");
                case Trouble.Cut:
                    await ModuleLocksTests.CutLockSessionsAsync(other);
                    break;
                default:
                    break;
            }

            // A repetition of what has arrived is allowed; a gap is not.
            var before = arrived.GetOrAdd(envelope.Subject, 0);
            if (envelope.EntityVersion > before + 1)
            {
                wrong.Enqueue($"{Name(envelope)} after {before}");
            }

            arrived[envelope.Subject] = Math.Max(before, envelope.EntityVersion);
            return DeliveryOutcome.Done;
        });
        await using var one = StartLane(store, hub, settings: Fast);
        await using var two = StartLane(other, hub, settings: Fast);

        await Task.WhenAll(versions.Select((count, subject) => SaveAsync(store, $"s{subject}", count, IsLate(subject))));
        await settled.SeenAsync(Total(versions));
        Assert.Empty(wrong);
        Assert.Equal(Total(versions), arrived.Values.Sum());
    }

    private static int Total(int[] versions) => versions.Select((count, subject) => IsLate(subject) ? 2 * count : count).Sum();

    private static bool IsLate(int subject) => subject % 2 == 0;

    private static async Task SaveAsync(TestStore store, string subject, int versions, bool late)
    {
        for (var version = 1; version <= versions; version++)
        {
            if (!late)
            {
                await store.CountAsync("t", subject, version);
                continue;
            }

            // Takes its ids, lets another subject commit with later ones, and only then commits.
            await using var connection = await store.Database.OpenAsync(Cancellation);
            await using var transaction = await connection.BeginTransactionAsync(Cancellation);
            await store.CountAsync("t", subject, version, on: connection);
            await store.CountAsync("t", $"{subject}-between", version);
            await transaction.CommitAsync(Cancellation);
        }
    }
}

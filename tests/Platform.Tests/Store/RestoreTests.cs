using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Wave16.LocalPostgres;
using Wave16.Platform.Audit;
using Wave16.Platform.Events;
using Wave16.Platform.Modules;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Audit;
using Wave16.Platform.Tests.Events;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Store;

/// <summary>
/// A backup taken with pg_dump while the module writes, restored on another server as docs/operations.md says. The consumer of
/// the module's events lives on, and remembers what it got before the restore.
/// </summary>
[Collection(AuditCluster.Name)]
public sealed class RestoreTests(AuditCluster cluster)
{
    private const string Renamed = "wave16.sample.ticket-renamed.v1";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_restored_store_goes_on_and_its_consumers_tell_old_events_from_new_ones()
    {
        var programs = (await PostgresInstallation.FindAllAsync(folders: null, Cancellation)).FirstOrDefault(installed => File.Exists(installed.Program("pg_dump")));
        Assert.SkipWhen(programs is null, "PostgreSQL runs in a container here; pg_dump and pg_restore are not on this machine.");
        var source = await SampleModule.DatabaseAsync(cluster.Postgres);
        var consumer = new Consumer();

        // The first life. At the time of the backup the consumer is away, so deliveries are pending in it.
        var backup = Path.Combine(Path.GetTempPath(), $"wave16-{Guid.NewGuid():N}.dump");
        SignedHead headBefore, headAfter;
        List<string> pendingInBackup;
        await using (var first = await StartAsync(source, consumer))
        {
            await SaveAsync(first, "T-1", 1, "c-1");
            await SaveAsync(first, "T-1", 2, "c-2");
            await DeliveredAsync(source);
            headBefore = await SealedHeadAsync(source);
            consumer.IsAway = true;
            await SaveAsync(first, "T-1", 3, "c-3");
            await SaveAsync(first, "T-2", 1, "c-4");
            await using (new Writer(first))
                await DumpAsync(programs, source, backup);

            pendingInBackup = await PendingAsync(source);
            consumer.IsAway = false;
            // What the backup does not have: the consumer sees it, and the restored store will know nothing of it.
            await SaveAsync(first, "T-1", 4, "c-5", "lost");
            await SaveAsync(first, "T-2", 2, "c-6", "lost");
            await DeliveredAsync(source);
            headAfter = await SealedHeadAsync(source);
        }

        var firstLife = consumer.Seen.ToHashSet(StringComparer.Ordinal);

        // Another server, whose transaction ids are not those of the first.
        await using var otherServer = new PostgresFixture();
        var restored = await otherServer.CreateDatabaseAsync(Cancellation);
        await RestoreAsync(programs, restored, backup);
        File.Delete(backup);
        var pending = await PendingAsync(restored);
        Assert.Subset(pendingInBackup.ToHashSet(StringComparer.Ordinal), pending.ToHashSet(StringComparer.Ordinal));
        Assert.Contains(pending, id => id.EndsWith("ticket/T-1:3:0", StringComparison.Ordinal));
        Assert.Equal(0, await ModuleHost.Run<SampleModule>([$"--ConnectionStrings:{SampleModule.ModuleName}-db={restored}", "--environment=Development", "--new-epoch"]));

        await using var second = await StartAsync(restored, consumer);
        await DeliveredAsync(restored);

        // Pending deliveries came again, under the ids they had: the consumer recognised every one.
        Assert.Equal(pending.Order(StringComparer.Ordinal), consumer.Duplicates.Order(StringComparer.Ordinal));
        Assert.Equal(firstLife.Order(StringComparer.Ordinal), consumer.Seen.Order(StringComparer.Ordinal));

        // The same versions of the same tickets again, with other content: other ids.
        Assert.Equal("""{"version":3}""", Assert.IsType<SaveOutcome.AlreadyDone>(await SaveAsync(second, "T-1", 4, "c-3")).Answer);
        Assert.IsType<SaveOutcome.Saved>(await SaveAsync(second, "T-1", 4, "c-5", "found"));
        Assert.IsType<SaveOutcome.Saved>(await SaveAsync(second, "T-2", 2, "c-7"));
        await DeliveredAsync(restored);
        Assert.Equal(pending.Count, consumer.Duplicates.Count());
        var fresh = consumer.Seen.Except(firstLife, StringComparer.Ordinal).ToList();
        Assert.Equal(
            [$"{second.Database.Epoch.Token}:acme/ticket/T-1:4:0", $"{second.Database.Epoch.Token}:acme/ticket/T-2:2:0"],
            fresh.Order(StringComparer.Ordinal));

        // The log is intact over both epochs, and extends the heads that are in the backup. Whoever kept a later one sees the gap.
        var head = await SealedHeadAsync(restored);
        await using var auditor = await AuditSample.OpenAsync(restored);
        var report = await auditor.VerifyAsync();
        Assert.Empty(report.Problems);
        Assert.Equal((0, head.Size), (report.Unsealed.Count, report.TreeSize));
        Assert.Equal("{1,2}", await auditor.ScalarAsync<string>("select array_agg(distinct epoch order by epoch)::text from platform.audit_head"));
        Assert.True(OfflineAuditor.Extends(headBefore, head, await ConsistencyAsync(auditor, headBefore, head)));
        Assert.NotEqual(headAfter.Origin, head.Origin);
        Assert.False(headAfter.Size <= head.Size && OfflineAuditor.Extends(headAfter, head, await ConsistencyAsync(auditor, headAfter, head)));
    }

    [Fact]
    public async Task Without_a_store_a_new_epoch_is_refused_with_the_reason()
    {
        var empty = await cluster.Postgres.CreateDatabaseAsync(Cancellation);

        Assert.Equal(1, await ModuleHost.Run<SampleModule>([$"--ConnectionStrings:{SampleModule.ModuleName}-db={empty}", "--environment=Development", "--new-epoch"]));
    }

    private static async Task<SampleHost> StartAsync(string connectionString, Consumer consumer) => await SampleHost.StartAsync(
        connectionString,
        TimeProvider.System,
        module =>
        {
            module.Services.AddSingleton(new LaneSettings { FirstWait = TimeSpan.FromMilliseconds(10) });
            module.Services.AddKeyedSingleton<IDestination>(module.Name, consumer);
            module.Route(Renamed, consumer.Name);
        });

    private static async Task<SaveOutcome> SaveAsync(SampleHost sample, string id, long version, string command, string title = "title")
    {
        var tickets = new TicketStore(sample.Database, sample.Get<SaveTail>());
        var previous = (await tickets.FindAsync("acme", id, Cancellation))?.AuditHash;
        var change = TicketStore.Change(id, version, command) with { At = TimeProvider.System.GetUtcNow(), PreviousAuditHash = previous, Events = [new NewEvent(Renamed, $$"""{"title":"{{title}}"}""")] };
        return await tickets.SaveAsync(title, change, Cancellation);
    }

    private static async Task DeliveredAsync(string connectionString)
    {
        await using var outbox = await TableChanges.ListenAsync(connectionString, "platform.delivery", "select where not exists (select from platform.delivery)");
        await outbox.UntilAsync().Soon();
    }

    private static async Task<List<string>> PendingAsync(string connectionString)
    {
        var pending = new List<string>();
        await using var source = NpgsqlDataSource.Create(connectionString);
        await using var command = source.CreateCommand("select event_id from platform.delivery");
        await using var reader = await command.ExecuteReaderAsync(Cancellation);
        while (await reader.ReadAsync(Cancellation))
            pending.Add(reader.GetString(0));
        return pending;
    }

    /// <summary>The head over all that is committed, its signature checked with the public key alone.</summary>
    private static async Task<SignedHead> SealedHeadAsync(string connectionString)
    {
        await using var sample = await AuditSample.OpenAsync(connectionString);
        await sample.SealAsync();
        using var auditor = AuditWeb.Auditor();
        return auditor.Open((await sample.Reader.FindHeadAsync(size: null, Cancellation))?.Note ?? "") ?? throw new InvalidOperationException("There is no head.");
    }

    private static async Task<byte[][]> ConsistencyAsync(AuditSample sample, SignedHead first, SignedHead second) =>
        await sample.Tree.HashesAsync(MerkleTree.ConsistencyPath(first.Size, second.Size), Cancellation);

    private static Task DumpAsync(PostgresInstallation programs, string connectionString, string file) =>
        RunAsync(programs, "pg_dump", connectionString, "--format=custom", "--no-owner", $"--file={file}");

    private static Task RestoreAsync(PostgresInstallation programs, string connectionString, string file) =>
        RunAsync(programs, "pg_restore", connectionString, "--no-owner", "--exit-on-error", "--single-transaction", file);

    private static async Task RunAsync(PostgresInstallation programs, string program, string connectionString, params string[] arguments)
    {
        var target = new NpgsqlConnectionStringBuilder(connectionString);
        var start = new ProcessStartInfo(
            programs.Program(program),
            [$"--host={target.Host}", string.Create(CultureInfo.InvariantCulture, $"--port={target.Port}"), $"--username={target.Username}", $"--dbname={target.Database}", "--no-password", .. arguments]);
        start.Environment["PGPASSWORD"] = target.Password;
        var outcome = await Command.RunAsync(start, Cancellation);
        Assert.True(outcome.ExitCode == 0, $"{program}: {outcome.Text}");
    }

    /// <summary>Keeps what it gets by the event's id, and says when one comes again.</summary>
    private sealed class Consumer : IDestination
    {
        private readonly ConcurrentDictionary<string, string> _seen = new(StringComparer.Ordinal);
        private readonly ConcurrentQueue<string> _duplicates = new();

        public string Name => "listener";

        public bool IsAway { get; set; }

        public IEnumerable<string> Seen => _seen.Keys;

        public IEnumerable<string> Duplicates => _duplicates;

        public Task<DeliveryOutcome> DeliverAsync(EventEnvelope envelope, CancellationToken cancellation)
        {
            if (IsAway)
            {
                return Task.FromResult<DeliveryOutcome>(new DeliveryOutcome.Unavailable("away"));
            }

            if (!_seen.TryAdd(envelope.Id, envelope.Data))
            {
                // One id is one content, in both lives.
                Assert.Equal(_seen[envelope.Id], envelope.Data);
                _duplicates.Enqueue(envelope.Id);
            }

            return Task.FromResult(DeliveryOutcome.Done);
        }
    }

    /// <summary>Saves until disposed of.</summary>
    private sealed class Writer : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stopping = new();
        private readonly Task _writing;

        public Writer(SampleHost sample) => _writing = Task.Run(
            async () =>
            {
                for (var i = 0; !_stopping.IsCancellationRequested; i++)
                    Assert.IsType<SaveOutcome.Saved>(await SaveAsync(sample, string.Create(CultureInfo.InvariantCulture, $"W-{i}"), 1, "create"));
            },
            CancellationToken.None);

        public async ValueTask DisposeAsync()
        {
            await _stopping.CancelAsync();
            await _writing;
            _stopping.Dispose();
        }
    }
}

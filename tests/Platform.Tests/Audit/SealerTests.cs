using System.Diagnostics.Metrics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using Wave16.Platform.Audit;
using Wave16.Platform.Store;
using Wave16.Platform.Tests.Store;
using Wave16.ServiceDefaults;

namespace Wave16.Platform.Tests.Audit;

[Collection(AuditCluster.Name)]
public sealed class SealerTests(AuditCluster cluster)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_leaf_of_eight_writers_who_commit_late_is_sealed_once_while_two_replicas_seal()
    {
        const int writers = 8, saves = 40;
        await using var sample = await AuditSample.StartAsync(cluster);
        await using var other = await AuditSample.OpenAsync(sample.ConnectionString);
        using var writing = new CancellationTokenSource();

        Task<long> SealWhileWritingAsync(Sealer sealer) => Task.Run(async () =>
        {
            var sum = 0L;
            while (!writing.IsCancellationRequested)
                sum += await sealer.SealPendingAsync(Cancellation);
            return sum;
        });

        // Each writer keeps its first transaction open until its second, begun later, is committed.
        async Task WriteAsync(int writer)
        {
            await using var slow = await sample.Database.OpenAsync(Cancellation);
            await using var quick = await other.Database.OpenAsync(Cancellation);
            for (var save = 0; save < saves; save += 2)
            {
                await using var held = await slow.BeginTransactionAsync(Cancellation);
                await sample.InsertLeafAsync(slow, $"{writer}-{save}");
                await sample.InsertLeafAsync(quick, $"{writer}-{save + 1}");
                await held.CommitAsync(Cancellation);
            }
        }

        var sealing = new[] { SealWhileWritingAsync(sample.Sealer), SealWhileWritingAsync(other.Sealer) };
        await Task.WhenAll(Enumerable.Range(0, writers).Select(WriteAsync));
        await writing.CancelAsync();
        var appended = (await Task.WhenAll(sealing)).Sum() + await sample.SealAsync();

        Assert.Equal(writers * saves, appended);
        Assert.Equal(writers * saves, await sample.ScalarAsync<long>("select count(*) from platform.audit_entry e join platform.audit_leaf l on l.id = e.leaf_id and l.hash = e.hash"));
        var report = await sample.VerifyAsync();
        Assert.Empty(report.Problems);
        Assert.Equal(writers * saves, report.TreeSize);
        Assert.Equal(Convert.ToHexStringLower(NaiveMerkleTree.Root([.. await sample.HashesAsync()])), report.RootHash);
    }

    [Fact]
    public async Task A_leaf_waits_until_every_transaction_that_began_before_it_has_ended()
    {
        await using var sample = await AuditSample.StartAsync(cluster);
        await using var late = await sample.Database.OpenAsync(Cancellation);
        await using var held = await late.BeginTransactionAsync(Cancellation);
        await sample.InsertLeafAsync(late, "first");
        await sample.SaveAsync("second", versions: 1);

        Assert.Equal(0, await sample.Sealer.SealPendingAsync(Cancellation));
        await held.CommitAsync(Cancellation);

        Assert.Equal(2, await sample.SealAsync());
        Assert.Equal("ticket/first", await sample.ScalarAsync<string>("select entity from platform.audit_entry join platform.audit_leaf on id = leaf_id where seq = 0"));
    }

    [Fact]
    public async Task A_sealer_whose_connection_is_cut_in_the_middle_of_an_append_leaves_a_log_that_goes_on()
    {
        await using var sample = await AuditSample.StartAsync(cluster);
        await sample.SaveAsync("T-1", versions: 5);
        await using var observer = new NpgsqlConnection(sample.ConnectionString);
        await observer.OpenAsync(Cancellation);
        await using var blocking = await observer.BeginTransactionAsync(Cancellation);
        await using (var block = new NpgsqlCommand("select from platform.audit_sealer for update", observer))
            await block.ExecuteNonQueryAsync(Cancellation);

        var sealing = sample.SealAsync();
        // Asks the server until the append waits for the row; each question is a round trip.
        await using (var cut = new NpgsqlCommand("select count(pg_terminate_backend(pid)) from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))", observer))
        {
            while (await cut.ExecuteScalarAsync(Cancellation) is 0L)
                Assert.False(sealing.IsCompleted);
        }

        await Assert.ThrowsAnyAsync<NpgsqlException>(() => sealing);
        await blocking.RollbackAsync(Cancellation);
        await sample.SaveAsync("T-2", versions: 2);

        Assert.Equal(7, await sample.SealAsync());
        Assert.Empty((await sample.VerifyAsync()).Problems);
    }

    [Fact]
    public async Task A_restarted_replica_goes_on_where_the_log_stands()
    {
        await using var before = await AuditSample.StartAsync(cluster);
        await before.InsertLeavesAsync(1, 300);
        await before.SealAsync();
        await using var after = await AuditSample.OpenAsync(before.ConnectionString);
        await after.InsertLeavesAsync(301, 2400);

        Assert.Equal(2100, await after.SealAsync());

        var report = await after.VerifyAsync();
        Assert.Equal(2400, report.TreeSize);
        Assert.Equal(Convert.ToHexStringLower(NaiveMerkleTree.Root([.. await after.HashesAsync()])), report.RootHash);
        Assert.Empty(report.Problems);
    }

    [Fact]
    public async Task A_started_replica_seals_what_is_saved_without_being_told_to()
    {
        var connectionString = await SampleModule.DatabaseAsync(cluster.Postgres);
        await using var entries = await TableChanges.ListenAsync(connectionString, "platform.audit_entry", "select from platform.audit_entry");
        await using var sample = await SampleHost.StartAsync(connectionString, TimeProvider.System, _ => { });

        await new TicketStore(sample.Database, sample.Get<SaveTail>()).SaveAsync("broken", TicketStore.Change("T-1", 1), Cancellation);

        await entries.UntilAsync();
    }

    [Fact]
    public async Task A_module_that_does_nothing_writes_nothing()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 3, 1, 12, 0, 0, TimeSpan.Zero));
        var connectionString = await SampleModule.DatabaseAsync(cluster.Postgres);
        await using var before = await AuditSample.OpenAsync(connectionString, clock);
        await before.SaveAsync("T-1", versions: 2);
        await before.SealAsync();
        await using var running = await SampleHost.StartAsync(connectionString, clock, _ => { });
        var state = await before.ScalarAsync<string>("select xmin::text from platform.audit_sealer");
        for (var second = 0; second < 60; second++)
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            Assert.Equal(0, await running.Get<Sealer>().SealPendingAsync(Cancellation));
        }

        Assert.Equal(1, await before.ScalarAsync<long>("select count(*) from platform.audit_head"));
        // Not even the same again.
        Assert.Equal(state, await before.ScalarAsync<string>("select xmin::text from platform.audit_sealer"));
    }

    [Fact]
    public async Task A_head_is_a_signed_note_that_its_public_key_verifies()
    {
        await using var sample = await AuditSample.StartAsync(cluster, new FakeTimeProvider(new DateTimeOffset(2026, 3, 1, 12, 0, 0, 123, TimeSpan.Zero)));
        await sample.SaveAsync("T-1", versions: 3);
        await sample.SealAsync();

        var note = (await sample.Reader.FindHeadAsync(size: null, Cancellation))?.Note ?? "";

        // C2SP signed-note: the text ends with the newline before the blank line; then one signature per line.
        var split = note.IndexOf("\n\n", StringComparison.Ordinal) + 1;
        var text = note[..split];
        var root = Convert.ToBase64String(NaiveMerkleTree.Root([.. await sample.HashesAsync()]));
        Assert.Equal($"wave16/sample/{sample.Database.Epoch.Token}\n3\n{root}\nTimestamp: 1772366400123\n", text);
        var line = note[(split + 1)..].TrimEnd('\n').Split(' ');
        Assert.Equal(["—", $"wave16/sample/{sample.Database.Epoch.Token}"], line[..2]);
        var signature = Convert.FromBase64String(line[2]);
        using var key = ECDsa.Create();
        key.ImportFromPem(SampleHost.AuditKey);
        Assert.Equal(SHA256.HashData(key.ExportSubjectPublicKeyInfo())[..4], signature[..4]);
        Assert.True(key.VerifyData(Encoding.UTF8.GetBytes(text), signature.AsSpan(4), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
    }

    [Fact]
    public async Task A_restored_store_with_a_new_epoch_seals_what_was_left_over_and_then_goes_on()
    {
        var connectionString = await StoppedAsync(await RestoredAsync());
        await using (var operation = SampleHost.Build(connectionString, TimeProvider.System, _ => { }))
            Assert.Equal(2, (await StoreEpochs.BeginNewAsync(operation.Database, Cancellation)).Number);
        await using var after = await AuditSample.OpenAsync(connectionString);
        await after.SaveAsync("T-3", versions: 2);

        Assert.Equal(4, await after.SealAsync());

        var report = await after.VerifyAsync();
        Assert.Empty(report.Problems);
        Assert.Equal(5, report.TreeSize);
        Assert.Equal(
            ["1", "1", "1", "2", "2"],
            (await after.ScalarAsync<string>("select string_agg(epoch::text, ' ' order by seq) from platform.audit_entry join platform.audit_leaf on id = leaf_id")).Split(' '));
        Assert.StartsWith($"wave16/sample/{after.Database.Epoch.Token}\n", report.Checkpoint, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_restored_store_without_a_new_epoch_is_reported()
    {
        await using var restored = await RestoredAsync();

        await restored.Sealer.ReportAsync(Cancellation);

        var report = Assert.Single(restored.Host.Health.Reports, report => report.Name == "sample-audit-log");
        Assert.Equal(DependencyState.Degraded, report.State);
        Assert.Contains("--new-epoch", report.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_new_epoch_is_refused_while_the_module_runs()
    {
        await using var running = await AuditSample.StartAsync(cluster);
        await using var connected = await running.Database.OpenAsync(Cancellation);

        var refused = await Assert.ThrowsAsync<InvalidOperationException>(() => StoreEpochs.BeginNewAsync(running.Database, Cancellation));

        Assert.Contains("stop every replica", refused.Message, StringComparison.Ordinal);
        Assert.Equal(1, await running.ScalarAsync<int>("select max(epoch) from platform.epoch"));
    }

    [Fact]
    public async Task An_open_writing_transaction_that_holds_the_log_up_for_a_minute_is_reported_and_measured()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 3, 1, 12, 0, 30, TimeSpan.Zero));
        await using var sample = await AuditSample.StartAsync(cluster, clock);
        await using var late = await sample.Database.OpenAsync(Cancellation);
        await using var held = await late.BeginTransactionAsync(Cancellation);
        await sample.InsertLeafAsync(late, "held");
        await sample.SaveAsync("T-1", versions: 1);
        await sample.Sealer.SealPendingAsync(Cancellation);

        await sample.Sealer.ReportAsync(Cancellation);
        Assert.Equal(DependencyState.Healthy, State());
        clock.Advance(TimeSpan.FromSeconds(31));
        await sample.Sealer.ReportAsync(Cancellation);
        Assert.Equal(DependencyState.Degraded, State());
        Assert.Equal(61, Age());

        await held.CommitAsync(Cancellation);
        await sample.SealAsync();
        await sample.Sealer.ReportAsync(Cancellation);
        Assert.Equal(DependencyState.Healthy, State());
        Assert.Equal(0, Age());

        DependencyState? State() => sample.Host.Health.Reports.FirstOrDefault(report => report.Name == "sample-audit-log")?.State;

        double Age()
        {
            var ages = new List<double>();
            using var listener = new MeterListener();
            // Other tests' hosts have an instrument of that name too; only this one's clock is in the past.
            listener.SetMeasurementEventCallback<double>((_, age, _, _) => ages.Add(age));
            listener.InstrumentPublished = (instrument, each) =>
            {
                if (instrument.Name == "audit.unsealed.age" && ReferenceEquals(instrument.Meter.Scope, sample.Host.MeterFactory))
                    each.EnableMeasurementEvents(instrument);
            };
            listener.Start();
            listener.RecordObservableInstruments();
            return Assert.Single(ages);
        }
    }

    [Fact]
    public async Task Entries_that_no_sealer_wrote_stop_the_sealer_and_not_the_writers()
    {
        await using var sample = await AuditSample.StartAsync(cluster);
        await sample.ExecuteAsync("insert into platform.audit_entry (seq, leaf_id, hash) values (0, 4711, sha256('forged'))");
        await sample.SaveAsync("T-1", versions: 1);

        var refused = await Assert.ThrowsAsync<PostgresException>(sample.SealAsync);

        Assert.Equal(PostgresErrorCodes.UniqueViolation, refused.SqlState);
        await sample.SaveAsync("T-1", versions: 1, from: 2);
    }

    [Fact]
    public async Task A_sealer_whose_own_row_is_gone_reports_it_and_takes_nothing_else_down()
    {
        var connectionString = await SampleModule.DatabaseAsync(cluster.Postgres);
        await using var sample = await AuditSample.OpenAsync(connectionString);
        await sample.ExecuteAsync("delete from platform.audit_sealer");
        await using var sealing = await SampleHost.StartAsync(connectionString, TimeProvider.System, _ => { });
        await sample.SaveAsync("T-1", versions: 1);

        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!sealing.Health.Reports.Any(report => report is { Name: "sample-audit-log", State: DependencyState.Degraded }))
            await look.WaitForNextTickAsync(Cancellation);

        await sample.SaveAsync("T-1", versions: 1, from: 2);
    }

    /// <summary>A store as a restore leaves it: one leaf sealed and two not, with transaction ids this cluster has not reached.</summary>
    private async Task<AuditSample> RestoredAsync()
    {
        var sample = await AuditSample.StartAsync(cluster);
        await sample.SaveAsync("T-1", versions: 1);
        await sample.SealAsync();
        await sample.SaveAsync("T-2", versions: 2);
        var past = 4_000_000_000UL.ToString(CultureInfo.InvariantCulture);
        await sample.ExecuteAsync($"update platform.audit_leaf set xid = (xid::text::numeric + {past})::text::xid8");
        await sample.ExecuteAsync($"update platform.audit_sealer set xid = (xid::text::numeric + {past})::text::xid8");
        return sample;
    }

    /// <summary>Stops the replica and returns when the server has ended its sessions.</summary>
    private static async Task<string> StoppedAsync(AuditSample sample)
    {
        await sample.DisposeAsync();
        await using var observer = new NpgsqlConnection(sample.ConnectionString);
        await observer.OpenAsync(Cancellation);
        await using var sessions = new NpgsqlCommand("select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name like 'sample%'", observer);
        while (await sessions.ExecuteScalarAsync(Cancellation) is not 0L)
            Cancellation.ThrowIfCancellationRequested();
        return sample.ConnectionString;
    }
}

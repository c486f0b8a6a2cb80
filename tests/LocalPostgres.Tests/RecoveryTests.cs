using System.Globalization;
using Npgsql;

namespace Wave16.LocalPostgres.Tests;

public sealed class RecoveryTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string Root => _folder.At("postgres");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData]
    [InlineData("--shell")]
    public async Task When_its_process_is_killed_no_server_is_left_and_the_next_run_has_the_data(params string[] flags)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows tells no child that its parent has gone");
        await using var host = await HostProcess.StartAsync(Root, flags, Cancelled);
        await host.ConnectionString.ExecuteAsync("create table item as select 42 as id", Cancelled);
        using var postmaster = await Servers.PostmasterAsync(host.ConnectionString);

        await host.KillAsync();
        await postmaster.WaitForExitAsync(Cancelled);

        await using var server = await Servers.StartAsync(Root);
        Assert.EndsWith(Root, server.Description, StringComparison.Ordinal);
        Assert.Equal(42, await server.ConnectionString.ScalarAsync("select id from item", Cancelled));
    }

    [Fact]
    public async Task A_run_that_starts_right_after_the_last_was_killed_waits_for_its_server_to_end()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows tells no child that its parent has gone");
        await using var host = await HostProcess.StartAsync(Root, [], Cancelled);
        await host.ConnectionString.ExecuteAsync("create table item as select generate_series(1, 100000) as id", Cancelled);
        await host.KillAsync();

        await using var server = await Servers.StartAsync(Root);
        Assert.Equal(100_000L, await server.ConnectionString.ScalarAsync("select count(*) from item", Cancelled));
    }

    [Theory]
    [InlineData]
    [InlineData("--shell")]
    public async Task Ctrl_C_in_the_terminal_leaves_the_server_to_its_process(params string[] flags)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no process groups of this kind");
        await using var host = await HostProcess.StartAsync(Root, flags, Cancelled);
        using var postmaster = await Servers.PostmasterAsync(host.ConnectionString);

        Assert.StartsWith("interrupted, and the server answers as ", await host.InterruptAsync(Cancelled), StringComparison.Ordinal);
        Assert.False(postmaster.HasExited);
    }

    [Fact]
    public async Task What_killed_runs_left_in_the_temporary_folder_is_removed_by_the_next()
    {
        await using var host = await HostProcess.StartAsync(Root, ["--throw-away"], Cancelled);
        var data = Assert.IsType<string>(await host.ConnectionString.ScalarAsync("show data_directory", Cancelled));
        await host.KillAsync();
        Assert.True(Directory.Exists(data));

        await using var server = await Servers.StartAsync("", options => options with { Durable = false });
        Assert.False(Directory.Exists(Path.GetDirectoryName(data)));
    }

    [Fact]
    public async Task A_throw_away_cluster_is_removed_on_disposal()
    {
        string data;
        await using (var server = await Servers.StartAsync("", options => options with { Durable = false }))
            data = Assert.IsType<string>(await server.ConnectionString.ScalarAsync("show data_directory", Cancelled));
        Assert.False(Directory.Exists(Path.GetDirectoryName(data)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_killed_server_is_started_again_by_itself_with_what_was_committed(bool shell)
    {
        var again = new AwaitedMessage("PostgreSQL started again");
        await using var server = await Servers.StartAsync(Root, options => options with { WatchThroughShell = shell }, again);
        await server.ConnectionString.ExecuteAsync("create table item as select 42 as id", Cancelled);
        using var postmaster = await Servers.PostmasterAsync(server.ConnectionString);

        postmaster.Kill();
        await again.Seen;

        Assert.Equal(42, await server.ConnectionString.ScalarAsync("select id from item", Cancelled));
    }

    [Fact]
    public async Task A_server_that_cannot_be_started_again_is_tried_until_it_can()
    {
        var failed = new AwaitedMessage("cannot be started again");
        await using var server = await Servers.StartAsync(Root, options => options with { StartAgainAfter = TimeSpan.FromMilliseconds(50) }, failed);
        await server.ConnectionString.ExecuteAsync("create table item as select 42 as id", Cancelled);
        var (control, away) = (Path.Combine(Root, "data", "global", "pg_control"), _folder.At("pg_control"));
        File.Move(control, away);
        KillOnEveryStart.Kill(Root);
        await failed.Seen;

        File.Move(away, control);

        Assert.Equal(42, await OnceItAnswersAsync(server));
    }

    [Fact]
    public async Task A_server_that_cannot_be_started_again_is_no_longer_tried_once_it_is_stopped()
    {
        var failed = new AwaitedMessage("cannot be started again");
        var server = await Servers.StartAsync(Root, options => options with { StartAgainAfter = TimeSpan.FromHours(1) }, failed);
        var connectionString = server.ConnectionString;
        File.Delete(Path.Combine(Root, "data", "global", "pg_control"));
        KillOnEveryStart.Kill(Root);
        await failed.Seen;

        await server.DisposeAsync().AsTask().WaitAsync(Cancelled);

        await Assert.ThrowsAsync<NpgsqlException>(() => connectionString.ScalarAsync("select 1", Cancelled));
    }

    private static async Task<object?> OnceItAnswersAsync(PostgresServer server)
    {
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (true)
        {
            try
            {
                return await server.ConnectionString.ScalarAsync("select id from item", Cancelled);
            }
            catch (NpgsqlException)
            {
                await look.WaitForNextTickAsync(Cancelled);
            }
        }
    }

    [Fact]
    public async Task A_server_that_keeps_ending_is_left_stopped_until_it_is_started_again()
    {
        var left = new AwaitedMessage("is left stopped");
        await using var server = await Servers.StartAsync(Root, logger: new KillOnEveryStart(Root, left));
        KillOnEveryStart.Kill(Root);
        await left.Seen;

        await server.StartAgainAsync(Cancelled);
        Assert.Equal(1, await server.ConnectionString.ScalarAsync("select 1", Cancelled));
    }

    [Fact]
    public async Task An_orphaned_server_is_stopped_before_a_new_one_starts()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "uses the parent-death signal's command line");
        await using (await Servers.StartAsync(Root))
        {
            // Made.
        }
        using var log = new PostgresLog(_folder.At("orphan.log"));
        var account = await ServerAccount.CurrentAsync(Cancelled);
        var installation = (await PostgresInstallation.FindAllAsync(null, Cancelled))[0];
        var port = LoopbackPort.Choose(durable: false);
        var orphan = await Postmaster.LaunchAsync(
            account.StartServer(installation.Program("postgres"), ["-D", Path.Combine(Root, "data"), "-c", $"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="], "INT"),
            log);
        await orphan.Ready.WaitAsync(Cancelled);

        await using var server = await Servers.StartAsync(Root);
        Assert.True(orphan.Exited.IsCompleted);
        Assert.Equal(1, await server.ConnectionString.ScalarAsync("select 1", Cancelled));
    }

    [Fact]
    public async Task Where_a_process_has_no_directory_to_ask_for_a_server_is_known_by_when_it_started()
    {
        await using var server = await Servers.StartAsync(Root);
        using var postmaster = await Servers.PostmasterAsync(server.ConnectionString);
        var recorded = await File.ReadAllTextAsync(Path.Combine(Root, "data", "postmaster.pid"), Cancelled);
        var lines = recorded.Split('\n');
        lines[2] = (long.Parse(lines[2], CultureInfo.InvariantCulture) - 3600).ToString(CultureInfo.InvariantCulture);

        Assert.True(StaleServer.IsServer(postmaster.Id, recorded));
        Assert.False(StaleServer.IsServer(postmaster.Id, string.Join('\n', lines)));
        Assert.False(StaleServer.IsServer(Environment.ProcessId, recorded));
        Assert.False(StaleServer.IsServer(postmaster.Id, "cut off"));
    }

    [Theory]
    [InlineData(nameof(PostmasterSignal.Interrupt))]
    [InlineData(nameof(PostmasterSignal.Quit))]
    [InlineData(nameof(PostmasterSignal.Kill))]
    public async Task Where_there_are_no_signals_a_server_is_stopped_through_pg_ctl(string signal)
    {
        var ended = new AwaitedMessage("ended by itself");
        await using var server = await Servers.StartAsync(Root, logger: ended);
        using var postmaster = await Servers.PostmasterAsync(server.ConnectionString);
        var account = await ServerAccount.CurrentAsync(Cancelled);
        var installation = (await PostgresInstallation.FindAllAsync(null, Cancelled))[0];

        await PgCtl.StopAsync(installation, account, Path.Combine(Root, "data"), postmaster.Id, Enum.Parse<PostmasterSignal>(signal), Cancelled);

        await ended.Seen;
    }

    [Fact]
    public async Task A_lock_file_that_names_another_process_by_now_is_stale()
    {
        await using var other = await Servers.StartAsync("", options => options with { Durable = false });
        using var otherPostmaster = await Servers.PostmasterAsync(other.ConnectionString);
        await using (await Servers.StartAsync(Root))
        {
            // Made.
        }
        await File.WriteAllTextAsync(Path.Combine(Root, "data", "postmaster.pid"), $"{otherPostmaster.Id}\n{Root}/data\n", Cancelled);

        await using var server = await Servers.StartAsync(Root);
        Assert.Equal(1, await server.ConnectionString.ScalarAsync("select 1", Cancelled));
        Assert.False(otherPostmaster.HasExited);
    }

    [Fact]
    public async Task An_interrupted_first_start_is_begun_anew()
    {
        var left = Directory.CreateDirectory(Path.Combine(Root, "unfinished-by-a-killed-run", "base"));
        await File.WriteAllTextAsync(Path.Combine(Root, "password"), "of the interrupted start", Cancelled);
        await using var server = await Servers.StartAsync(Root);
        Assert.Equal(1, await server.ConnectionString.ScalarAsync("select 1", Cancelled));
        Assert.False(left.Exists);
    }
}

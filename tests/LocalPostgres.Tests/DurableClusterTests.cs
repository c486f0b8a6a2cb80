using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Wave16.LocalPostgres.Tests;

public sealed class DurableClusterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string Root => _folder.At("postgres");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task What_was_committed_is_there_after_a_restart_under_the_same_connection_string()
    {
        string first;
        await using (var server = await Servers.StartAsync(Root))
        {
            first = server.ConnectionString;
            await first.ExecuteAsync("create table item as select 42 as id", Cancelled);
        }

        await using var again = await Servers.StartAsync(Root);
        Assert.Equal(first, again.ConnectionString);
        Assert.Equal(42, await again.ConnectionString.ScalarAsync("select id from item", Cancelled));
    }

    [Fact]
    public async Task Commits_reach_the_disk_by_default()
    {
        await using var server = await Servers.StartAsync(Root, options => options with { Settings = null });
        Assert.Equal("on on on", await server.ConnectionString.ScalarAsync("select concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'))", Cancelled));
    }

    [Fact]
    public async Task A_stopped_server_refuses_connections_and_starts_again_on_the_same_port_with_its_data()
    {
        await using var server = await Servers.StartAsync(Root);
        var connectionString = server.ConnectionString;
        await connectionString.ExecuteAsync("create table item as select 42 as id", Cancelled);

        await server.StopAsync(Cancelled);
        await Assert.ThrowsAsync<NpgsqlException>(() => connectionString.ExecuteAsync("select 1", Cancelled));

        await server.StartAgainAsync(Cancelled);
        Assert.Equal(connectionString, server.ConnectionString);
        Assert.Equal(42, await connectionString.ScalarAsync("select id from item", Cancelled));
    }

    [Fact]
    public async Task A_second_instance_gets_its_own_directory_and_says_so()
    {
        await using var first = await Servers.StartAsync(Root);
        await first.ConnectionString.ExecuteAsync("create table item(id int)", Cancelled);
        var message = new AwaitedMessage("is in use by another run");
        await using var second = await Servers.StartAsync(Root, logger: message);

        Assert.Contains($"{Root}-2", await message.Seen, StringComparison.Ordinal);
        Assert.Contains($"{Root}-2 ({Root} is in use by another run)", second.Description, StringComparison.Ordinal);
        Assert.Equal(false, await second.ConnectionString.ScalarAsync("select to_regclass('item') is not null", Cancelled));
        Assert.Equal(true, await first.ConnectionString.ScalarAsync("select to_regclass('item') is not null", Cancelled));
    }

    [Fact]
    public async Task A_port_taken_since_the_last_run_is_exchanged_for_another()
    {
        int port;
        await using (var server = await Servers.StartAsync(Root))
            port = new NpgsqlConnectionStringBuilder(server.ConnectionString).Port;
        using var other = new TcpListener(IPAddress.Loopback, port);
        other.Start();

        await using var again = await Servers.StartAsync(Root);
        Assert.NotEqual(port, new NpgsqlConnectionStringBuilder(again.ConnectionString).Port);
        Assert.Equal(1, await again.ConnectionString.ScalarAsync("select 1", Cancelled));
    }

    [Fact]
    public async Task A_cancelled_start_leaves_the_directory_free()
    {
        using var cancelled = new CancellationTokenSource();
        var starting = PostgresServer.StartAsync(new LocalPostgresOptions { DataDirectory = Root }, NullLogger.Instance, cancelled.Token);
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starting);

        await using var server = await Servers.StartAsync(Root);
        Assert.EndsWith(Root, server.Description, StringComparison.Ordinal);
    }

    [Fact]
    [SupportedOSPlatform("linux")]
    public async Task Under_a_folder_closed_to_the_servers_account_it_moves_elsewhere_and_says_so()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess && OperatingSystem.IsLinux(), "only root's server runs under another account");
        var closed = _folder.At("closed");
        Directory.CreateDirectory(closed, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var wanted = Path.Combine(closed, "postgres");
        string description;
        await using (var server = await Servers.StartAsync(wanted, options => options with { FallbackFolder = _folder.At("elsewhere") }))
        {
            description = server.Description;
            Assert.Contains(_folder.At("elsewhere"), description, StringComparison.Ordinal);
            Assert.Contains($"({wanted} cannot be used by the server's account)", description, StringComparison.Ordinal);
            await server.ConnectionString.ExecuteAsync("create table item as select 42 as id", Cancelled);
        }

        await using var again = await Servers.StartAsync(wanted, options => options with { FallbackFolder = _folder.At("elsewhere") });
        Assert.Equal(description, again.Description);
        Assert.Equal(42, await again.ConnectionString.ScalarAsync("select id from item", Cancelled));
    }

    [Fact]
    public async Task Under_a_folder_where_nobody_can_write_it_moves_elsewhere_and_says_so()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "uses /sys");
        await using var server = await Servers.StartAsync("/sys/wave16/postgres", options => options with { FallbackFolder = _folder.At("elsewhere") });
        Assert.Contains(_folder.At("elsewhere"), server.Description, StringComparison.Ordinal);
        Assert.Contains("(/sys/wave16/postgres cannot be used by the server's account)", server.Description, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Data_of_another_major_version_is_refused_naming_both()
    {
        Directory.CreateDirectory(Path.Combine(Root, "data"));
        await File.WriteAllTextAsync(Path.Combine(Root, "data", "PG_VERSION"), "9\n", Cancelled);
        var refused = await Assert.ThrowsAsync<PostgresUnavailableException>(() => Servers.StartAsync(Root));
        var installed = Assert.IsType<PostgresInstallation>((await PostgresInstallation.FindAllAsync(null, Cancelled))[0]);
        Assert.Contains("made by PostgreSQL 9;", refused.Message, StringComparison.Ordinal);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"PostgreSQL {installed.Version}"), refused.Message, StringComparison.Ordinal);
        Assert.Contains("pg_upgrade", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_its_password_file_a_cluster_is_refused_by_name()
    {
        await using (await Servers.StartAsync(Root))
        {
            // Made.
        }
        File.Delete(Path.Combine(Root, "password"));
        var refused = await Assert.ThrowsAsync<PostgresUnavailableException>(() => Servers.StartAsync(Root));
        Assert.Contains(Path.Combine(Root, "password"), refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_server_that_does_not_start_is_reported_with_its_own_words(bool shell)
    {
        var refused = await Assert.ThrowsAsync<PostgresUnavailableException>(() =>
            Servers.StartAsync(Root, options => options with { Settings = new Dictionary<string, string> { ["shared_buffers"] = "many" }, WatchThroughShell = shell }));
        Assert.Contains("invalid value for parameter \"shared_buffers\": \"many\"", refused.Message, StringComparison.Ordinal);
        Assert.Contains(Path.Combine(Root, "server.log"), refused.Message, StringComparison.Ordinal);
    }
}

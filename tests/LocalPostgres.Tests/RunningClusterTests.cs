using System.Runtime.Versioning;
using Npgsql;

namespace Wave16.LocalPostgres.Tests;

/// <summary>What any running private cluster looks like.</summary>
public sealed class RunningClusterTests(RunningCluster cluster) : IClassFixture<RunningCluster>
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task It_listens_on_loopback_only_and_asks_for_the_password()
    {
        Assert.Equal("127.0.0.1 ", await cluster.Server.ConnectionString.ScalarAsync("select current_setting('listen_addresses') || ' ' || current_setting('unix_socket_directories')", Cancelled));

        var guess = new NpgsqlConnectionStringBuilder(cluster.Server.ConnectionString) { Password = "postgres" }.ConnectionString;
        var refused = await Assert.ThrowsAsync<PostgresException>(() => guess.ExecuteAsync("select 1", Cancelled));
        Assert.Equal(PostgresErrorCodes.InvalidPassword, refused.SqlState);
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public async Task Password_and_log_are_readable_by_their_owner_only()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no file modes");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(cluster.Root, "password")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(cluster.Root, "server.log")));
    }

    [Fact]
    public async Task The_server_never_runs_as_root()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        using var postmaster = await Servers.PostmasterAsync(cluster.Server.ConnectionString);
        var user = File.ReadLines($"/proc/{postmaster.Id}/status").Single(line => line.StartsWith("Uid:", StringComparison.Ordinal));
        Assert.DoesNotContain("0", user.Split('\t')[1..]);
    }

    [Fact]
    public async Task Settings_reach_the_server_except_those_we_rely_on()
    {
        Assert.Equal("7MB 127.0.0.1", await cluster.Server.ConnectionString.ScalarAsync("select current_setting('work_mem') || ' ' || current_setting('listen_addresses')", Cancelled));
    }

    [Fact]
    public async Task Text_sorts_by_code_point_and_folds_case_beyond_ascii()
    {
        Assert.Equal("B,a,éÄ", await cluster.Server.ConnectionString.ScalarAsync("select string_agg(t, ',' order by t) from (values ('a'), ('éÄ'), ('B')) v(t)", Cancelled));
        Assert.Equal("éä", await cluster.Server.ConnectionString.ScalarAsync("select lower('ÉÄ')", Cancelled));
    }
}

public sealed class RunningCluster : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();
    private PostgresServer? _server;

    public string Root => _folder.At("postgres");

    public PostgresServer Server => _server ?? throw new InvalidOperationException("The cluster has not been started.");

    public async ValueTask InitializeAsync() => _server = await Servers.StartAsync(Root, options => options with
    {
        Settings = new Dictionary<string, string> { ["fsync"] = "off", ["work_mem"] = "7MB", ["listen_addresses"] = "*", ["log_min_messages"] = "panic" },
    });

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        _folder.Dispose();
    }
}

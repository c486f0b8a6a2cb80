using Wave16.Testing;

namespace Wave16.LocalPostgres.Tests;

/// <summary>Which server is chosen, and what is said when there is none.</summary>
public sealed class ChoiceTests(PostgresFixture postgres) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_given_server_is_used_as_it_is_and_is_not_ours_to_stop()
    {
        var given = (await postgres.ServerAsync()).ConnectionString + ";Application Name=given";
        await using var server = await Servers.StartAsync(_folder.At("unused"), options => options with { ConnectionString = given });

        Assert.Equal(PostgresKind.Given, server.Kind);
        Assert.Equal(given, server.ConnectionString);
        Assert.DoesNotContain("assword", server.Description, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("unused")));
        await Assert.ThrowsAsync<InvalidOperationException>(() => server.StopAsync(Cancelled));
        await server.EnsureDatabaseAsync("given", Cancelled);
        Assert.Equal("given given", await server.ConnectionStringFor("given").ScalarAsync("select current_database() || ' ' || current_setting('application_name')", Cancelled));
    }

    [Fact]
    public async Task Without_any_PostgreSQL_the_error_names_the_three_ways()
    {
        var none = await Assert.ThrowsAsync<PostgresUnavailableException>(() => StartWithBinariesInAsync([]));
        Assert.Contains("ConnectionStrings__postgres", none.Message, StringComparison.Ordinal);
        Assert.Contains("apt install postgresql", none.Message, StringComparison.Ordinal);
        Assert.Contains("brew install postgresql@17", none.Message, StringComparison.Ordinal);
        Assert.Contains("winget install PostgreSQL.PostgreSQL.17", none.Message, StringComparison.Ordinal);
        Assert.Contains("Start Docker or Podman", none.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Binaries_that_are_too_old_are_named_in_the_error()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the stand-in binaries are shell scripts");
        _folder.Script("postgres", "echo 'postgres (PostgreSQL) 13.9'");
        _folder.Script("initdb", "exit 1");
        var none = await Assert.ThrowsAsync<PostgresUnavailableException>(() => StartWithBinariesInAsync([_folder.Path]));
        Assert.Contains($"Too old: PostgreSQL 13.9 in {_folder.Path}.", none.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_newest_binaries_win_whatever_the_order_and_broken_ones_are_passed_over()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the stand-in binaries are shell scripts");
        string[] folders = ["a", "b", "c", "d"];
        foreach (var (folder, says) in folders.Zip(["postgres (PostgreSQL) 16.4 (Debian 16.4-1)", "postgres (PostgreSQL) 18beta2", "postgres (PostgreSQL) 16.10", "Segmentation fault"]))
        {
            Directory.CreateDirectory(_folder.At(folder));
            _folder.Script($"{folder}/postgres", $"echo '{says}'");
            _folder.Script($"{folder}/initdb", "");
        }
        var found = await PostgresInstallation.FindAllAsync([.. folders.Select(_folder.At)], Cancelled);
        Assert.Equal(["18beta2", "16.10", "16.4"], found.Select(i => i.Version));
    }

    [Fact]
    public async Task A_full_disk_is_named_as_such()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the stand-in binaries are shell scripts");
        _folder.Script("postgres", "echo 'postgres (PostgreSQL) 17.2'");
        // What initdb of PostgreSQL 15 to 17 writes on a full file system.
        _folder.Script("initdb", "echo 'initdb: error: could not write to file \"pg_wal/xlogtemp.7\": No space left on device' >&2; exit 1");
        var full = await Assert.ThrowsAsync<PostgresUnavailableException>(() => StartWithBinariesInAsync([_folder.Path]));
        Assert.Contains($"the disk that holds {_folder.At("cluster")} is full", full.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_data_directory_that_cannot_be_made_is_named()
    {
        await File.WriteAllTextAsync(_folder.At("cluster"), "a file", Cancelled);
        var refused = await Assert.ThrowsAsync<PostgresUnavailableException>(() => Servers.StartAsync(_folder.At("cluster")));
        Assert.Contains(_folder.At("cluster"), refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_durable_cluster_needs_a_directory() =>
        await Assert.ThrowsAsync<ArgumentException>(() => Servers.StartAsync(""));

    [Fact]
    public void A_log_file_that_cannot_be_written_does_not_stop_the_reading()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "/dev/full is Linux's");
        using var log = new PostgresLog("/dev/full");
        log.Add("first");
        log.Add("second");
        Assert.Contains("first", log.ToString(), StringComparison.Ordinal);
        Assert.Contains("second", log.ToString(), StringComparison.Ordinal);
    }

    private async Task StartWithBinariesInAsync(IReadOnlyList<string> folders)
    {
        await using var server = await Servers.StartAsync(_folder.At("cluster"), options => options with { BinaryFolders = folders, AllowContainer = false });
    }
}

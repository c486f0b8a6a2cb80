using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.Testing;

namespace Wave16.Platform.Tests.Store;

public sealed class MigratorTests(PostgresFixture postgres)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_database_that_does_not_exist_is_created_even_if_two_processes_find_it_missing()
    {
        var missing = new NpgsqlConnectionStringBuilder(await postgres.CreateDatabaseAsync(Cancellation)) { Database = $"missing-\"{Guid.NewGuid():N}" }.ConnectionString;
        await using var one = Build(missing);
        await using var two = Build(missing);

        await Task.WhenAll(one.Get<Migrator>().MigrateAsync(Cancellation), two.Get<Migrator>().MigrateAsync(Cancellation));

        Assert.Equal(one.Database.Epoch, two.Database.Epoch);
    }

    [Fact]
    public async Task Five_processes_that_migrate_at_once_run_each_script_once()
    {
        var database = await postgres.CreateDatabaseAsync(Cancellation);
        var replicas = Enumerable.Range(0, 5).Select(_ => Build(database)).ToList();

        await Task.WhenAll(replicas.Select(replica => replica.Get<Migrator>().MigrateAsync(Cancellation)));

        var scripts = await QueryAsync(database, "select scriptname from platform.schema_version_platform union all select scriptname from platform.schema_version_sample");
        Assert.Equal(scripts.Distinct(StringComparer.Ordinal), scripts);
        Assert.Contains("sample/0001_ticket.sql", scripts);
        Assert.Single(replicas.Select(replica => replica.Database.Epoch).Distinct());
        foreach (var replica in replicas)
        {
            await replica.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_script_that_fails_leaves_nothing_of_itself_and_all_of_those_before_it()
    {
        var database = await postgres.CreateDatabaseAsync(Cancellation);
        await using var broken = Build(database, "broken");

        var failure = await Assert.ThrowsAsync<MigrationFailedException>(() => broken.Get<Migrator>().MigrateAsync(Cancellation));

        Assert.Equal("broken/0002_half.sql", failure.Script);
        Assert.Contains("broken: migration broken/0002_half.sql failed", failure.Message, StringComparison.Ordinal);
        Assert.Contains("broken.made_by_hand", failure.Message, StringComparison.Ordinal);
        Assert.Equal(["kept"], await QueryAsync(database, "select table_name from information_schema.tables where table_schema = 'broken'"));
        Assert.Equal(["broken/0001_fine.sql"], await QueryAsync(database, "select scriptname from platform.schema_version_broken"));
        Assert.False(broken.Database.IsReady);
    }

    [Fact]
    public async Task A_script_that_failed_is_run_again_when_what_it_missed_is_there()
    {
        var database = await postgres.CreateDatabaseAsync(Cancellation);
        await using var broken = Build(database, "broken");
        await Assert.ThrowsAsync<MigrationFailedException>(() => broken.Get<Migrator>().MigrateAsync(Cancellation));
        await QueryAsync(database, "create table broken.made_by_hand (id int); select 'made'");

        await broken.Get<Migrator>().MigrateAsync(Cancellation);

        Assert.True(broken.Database.IsReady);
    }

    [Fact]
    public async Task A_migration_whose_lock_is_lost_stops_before_the_next_script_and_is_finished_by_the_next_attempt()
    {
        var database = await postgres.CreateDatabaseAsync(Cancellation);
        await using var cut = Build(database, "cut");

        await Assert.ThrowsAnyAsync<NpgsqlException>(() => cut.Get<Migrator>().MigrateAsync(Cancellation));
        Assert.Equal(["cut/0001_cut.sql"], await QueryAsync(database, "select scriptname from platform.schema_version_cut"));
        await cut.Get<Migrator>().MigrateAsync(Cancellation);

        Assert.Equal(["cut/0001_cut.sql", "cut/0002_after.sql"], await QueryAsync(database, "select scriptname from platform.schema_version_cut order by scriptname"));
    }

    [Fact]
    public async Task A_migration_that_is_cancelled_stops_before_the_next_script()
    {
        var database = await postgres.CreateDatabaseAsync(Cancellation);
        using var cancel = new CancellationTokenSource();
        using var applied = new LogSignal("applied broken/0001_fine.sql", cancel.Cancel);
        await using var broken = SampleHost.Build(database, TimeProvider.System, module => module.Services.AddLogging(log => log.AddProvider(applied)), "broken");

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => broken.Get<Migrator>().MigrateAsync(cancel.Token));

        Assert.Equal(["broken/0001_fine.sql"], await QueryAsync(database, "select scriptname from platform.schema_version_broken"));
    }

    [Fact]
    public async Task A_schema_of_a_newer_release_is_left_as_it_is()
    {
        var database = await SampleModule.DatabaseAsync(postgres);
        await QueryAsync(database, "insert into platform.schema_version_sample (scriptname, applied) values ('sample/0099_newer.sql', now()) returning scriptname");
        await using var older = Build(database);

        await older.Get<Migrator>().MigrateAsync(Cancellation);

        Assert.True(older.Database.IsReady);
        Assert.Equal(["sample/0001_ticket.sql", "sample/0099_newer.sql"], await QueryAsync(database, "select scriptname from platform.schema_version_sample order by scriptname"));
    }

    [Fact]
    public async Task Migrating_leaves_no_connection_open_but_the_pools_own()
    {
        var database = await postgres.CreateDatabaseAsync(Cancellation);
        await using var sample = Build(database);

        await sample.Get<Migrator>().MigrateAsync(Cancellation);

        Assert.Equal(["sample"], await QueryAsync(database, "select distinct application_name from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"));
    }

    private static SampleHost Build(string connectionString, string name = SampleModule.ModuleName) =>
        SampleHost.Build(connectionString, TimeProvider.System, _ => { }, name);

    private static async Task<List<string>> QueryAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(database) { Pooling = false }.ConnectionString);
        return [.. await connection.QueryAsync<string>(sql)];
    }
}

using Npgsql;
using Wave16.Testing;

[assembly: AssemblyFixture(typeof(PostgresFixture))]

namespace Wave16.LocalPostgres.Tests;

public sealed class PostgresFixtureTests(PostgresFixture postgres)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_template_is_migrated_once_however_many_ask_for_a_database_at_the_same_time()
    {
        var migrations = 0;
        var databases = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => postgres.CreateDatabaseAsync(
            "shared",
            async template =>
            {
                Interlocked.Increment(ref migrations);
                await template.ExecuteAsync("create table item(id int)", Cancelled);
            },
            Cancelled)));

        Assert.Equal(1, migrations);
        Assert.Equal(8, databases.Distinct().Count());
        foreach (var database in databases)
            Assert.Equal(0L, await database.ScalarAsync("select count(*) from item", Cancelled));
    }

    [Fact]
    public async Task A_template_still_held_by_the_migration_is_copied_all_the_same()
    {
        await using var held = new NpgsqlConnection();
        var database = await postgres.CreateDatabaseAsync(
            "held",
            async template =>
            {
                held.ConnectionString = template;
                await held.OpenAsync(Cancelled);
                await template.ExecuteAsync("create table item(id int)", Cancelled);
            },
            Cancelled);

        Assert.Equal(0L, await database.ScalarAsync("select count(*) from item", Cancelled));
    }

    [Fact]
    public async Task What_one_test_class_writes_no_other_sees()
    {
        var first = await postgres.CreateDatabaseAsync(Cancelled);
        var second = await postgres.CreateDatabaseAsync(Cancelled);
        await first.ExecuteAsync("create table item(id int)", Cancelled);

        Assert.Equal(false, await second.ScalarAsync("select to_regclass('item') is not null", Cancelled));
    }
}

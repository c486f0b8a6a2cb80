using Npgsql;
using Wave16.Testing;

namespace Wave16.LocalPostgres.Tests;

public sealed class DatabaseTests(PostgresFixture postgres)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_database_ensured_by_many_at_the_same_time_is_created_once()
    {
        var server = await postgres.ServerAsync();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => server.EnsureDatabaseAsync("wanted", Cancelled)));
        Assert.Equal("wanted", await server.ConnectionStringFor("wanted").ScalarAsync("select current_database()", Cancelled));
    }

    [Fact]
    public async Task A_database_that_exists_keeps_its_content()
    {
        var server = await postgres.ServerAsync();
        await server.EnsureDatabaseAsync("kept", Cancelled);
        await server.ConnectionStringFor("kept").ExecuteAsync("create table item(id int)", Cancelled);
        await server.EnsureDatabaseAsync("kept", Cancelled);
        Assert.Equal(0L, await server.ConnectionStringFor("kept").ScalarAsync("select count(*) from item", Cancelled));
    }

    [Fact]
    public async Task Any_name_is_a_name_and_not_SQL()
    {
        var server = await postgres.ServerAsync();
        const string name = "a\"; drop database postgres; --";
        await server.EnsureDatabaseAsync(name, Cancelled);
        Assert.Equal(name, await server.ConnectionStringFor(name).ScalarAsync("select current_database()", Cancelled));
    }

    [Fact]
    public async Task A_template_that_does_not_exist_is_an_error()
    {
        var server = await postgres.ServerAsync();
        var missing = await Assert.ThrowsAsync<PostgresException>(() => server.CreateFromTemplateAsync("copy", "no_such_template", Cancelled));
        Assert.Equal(PostgresErrorCodes.InvalidCatalogName, missing.SqlState);
    }
}

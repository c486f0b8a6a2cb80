using Npgsql;

namespace Wave16.Platform.Tests;

/// <summary>Takes one database away and gives it back, on a server that others go on using.</summary>
internal static class DatabaseOutage
{
    public static Task BeginAsync(string connectionString) =>
        OnServerAsync(connectionString, database => $"alter database {database} allow_connections false; select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'");

    public static Task EndAsync(string connectionString) => OnServerAsync(connectionString, database => $"alter database {database} allow_connections true");

    private static async Task OnServerAsync(string connectionString, Func<string?, string> sql)
    {
        var target = new NpgsqlConnectionStringBuilder(connectionString);
        var database = target.Database;
        target.Database = "postgres";
        target.Pooling = false;
        await using var connection = new NpgsqlConnection(target.ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand(sql(database), connection);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }
}

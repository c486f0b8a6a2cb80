using Npgsql;

namespace Wave16.LocalPostgres.Tests;

/// <summary>One statement on a connection of its own.</summary>
internal static class Sql
{
    extension(string connectionString)
    {
        public async Task<object?> ScalarAsync(string sql, CancellationToken cancellationToken)
        {
            await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
            await connection.OpenAsync(cancellationToken);
            await using var command = new NpgsqlCommand(sql, connection);
            return await command.ExecuteScalarAsync(cancellationToken);
        }

        public async Task ExecuteAsync(string sql, CancellationToken cancellationToken) => await connectionString.ScalarAsync(sql, cancellationToken);
    }
}

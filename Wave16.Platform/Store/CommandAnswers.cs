using Npgsql;

namespace Wave16.Platform.Store;

/// <summary>Finds the stored answer of a command that has been done before.</summary>
public static class CommandAnswers
{
    private const string Sql = """
        select answer from platform.command
        where tenant = $1 and entity = $2 and command_id = $3
        order by at limit 1
        """;

    /// <returns>The JSON answer, or null when the command has not been done.</returns>
    public static async Task<string?> FindAsync(ModuleDatabase database, string tenant, string entityKey, string commandId, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand(Sql);
        return await ReadAsync(command, tenant, entityKey, commandId, cancellation);
    }

    /// <summary>For whoever has a connection: one that waits for a second may wait for others who do the same.</summary>
    internal static async Task<string?> FindOnAsync(NpgsqlConnection connection, string tenant, string entityKey, string commandId, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(Sql, connection);
        return await ReadAsync(command, tenant, entityKey, commandId, cancellation);
    }

    private static async Task<string?> ReadAsync(NpgsqlCommand command, string tenant, string entityKey, string commandId, CancellationToken cancellation)
    {
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = entityKey });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = commandId });
        return (string?)await command.ExecuteScalarAsync(cancellation);
    }
}

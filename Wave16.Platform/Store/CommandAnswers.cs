using Npgsql;

namespace Wave16.Platform.Store;

/// <summary>Finds the stored answer of a command that has been done before.</summary>
public static class CommandAnswers
{
    /// <returns>The JSON answer, or null when the command has not been done.</returns>
    public static async Task<string?> FindAsync(ModuleDatabase database, string tenant, string entityKey, string commandId, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select answer from platform.command
            where tenant = $1 and entity = $2 and command_id = $3
            order by at limit 1
            """);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = entityKey });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = commandId });
        return (string?)await command.ExecuteScalarAsync(cancellation);
    }
}

using Npgsql;

namespace Wave16.VulnCenter;

/// <summary>Statements with positional parameters in a transaction that may be long.</summary>
internal static class Statements
{
    private const int TimeoutSeconds = 600;

    public static NpgsqlCommand Statement(this NpgsqlConnection connection, string sql, params object?[] values)
    {
        var command = new NpgsqlCommand(sql, connection) { CommandTimeout = TimeoutSeconds };
        foreach (var value in values)
        {
            command.Parameters.Add(value is null ? OptionalParameter.Text(null) : new NpgsqlParameter { Value = value });
        }

        return command;
    }

    public static async Task<int> ExecuteAsync(this NpgsqlConnection connection, string sql, CancellationToken cancellation, params object?[] values)
    {
        await using var command = connection.Statement(sql, values);
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    public static async Task<T?> ScalarAsync<T>(this NpgsqlConnection connection, string sql, CancellationToken cancellation, params object?[] values)
    {
        await using var command = connection.Statement(sql, values);
        return await command.ExecuteScalarAsync(cancellation) is T value ? value : default;
    }

    public static async Task<List<T>> ListAsync<T>(
        this NpgsqlConnection connection, string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellation, params object?[] values)
    {
        List<T> rows = [];
        await using var command = connection.Statement(sql, values);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            rows.Add(read(reader));
        }

        return rows;
    }

    /// <summary>Rows of a query in batches, of one snapshot; between two batches the connection is free for other statements.</summary>
    /// <param name="cursor">A name of the query's own: "fetch" is prepared by its text, with the columns of the first query it was for.</param>
    public static async IAsyncEnumerable<IReadOnlyList<T>> BatchesAsync<T>(
        this NpgsqlConnection connection, string cursor, string sql, Func<NpgsqlDataReader, T> read,
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation, params object?[] values)
    {
        await connection.ExecuteAsync($"declare {cursor} no scroll cursor for {sql}", cancellation, values);
        while (await connection.ListAsync($"fetch 5000 from {cursor}", read, cancellation) is { Count: > 0 } rows)
        {
            yield return rows;
        }

        await connection.ExecuteAsync($"close {cursor}", cancellation);
    }
}

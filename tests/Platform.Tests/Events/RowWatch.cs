using Npgsql;

namespace Wave16.Platform.Tests.Events;

/// <summary>Tells a test when rows of a table have been written, by a trigger and a notification at their commit.</summary>
internal sealed class RowWatch : IAsyncDisposable
{
    private readonly NpgsqlConnection _connection;
    private int _seen;

    private RowWatch(NpgsqlConnection connection)
    {
        _connection = connection;
        _connection.Notification += (_, _) => _seen++;
    }

    /// <param name="operation"><c>insert</c> or <c>update</c>.</param>
    public static async Task<RowWatch> StartAsync(NpgsqlDataSource database, string table, string operation)
    {
        var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand($"""
            create function written() returns trigger language plpgsql as $body$ begin perform pg_notify('written', gen_random_uuid()::text); return null; end $body$;
            create trigger written after {operation} on {table} for each row execute function written();
            listen written
            """, connection);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        return new RowWatch(connection);
    }

    /// <summary>Returns when so many rows have been written since the start.</summary>
    public async Task SeenAsync(int rows)
    {
        while (_seen < rows)
        {
            await _connection.WaitAsync(TestContext.Current.CancellationToken).Soon();
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}

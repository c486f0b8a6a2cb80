using Npgsql;

namespace Wave16.Platform.Tests;

/// <summary>Hears of every committed change of one table of the test's own database, so that a test can wait for what it is about.</summary>
internal sealed class TableChanges : IAsyncDisposable
{
    private readonly NpgsqlConnection _connection;
    private readonly string _condition;

    private TableChanges(NpgsqlConnection connection, string condition)
    {
        _connection = connection;
        _condition = condition;
    }

    public static async Task<TableChanges> ListenAsync(string connectionString, string table, string condition)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var listen = new NpgsqlCommand($"""
            create or replace function public.tell() returns trigger language plpgsql as $body$ begin perform pg_notify('changed', ''); return null; end $body$;
            create or replace trigger tell after insert or update or delete on {table} for each statement execute function public.tell();
            listen changed;
            """, connection);
        await listen.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        return new TableChanges(connection, $"select exists ({condition})");
    }

    /// <summary>Returns once the condition given to <see cref="ListenAsync"/> finds a row.</summary>
    public async Task UntilAsync()
    {
        while (true)
        {
            await using (var look = new NpgsqlCommand(_condition, _connection))
            {
                if (await look.ExecuteScalarAsync(TestContext.Current.CancellationToken) is true)
                {
                    return;
                }
            }

            await _connection.WaitAsync(TestContext.Current.CancellationToken);
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}

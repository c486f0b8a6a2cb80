using Npgsql;

namespace Wave16.Platform.Store;

/// <summary>
/// The lives of a store. After a restore the store begins a new one, so that its event ids never collide with those it
/// published before, and transaction ids of another cluster are never compared with its own.
/// </summary>
public static class StoreEpochs
{
    /// <summary>Begins a new epoch. The module must not be running: what runs goes on writing under the epoch it started with.</summary>
    /// <exception cref="InvalidOperationException">A process of the module is connected; nothing was changed.</exception>
    /// <exception cref="NpgsqlException">The store cannot be reached or was never migrated; nothing was changed.</exception>
    public static async Task<StoreEpoch> BeginNewAsync(ModuleDatabase database, CancellationToken cancellation)
    {
        await using var connection = await database.OpenLockConnectionAsync(cancellation);
        await using var begin = new NpgsqlCommand("""
            with running as (
              select count(*) as sessions from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid() and application_name in ($1, $1 || ' lock')
            ), begun as (
              insert into platform.epoch (started_at) select now() from running where sessions = 0
              returning epoch, token
            )
            select running.sessions, begun.epoch, begun.token from running left join begun on true
            """, connection);
        begin.Parameters.Add(new NpgsqlParameter<string> { TypedValue = database.Module });
        await using var reader = await begin.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return reader.IsDBNull(1)
            ? throw new InvalidOperationException($"{database.Module} is running ({reader.GetInt64(0)} sessions on its database): stop every replica before the store begins a new epoch.")
            : new StoreEpoch(reader.GetInt32(1), reader.GetString(2));
    }
}

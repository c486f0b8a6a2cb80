using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>
/// Removes signed heads that later ones stand for: of those older than a day it keeps the last of each hour. The log itself
/// stays whole, and with it every proof, also from the size of a head that is gone: whoever holds that head's note can still
/// have it compared.
/// </summary>
internal sealed class HeadThinning(ModuleDatabase database, TimeProvider clock)
{
    private static readonly TimeSpan KeptWhole = TimeSpan.FromDays(1);

    /// <returns>How many heads were removed, at most <paramref name="limit"/>.</returns>
    public async Task<int> RemoveSupersededAsync(int limit, CancellationToken cancellation)
    {
        // Only hours that are over, so that the head which is kept is that hour's last. The last one of a key and of a store
        // epoch is never superseded; so neither is the latest of all.
        var before = clock.GetUtcNow() - KeptWhole;
        before -= TimeSpan.FromTicks(before.UtcTicks % TimeSpan.TicksPerHour);
        await using var command = database.DataSource.CreateCommand("""
            delete from platform.audit_head where tree_size in (
              select tree_size from (
                select tree_size, lead(tree_size) over (partition by epoch, key_id, date_trunc('hour', signed_at, 'UTC') order by tree_size) as later
                from platform.audit_head where signed_at < $1) hour
              where later is not null order by tree_size limit $2)
            """);
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = before.ToUniversalTime() });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        return await command.ExecuteNonQueryAsync(cancellation);
    }
}

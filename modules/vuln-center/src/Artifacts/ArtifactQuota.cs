using Npgsql;

namespace Wave16.VulnCenter.Artifacts;

/// <summary>How much content of artifacts a tenant has here. Counted last in a transaction, since the row stays locked to its end.</summary>
internal static class ArtifactQuota
{
    public static async Task<long> UsedAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("select bytes from vuln_center.artifact_usage where tenant = $1", connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        return await command.ExecuteScalarAsync(cancellation) is long bytes ? bytes : 0;
    }

    /// <param name="bytes">That came, or went when negative.</param>
    /// <returns>What it is then.</returns>
    public static async Task<long> AddAsync(NpgsqlConnection connection, string tenant, long bytes, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("""
            insert into vuln_center.artifact_usage as u (tenant, bytes) values ($1, $2)
            on conflict (tenant) do update set bytes = u.bytes + excluded.bytes
            returning bytes
            """, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = bytes });
        return (long)(await command.ExecuteScalarAsync(cancellation) ?? 0L);
    }
}

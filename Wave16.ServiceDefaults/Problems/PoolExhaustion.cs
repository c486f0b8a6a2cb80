using Npgsql;

namespace Wave16.ServiceDefaults;

public static class PoolExhaustion
{
    /// <summary>Every pooled connection was in use for as long as one may wait for it: that is our load, and says nothing about the server.</summary>
    /// <remarks>Npgsql tells it from a connection that timed out only by its message; An_exhausted_pool_is_told_from_a_database_that_is_away fails when that changes.</remarks>
    public static bool IsPoolExhausted(this NpgsqlException failure) =>
        failure.InnerException is TimeoutException && failure.Message.StartsWith("The connection pool has been exhausted", StringComparison.Ordinal);
}

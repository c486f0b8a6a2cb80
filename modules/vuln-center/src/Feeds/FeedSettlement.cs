using Npgsql;

namespace Wave16.VulnCenter.Feeds;

/// <summary>The one place where what depends on EPSS and KEV beyond their own columns is settled again: gate, SLA, SSVC.</summary>
internal static class FeedSettlement
{
    /// <param name="connection">In the transaction that wrote the findings' EPSS and KEV; their rows are locked.</param>
    /// <param name="findings">Whose EPSS or KEV changed.</param>
    public static Task ResettleAsync(NpgsqlConnection connection, string tenant, IReadOnlyList<Guid> findings, CancellationToken cancellation) => Task.CompletedTask;
}

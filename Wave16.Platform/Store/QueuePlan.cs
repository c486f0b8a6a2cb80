using Npgsql;

namespace Wave16.Platform.Store;

/// <summary>
/// A queue is small most of the time, when it is analyzed and when a plan is kept, and large when it matters. So what fetches from one is planned
/// anew each time, and by its indexes whatever it seems to hold; a plan for an empty queue reads all of it for each row of it.
/// </summary>
internal static class QueuePlan
{
    private const string Sql = """
        select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
               set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
        """;

    /// <summary>The first command of a batch, which is one transaction: in force until its end. Its result is a row of no interest.</summary>
    public static NpgsqlBatchCommand ByIndexes() => new(Sql);
}

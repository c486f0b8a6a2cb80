using System.Text.Json;
using Npgsql;

namespace Wave16.VulnCenter.Imports;

/// <summary>
/// What the server's planner believes of a tenant. It analyzes a table by itself when a tenth of it has changed; until then a tenant that came
/// since has next to no rows for it, and whatever joins a report with them is planned as if there were none: it goes through all of them
/// for each result. So whoever has brought many looks at what it believes.
/// </summary>
internal static class PlannerStatistics
{
    /// <summary>Fewer are gone through soon.</summary>
    private const int Many = 2_000;

    private const int FarOff = 10;

    private static readonly string[] Tables = ["finding", "finding_key", "finding_seen", "observation", "decision", "transition"];

    /// <summary>Analyzes what the planner takes the tenant for new in and it is not. Outside of a transaction: a table is analyzed by one at a time.</summary>
    public static async Task RefreshAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation)
    {
        foreach (var table in Tables)
        {
            if (await ExpectedAsync(connection, table, tenant, cancellation) * FarOff < Many
                && await connection.ScalarAsync<long>($"select count(*) from (select from vuln_center.{table} where tenant = $1 limit {Many}) found", cancellation, tenant) == Many)
            {
                await connection.ExecuteAsync($"analyze vuln_center.{table}", cancellation);
            }
        }
    }

    private static async Task<double> ExpectedAsync(NpgsqlConnection connection, string table, string tenant, CancellationToken cancellation)
    {
        using var plan = JsonDocument.Parse(
            await connection.ScalarAsync<string>($"explain (format json) select from vuln_center.{table} where tenant = $1", cancellation, tenant) ?? throw new InvalidOperationException("No plan."));
        return plan.RootElement[0].GetProperty("Plan").GetProperty("Plan Rows").GetDouble();
    }
}

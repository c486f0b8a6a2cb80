using System.Data;
using System.Runtime.CompilerServices;
using Npgsql;
using Wave16.Platform.Store;

namespace Wave16.VulnCenter.Reporting;

/// <summary>What a report is about, and how far its content has come.</summary>
/// <param name="Service">One service; null for all.</param>
/// <param name="Changes">How often the findings of it were changed: it grows with every change, and with nothing else.</param>
/// <param name="AsOf">When they last were, by the database's clock; null when there are none.</param>
internal sealed record ReportState(string Tenant, string? Service, long Changes, DateTimeOffset? AsOf);

/// <summary>One state of the findings, for as long as it takes to write a report from it.</summary>
internal sealed class ReportSnapshot(NpgsqlConnection connection, NpgsqlTransaction transaction, ReportState state) : IAsyncDisposable
{
    public ReportState State => state;

    /// <summary>Rows of a query as they come; none of them is kept. $1 is the tenant.</summary>
    /// <param name="select">With <c>{where}</c> where the condition goes that <c>f</c> belongs to the report.</param>
    public async IAsyncEnumerable<NpgsqlDataReader> RowsAsync(string select, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var where = state.Service is null ? "f.tenant = $1" : "f.tenant = $1 and f.service = $2";
        await using var command = new NpgsqlCommand(select.Replace("{where}", where, StringComparison.Ordinal), connection) { CommandTimeout = 600 };
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = state.Tenant });
        if (state.Service is { } service)
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = service });
        }

        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            yield return reader;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await transaction.DisposeAsync();
        await connection.DisposeAsync();
    }
}

internal sealed class ReportSnapshots([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database)
{
    // Primary key of finding_revision: a row for each session that has changed the service.
    private const string Revision = """
        select coalesce(sum(revision), 0)::bigint, max(changed_at) from vuln_center.finding_revision
        where tenant = $1 and ($2::text is null or service = $2)
        """;

    /// <summary>Which life of the store the numbers belong to: after a restore they begin again from less.</summary>
    public string Epoch => database.Epoch.Token;

    public async Task<ReportState> StateAsync(string tenant, string? service, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return await StateAsync(connection, tenant, service, cancellation);
    }

    public async Task<ReportSnapshot> OpenAsync(string tenant, string? service, CancellationToken cancellation)
    {
        var connection = await database.OpenAsync(cancellation);
        NpgsqlTransaction? transaction = null;
        try
        {
            // All statements of it see what the first one sees.
            transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellation);
            return new ReportSnapshot(connection, transaction, await StateAsync(connection, tenant, service, cancellation));
        }
        catch
        {
            await (transaction?.DisposeAsync() ?? ValueTask.CompletedTask);
            await connection.DisposeAsync();
            throw;
        }
    }

    private static async Task<ReportState> StateAsync(NpgsqlConnection connection, string tenant, string? service, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(Revision, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(OptionalParameter.Text(service));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return new ReportState(tenant, service, reader.GetInt64(0), reader.IsDBNull(1) ? null : reader.GetFieldValue<DateTimeOffset>(1));
    }
}

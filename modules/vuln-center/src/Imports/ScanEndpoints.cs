using System.ComponentModel;
using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.ServiceDefaults;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Findings;

namespace Wave16.VulnCenter.Imports;

/// <summary>Where a page of scans ended: latest first.</summary>
internal sealed record ScanPosition(DateTimeOffset FinishedAt, Guid Id);

internal static class ScanEndpoints
{
    private static readonly HashSet<string> Known = QueryParameters.Of("service", "source", "limit", "cursor");

    public static void MapScans(this IEndpointRouteBuilder app)
    {
        var scans = app.MapGroup("/findings/scans").WithTags("Imports");
        scans.MapGet("", ListAsync).RequireScope(VulnCenterScopes.Read).WithName("ListScans").WithSummary("Imported scans, latest first");
        scans.MapGet("/{id:guid}", GetAsync).RequireScope(VulnCenterScopes.Read).WithName("GetScan").WithSummary("What a scan looked at and what it changed");
    }

    private static async Task<Results<Ok<Page<Scan>>, RefusalResult>> ListAsync(
        [FromQuery, Description("Exact name of the service.")] string? service, [FromQuery, Description("Exact name of the source.")] string? source,
        PageRequest page, Caller caller, ScanQueries scans, HttpContext http, CancellationToken cancellation)
    {
        if (QueryParameters.Check(http.Request.Query, Known, "this list").ToList() is { Count: > 0 } errors)
        {
            return new Refusal(ProblemCodes.Invalid.Code, "The filter is not valid.", errors).ToResult();
        }

        if (page.ReadCursor<ScanPosition>(out var after) is { } badCursor)
        {
            return badCursor.ToResult();
        }

        var rows = await scans.ListAsync(caller.Tenant, service, source, after, page.Limit + 1, cancellation);
        return TypedResults.Ok(page.ToPage(rows, last => new ScanPosition(last.FinishedAt, last.Id)));
    }

    private static async Task<Results<Ok<Scan>, RefusalResult>> GetAsync(Guid id, Caller caller, ScanQueries scans, CancellationToken cancellation) =>
        await scans.FindAsync(caller.Tenant, id, cancellation) is { } scan
            ? TypedResults.Ok(scan)
            : new Refusal(ProblemCodes.NotFound.Code, $"There is no scan {id}.").ToResult();
}

/// <summary>Reads of scans, straight from SQL.</summary>
internal sealed class ScanQueries([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database)
{
    private const string Columns = """
        id, import, service, source, tool, tool_version, format, scope, scope_filter, failure, closes_nothing, category, images, kinds, repository, commit_id,
        report_digest, started_at, finished_at, new, matched, reopened, rejected, findings_changed, fixed, hosts, not_judged
        """;

    /// <summary>Uses scan_by_time, or scan_by_source within a service and source.</summary>
    public async Task<IReadOnlyList<Scan>> ListAsync(string tenant, string? service, string? source, ScanPosition? after, int limit, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            select {Columns} from vuln_center.scan
            where tenant = $1 and ($2::text is null or service = $2) and ($3::text is null or source = $3)
              and ($4::timestamptz is null or (finished_at, id) < ($4, $5))
            order by finished_at desc, id desc limit $6
            """);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        p.Add(OptionalParameter.Text(service));
        p.Add(OptionalParameter.Text(source));
        p.Add(OptionalParameter.Of(after?.FinishedAt.ToUniversalTime(), NpgsqlDbType.TimestampTz));
        p.Add(OptionalParameter.Of(after?.Id, NpgsqlDbType.Uuid));
        p.Add(new NpgsqlParameter<int> { TypedValue = limit });
        List<Scan> scans = [];
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            scans.Add(Read(reader));
        }

        return scans;
    }

    public async Task<Scan?> FindAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"select {Columns} from vuln_center.scan where tenant = $1 and id = $2");
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? Read(reader) : null;
    }

    private static Scan Read(NpgsqlDataReader row) => new(
        row.GetGuid(0), row.GetGuid(1), row.GetString(2), row.GetString(3), row.GetString(4), row.Text(5), row.GetString(6), (ScanScope)row.GetInt16(7), row.Text(8),
        row.Text(9), row.Text(10), row.Text(11), row.GetFieldValue<string[]>(12),
        row.IsDBNull(13) ? null : [.. row.GetFieldValue<short[]>(13).Select(kind => (FindingKind)kind)], row.Text(14), row.Text(15),
        Convert.ToHexStringLower(row.GetFieldValue<byte[]>(16)), row.GetFieldValue<DateTimeOffset>(17), row.GetFieldValue<DateTimeOffset>(18),
        new ScanCounts(row.GetInt32(19), row.GetInt32(20), row.GetInt32(21), row.GetInt32(22), row.GetInt32(23), row.GetInt32(24)),
        row.GetFieldValue<string[]>(25), row.Text(26) is { } left ? JsonSerializer.Deserialize(left, VulnCenterJson.Default.NotJudged) : null);
}

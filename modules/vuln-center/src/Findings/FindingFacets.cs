using System.Globalization;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Findings;

/// <summary>Counts of a list's matches by severity, status, kind, source and service.</summary>
internal sealed class FindingFacets([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database)
{
    /// <summary>Values of one field, most first.</summary>
    private const int Values = 50;

    /// <summary>Matches that are looked at one by one, where <c>finding_count</c> does not say.</summary>
    private const int CountedAtMost = 50_000;

    /// <returns>The counts; and how many matches they are of, when there are more.</returns>
    public async Task<(IReadOnlyDictionary<string, IReadOnlyDictionary<string, long>> Facets, int? Of)> CountAsync(FindingFilter filter, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await FindingPages.AddAliasesAsync(connection, filter, cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var counted = filter.Counted is { } counts
            ? $"select c.severity, c.status, c.kind, c.source, c.service, c.n from vuln_center.finding_count c where {counts}"
            : $"select f.severity, f.status, f.kind, f.source, f.service, 1 as n from vuln_center.finding f where {filter.Where}{filter.Gathered} limit {CountedAtMost + 1}";
        if (filter.Counted is null)
        {
            await FindingPages.GatherAsync(connection, cancellation);
        }

        await using var command = new NpgsqlCommand($"""
            with found as materialized ({counted}), counted as (select * from found {(filter.Counted is null ? $"limit {CountedAtMost}" : "")})
            select field, value, n, (select count(*) from found) from (
              select c.*, row_number() over (partition by field order by n desc, value) as place from (
                select case when grouping(severity) = 0 then 'severity' when grouping(status) = 0 then 'status' when grouping(kind) = 0 then 'kind'
                            when grouping(source) = 0 then 'source' else 'service' end as field,
                       coalesce(severity::text, status::text, kind::text, source, service) as value, sum(n)::bigint as n
                from counted group by grouping sets ((severity), (status), (kind), (source), (service)) having sum(n) > 0) c) ranked
            where place <= {Values} order by field, place
            """, connection);
        filter.AddTo(command);
        Dictionary<string, IReadOnlyDictionary<string, long>> facets = new(StringComparer.Ordinal);
        var found = 0L;
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var (field, value) = (reader.GetString(0), reader.GetString(1));
            if (!facets.TryGetValue(field, out var values))
            {
                facets[field] = values = new Dictionary<string, long>(StringComparer.Ordinal);
            }

            ((Dictionary<string, long>)values)[Name(field, value)] = reader.GetInt64(2);
            found = reader.GetInt64(3);
        }

        return (facets, filter.Counted is null && found > CountedAtMost ? CountedAtMost : null);
    }

    private static string Name(string field, string value) => field switch
    {
        "severity" => FindingFilter.KebabCase((Severity)short.Parse(value, CultureInfo.InvariantCulture)),
        "status" => FindingFilter.KebabCase((FindingStatus)short.Parse(value, CultureInfo.InvariantCulture)),
        "kind" => FindingFilter.KebabCase((FindingKind)short.Parse(value, CultureInfo.InvariantCulture)),
        _ => value,
    };
}

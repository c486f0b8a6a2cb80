using System.Globalization;
using System.Text.Json;
using Npgsql;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Dedup;

/// <summary>Which decisions to list; null: any.</summary>
internal sealed record DecisionFilter(
    Guid? Finding, Guid? Scan, IReadOnlyList<Outcome> Outcomes, string? Source, string? Service, DateTimeOffset? From, DateTimeOffset? To);

/// <summary>Where a page of decisions ended.</summary>
internal sealed record DecisionPosition(DateTimeOffset At, long Seq);

internal sealed record OverMergePosition(DateTimeOffset Since, Guid Finding, string Key);

/// <summary>Reads of decisions and over-merges, straight from SQL, a page at a time.</summary>
internal sealed class DedupQueries([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database)
{
    /// <summary>Newest first. Uses decision_of_finding, decision_of_scan, decision_by_service or decision_by_time.</summary>
    public async Task<IReadOnlyList<(DecisionEntry Entry, DecisionPosition Position)>> DecisionsAsync(
        string tenant, DecisionFilter filter, DecisionPosition? after, int limit, CancellationToken cancellation)
    {
        List<string> conditions = ["tenant = $1"];
        List<object> values = [tenant];
        When(filter.Finding, "finding = ");
        When(filter.Scan, "scan = ");
        When(filter.Service, "service = ");
        When(filter.Source, "source = ");
        When(filter.From?.ToUniversalTime(), "at >= ");
        When(filter.To?.ToUniversalTime(), "at < ");
        if (filter.Outcomes.Count > 0)
        {
            conditions.Add($"outcome = any ({Add(filter.Outcomes.Select(outcome => (short)outcome).ToArray())})");
        }

        if (after is not null)
        {
            conditions.Add($"(at, seq) < ({Add(after.At.ToUniversalTime())}, {Add(after.Seq)})");
        }

        await using var connection = await database.OpenAsync(cancellation);
        return await connection.ListAsync(
            $"""
            select at, service, source, scan, pointer, finding, observation, outcome, reason, rule_set, key_kind, key, fields, candidates, seq
            from vuln_center.decision where {string.Join(" and ", conditions)} order by at desc, seq desc limit {limit.ToString(CultureInfo.InvariantCulture)}
            """, ReadDecision, cancellation, [.. values]);

        void When<T>(T? value, string condition)
        {
            if (value is not null)
            {
                conditions.Add(condition + Add(value));
            }
        }

        string Add(object value)
        {
            values.Add(value);
            return "$" + values.Count.ToString(CultureInfo.InvariantCulture);
        }
    }

    /// <summary>Latest first. Uses overmerge_by_time.</summary>
    public async Task<IReadOnlyList<OverMerge>> OverMergesAsync(
        string tenant, string? service, string? source, OverMergePosition? after, int limit, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        await using var command = connection.Statement($"""
            select finding, service, source, key_kind, encode(key, 'hex'), rules, lines, observations, scan, since from vuln_center.overmerge
            where tenant = $1 and ($2::text is null or service = $2) and ($3::text is null or source = $3)
              and ($4::timestamptz is null or since < $4 or (since = $4 and (finding, key) > ($5::uuid, decode($6, 'hex'))))
            order by since desc, finding, key limit {limit.ToString(CultureInfo.InvariantCulture)}
            """, tenant, service, source);
        command.Parameters.Add(OptionalParameter.Of(after?.Since.ToUniversalTime(), NpgsqlTypes.NpgsqlDbType.TimestampTz));
        command.Parameters.Add(OptionalParameter.Of(after?.Finding, NpgsqlTypes.NpgsqlDbType.Uuid));
        command.Parameters.Add(OptionalParameter.Text(after?.Key));
        List<OverMerge> merges = [];
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            merges.Add(new OverMerge(
                reader.GetGuid(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetString(4), reader.GetInt32(5), reader.GetInt32(6), reader.GetInt32(7),
                reader.GetGuid(8), reader.GetFieldValue<DateTimeOffset>(9)));
        }

        return merges;
    }

    private static (DecisionEntry Entry, DecisionPosition Position) ReadDecision(NpgsqlDataReader row)
    {
        var at = row.GetFieldValue<DateTimeOffset>(0);
        return (
            new DecisionEntry(
                at, Text(row, 1), Text(row, 2), row.GetGuid(3), row.GetString(4), Id(row, 5), Id(row, 6), (Outcome)row.GetInt16(7), row.GetString(8), row.GetInt32(9),
                Text(row, 10), row.IsDBNull(11) ? null : Convert.ToHexStringLower(row.GetFieldValue<byte[]>(11)),
                JsonSerializer.Deserialize(row.GetString(12), VulnCenterJson.Default.DictionaryStringString) ?? [], row.GetFieldValue<Guid[]>(13)),
            new DecisionPosition(at, row.GetInt64(14)));
    }

    private static string? Text(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static Guid? Id(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetGuid(column);
}

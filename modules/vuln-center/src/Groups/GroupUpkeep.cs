using Npgsql;
using NpgsqlTypes;

namespace Wave16.VulnCenter.Groups;

/// <summary>
/// Keeps the groups of a service as <see cref="Linking"/> says they are, by computing the neighbourhood of what changed anew.
/// In the caller's transaction, which holds the service's lock (<see cref="Imports.MergeSql.Lock"/>).
/// </summary>
internal static class GroupUpkeep
{
    /// <summary>From so many on, a service's findings are read as a whole.</summary>
    private const int Many = 200;

    /// <summary>Before a merge's findings are written.</summary>
    /// <returns>For <see cref="AfterMergeAsync"/>: neighbourhoods that findings leave.</returns>
    public static async Task<List<long>> BeforeMergeAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation)
    {
        List<long> cells = [];
        await using var command = Command(connection, GroupSql.Left, tenant);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            cells.Add(reader.GetInt64(0));
        }

        return cells;
    }

    /// <summary>After a merge's findings have been written.</summary>
    /// <param name="left">From before.</param>
    /// <returns>How many groups came, went or changed.</returns>
    public static async Task<int> AfterMergeAsync(
        NpgsqlConnection connection, string tenant, string service, string source, IReadOnlyCollection<long> left, CancellationToken cancellation)
    {
        List<long> cells = [.. left];
        List<Guid> findings = [];
        await ExecuteAsync(connection, GroupSql.JoinByHash, cancellation);
        await using (var command = Command(connection, GroupSql.Merged, tenant))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = service });
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = source });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                if (reader.IsDBNull(0))
                {
                    findings.Add(reader.GetGuid(1));
                }
                else
                {
                    cells.Add(reader.GetInt64(0));
                }
            }
        }

        await ExecuteAsync(connection, GroupSql.JoinFreely, cancellation);
        return await NeighbourhoodAsync(connection, tenant, service, cells, findings, cancellation);
    }

    /// <summary>Of some findings, whatever changed about them.</summary>
    /// <returns>How many groups came, went or changed.</returns>
    public static Task<int> FindingsAsync(NpgsqlConnection connection, string tenant, string service, IReadOnlyCollection<Guid> findings, CancellationToken cancellation) =>
        NeighbourhoodAsync(connection, tenant, service, [], findings, cancellation);

    /// <summary>Of whole components.</summary>
    /// <returns>How many groups came, went or changed.</returns>
    public static Task<int> CellsAsync(NpgsqlConnection connection, string tenant, string service, IReadOnlyCollection<long> cells, CancellationToken cancellation) =>
        NeighbourhoodAsync(connection, tenant, service, cells, [], cancellation);

    private static async Task<int> NeighbourhoodAsync(
        NpgsqlConnection connection, string tenant, string service, IReadOnlyCollection<long> cells, IReadOnlyCollection<Guid> findings, CancellationToken cancellation)
    {
        var known = await CloseAsync(connection, tenant, service, cells, findings, cancellation);
        if (known.Count == 0)
        {
            return 0;
        }

        var clusters = await ClustersAsync(connection, tenant, known.Values, cancellation);
        var pairs = await PairsAsync(connection, tenant, [.. known.Keys], cancellation);
        var groups = Linking.Groups([.. known.Values.Select(found => found.Node)], id => clusters.GetValueOrDefault(id, id), pairs);
        return await WriteAsync(connection, tenant, service, known, groups, cancellation);
    }

    /// <summary>Everything that what changed can be joined with: its components as a whole, its groups, what people linked; and so on from there.</summary>
    private static async Task<Dictionary<Guid, Found>> CloseAsync(
        NpgsqlConnection connection, string tenant, string service, IReadOnlyCollection<long> cells, IReadOnlyCollection<Guid> findings, CancellationToken cancellation)
    {
        Dictionary<Guid, Found> known = [];
        HashSet<long> whole = [];
        HashSet<Guid> asked = [];
        while (cells.Count + findings.Count > 0)
        {
            whole.UnionWith(cells);
            asked.UnionWith(findings);
            await ExecuteAsync(connection, cells.Count + findings.Count > Many ? GroupSql.JoinByHash : GroupSql.JoinFreely, cancellation);
            var fresh = (await NodesAsync(connection, tenant, service, [.. cells], [.. findings], cancellation)).Where(found => known.TryAdd(found.Node.Finding, found)).ToList();
            var mates = await MatesAsync(connection, tenant, fresh, cancellation);
            cells = [.. fresh.Select(found => found.Cell).OfType<long>().Where(cell => !whole.Contains(cell)).Distinct()];
            findings = [.. mates.Where(mate => !known.ContainsKey(mate) && !asked.Contains(mate))];
        }

        await ExecuteAsync(connection, GroupSql.JoinFreely, cancellation);
        return known;
    }

    private static async Task<IReadOnlyList<Found>> NodesAsync(
        NpgsqlConnection connection, string tenant, string service, long[] cells, Guid[] findings, CancellationToken cancellation)
    {
        List<Found> nodes = [];
        await using var command = Command(connection, GroupSql.Nodes, tenant);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = service });
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = cells });
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = findings });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            nodes.Add(new Found(
                new LinkNode(
                    reader.GetGuid(0), reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetString(2), reader.GetString(3), reader.GetFieldValue<string[]>(4)),
                reader.IsDBNull(5) ? null : reader.GetInt64(5),
                reader.IsDBNull(6) ? null : reader.GetGuid(6),
                reader.IsDBNull(7) ? [] : reader.GetFieldValue<string[]>(7),
                reader.GetBoolean(8)));
        }

        return nodes;
    }

    private static async Task<IReadOnlyList<Guid>> MatesAsync(NpgsqlConnection connection, string tenant, IReadOnlyList<Found> of, CancellationToken cancellation)
    {
        List<Guid> mates = [];
        await using var command = Command(connection, GroupSql.Mates, tenant);
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. of.Select(found => found.Group).OfType<Guid>().Distinct()] });
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. of.Select(found => found.Node.Finding)] });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            mates.Add(reader.GetGuid(0));
        }

        return mates;
    }

    private static async Task<Dictionary<string, string>> ClustersAsync(NpgsqlConnection connection, string tenant, IEnumerable<Found> of, CancellationToken cancellation)
    {
        Dictionary<string, string> clusters = new(StringComparer.Ordinal);
        await using var command = Command(connection, GroupSql.Clusters, tenant);
        command.Parameters.Add(new NpgsqlParameter<string[]>
        {
            TypedValue = [.. of.SelectMany(found => found.Node.Ids.Append(found.Node.Rule.ToUpperInvariant())).Distinct(StringComparer.Ordinal)],
            NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text,
        });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            clusters[reader.GetString(0)] = reader.GetString(1);
        }

        return clusters;
    }

    private static async Task<IReadOnlyList<LinkPair>> PairsAsync(NpgsqlConnection connection, string tenant, Guid[] findings, CancellationToken cancellation)
    {
        List<LinkPair> pairs = [];
        await using var command = Command(connection, GroupSql.Pairs, tenant);
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = findings });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            pairs.Add(new LinkPair(
                reader.GetGuid(0), reader.GetGuid(1), reader.GetBoolean(2), reader.IsDBNull(3) ? null : reader.GetGuid(3), reader.GetFieldValue<DateTimeOffset>(4)));
        }

        return pairs;
    }

    private static async Task<int> WriteAsync(
        NpgsqlConnection connection, string tenant, string service, Dictionary<Guid, Found> known, IReadOnlyList<LinkedGroup> groups, CancellationToken cancellation)
    {
        var before = known.Values.Where(found => found.Group is not null).GroupBy(found => found.Group.GetValueOrDefault(), found => found.Node.Finding)
            .ToDictionary(group => group.Key, IReadOnlySet<Guid> (group) => group.ToHashSet());
        var ids = GroupIds.Of(before, groups);
        List<Guid> written = [], findings = [], grouped = [];
        List<bool> manual = [];
        List<string> links = [];
        foreach (var (id, group) in ids.Zip(groups))
        {
            var changed = group.Findings.Where(finding => known[finding].Group != id || !known[finding].Links.SequenceEqual(group.Links[finding], StringComparer.Ordinal)).ToList();
            if (changed.Count > 0 || !before[id].SetEquals(group.Findings) || known[group.Findings[0]].Manual != group.Manual)
            {
                written.Add(id);
                manual.Add(group.Manual);
                findings.AddRange(changed);
                grouped.AddRange(changed.Select(_ => id));
                links.AddRange(changed.Select(finding => string.Join('\n', group.Links[finding])));
            }
        }

        var ended = before.Keys.Except(ids).ToArray();
        var alone = known.Values.Where(found => found.Group is not null).Select(found => found.Node.Finding).Except(groups.SelectMany(group => group.Findings)).ToArray();
        if (written.Count + ended.Length + alone.Length == 0)
        {
            return 0;
        }

        await using var command = Command(connection, GroupSql.Write, tenant);
        var p = command.Parameters;
        p.Add(new NpgsqlParameter<Guid[]> { TypedValue = ended });
        p.Add(new NpgsqlParameter<Guid[]> { TypedValue = alone });
        p.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. written] });
        p.Add(new NpgsqlParameter<bool[]> { TypedValue = [.. manual] });
        p.Add(new NpgsqlParameter<string> { TypedValue = service });
        p.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. findings] });
        p.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. grouped] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. links], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });
        await command.ExecuteNonQueryAsync(cancellation);
        return written.Count + ended.Length;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, string tenant)
    {
        var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 600 };
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        return command;
    }

    /// <param name="Cell">Null without a component.</param>
    /// <param name="Group">The one it is in so far.</param>
    /// <param name="Manual">Whether that one says that it was made by hand.</param>
    private sealed record Found(LinkNode Node, long? Cell, Guid? Group, IReadOnlyList<string> Links, bool Manual);
}

internal static class GroupIds
{
    /// <summary>
    /// Ids for groups, in their order. A group goes on under the id of the one that it has most members of, and an id goes on with the
    /// group that took most members of it; between equals the older id and the group with the least finding win. Others are new.
    /// </summary>
    public static IReadOnlyList<Guid> Of(IReadOnlyDictionary<Guid, IReadOnlySet<Guid>> before, IReadOnlyList<LinkedGroup> groups)
    {
        var was = before.SelectMany(group => group.Value.Select(finding => (finding, group.Key))).ToDictionary(at => at.finding, at => at.Key);
        var ids = new Guid?[groups.Count];
        HashSet<Guid> used = [];
        foreach (var (id, group, _, _) in groups
            .SelectMany((group, i) => group.Findings.Where(was.ContainsKey).GroupBy(finding => was[finding]).Select(common => (Id: common.Key, Group: i, Count: common.Count(), Least: group.Findings.Min())))
            .OrderByDescending(overlap => overlap.Count).ThenBy(overlap => overlap.Id).ThenBy(overlap => overlap.Least))
        {
            if (ids[group] is null && used.Add(id))
            {
                ids[group] = id;
            }
        }

        return [.. ids.Select(id => id ?? Guid.CreateVersion7())];
    }
}

using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Contracts;

namespace Wave16.VulnCenter.Groups;

/// <summary>Where a page of groups ended.</summary>
internal sealed record GroupPosition(Guid Id);

/// <summary>Reads of groups, with what joins their members.</summary>
internal sealed class GroupQueries([FromKeyedServices(VulnCenterModule.ModuleName)] ModuleDatabase database)
{
    private const int MostEdges = 100;

    /// <summary>Members shown of one group.</summary>
    private const int MostMembers = 500;

    /// <summary>Of what people said, for all groups of an answer.</summary>
    private const int MostPairs = 5_000;

    /// <summary>In the order of their ids, which is nearly that in which they came to be.</summary>
    public async Task<IReadOnlyList<FindingGroup>> ListAsync(string tenant, string? service, GroupPosition? after, int limit, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        List<Guid> ids = [];
        await using (var command = new NpgsqlCommand("""
            select id from vuln_center.finding_group
            where tenant = $1 and ($2::text is null or service = $2) and ($3::uuid is null or id > $3) order by id limit $4
            """, connection))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(OptionalParameter.Text(service));
            command.Parameters.Add(OptionalParameter.Of(after?.Id, NpgsqlDbType.Uuid));
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                ids.Add(reader.GetGuid(0));
            }
        }

        return await ReadAsync(connection, tenant, ids, cancellation);
    }

    public async Task<FindingGroup?> FindAsync(string tenant, Guid id, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return (await ReadAsync(connection, tenant, [id], cancellation)).SingleOrDefault();
    }

    /// <summary>The group a finding is in; null when it is in none.</summary>
    public async Task<FindingGroup?> OfFindingAsync(string tenant, Guid finding, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        return (await OfFindingsAsync(connection, tenant, [finding], cancellation)).SingleOrDefault();
    }

    /// <summary>The groups that any of the findings is in.</summary>
    public static async Task<IReadOnlyList<FindingGroup>> OfFindingsAsync(NpgsqlConnection connection, string tenant, Guid[] findings, CancellationToken cancellation)
    {
        List<Guid> ids = [];
        await using (var command = new NpgsqlCommand("select distinct grouped from vuln_center.group_member where tenant = $1 and finding = any ($2)", connection))
        {
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = findings });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                ids.Add(reader.GetGuid(0));
            }
        }

        return await ReadAsync(connection, tenant, ids, cancellation);
    }

    private static async Task<IReadOnlyList<FindingGroup>> ReadAsync(NpgsqlConnection connection, string tenant, List<Guid> ids, CancellationToken cancellation)
    {
        if (ids.Count == 0)
        {
            return [];
        }

        await using var batch = new NpgsqlBatch(connection);
        foreach (var (sql, third) in ((string, NpgsqlParameter)[])
        [
            ("""
            select g.id, g.version, g.service, g.manual,
                   (select max(f.severity) from vuln_center.group_member m join vuln_center.finding f on f.tenant = $1 and f.id = m.finding
                    where m.tenant = $1 and m.grouped = g.id and f.status = any ($3))
            from vuln_center.finding_group g where g.tenant = $1 and g.id = any ($2) order by g.id
            """, new NpgsqlParameter<short[]> { TypedValue = [(short)FindingStatus.Open, (short)FindingStatus.Triaged] }),
            ("""
            select m.grouped, f.id, f.source, f.rule, f.title, f.severity, f.status, f.suppression is not null, f.component_key, f.identifiers, m.links
            from unnest($2) as g(id)
            cross join lateral (select m.* from vuln_center.group_member m where m.tenant = $1 and m.grouped = g.id order by m.finding limit $3) m
            join vuln_center.finding f on f.tenant = $1 and f.id = m.finding
            order by f.source, f.id
            """, new NpgsqlParameter<int> { TypedValue = MostMembers }),
            ("""
            select m.grouped, p.a, p.b, p.reason, p.actor, p.at
            from vuln_center.group_member m
            join vuln_center.group_pair p on p.tenant = $1 and p.a = m.finding and not p.apart
            join vuln_center.group_member o on o.tenant = $1 and o.finding = p.b and o.grouped = m.grouped
            where m.tenant = $1 and m.grouped = any ($2)
            order by p.at, p.a, p.b limit $3
            """, new NpgsqlParameter<int> { TypedValue = MostPairs }),
            ("""
            select link.cluster, e.a, e.b, e.source, e.since
            from (select distinct unnest(m.links) as cluster from vuln_center.group_member m where m.tenant = $1 and m.grouped = any ($2)) link
            cross join lateral (
              select e.a, e.b, e.source, e.since
              from vuln_center.alias_cluster c join vuln_center.alias_edge e on e.tenant = $1 and e.a = c.id and e.joined
              where c.tenant = $1 and c.cluster = link.cluster order by e.a, e.b, e.source limit $3) e
            """, new NpgsqlParameter<int> { TypedValue = MostEdges }),
        ])
        {
            var command = new NpgsqlBatchCommand(sql);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
            command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. ids] });
            command.Parameters.Add(third);
            batch.BatchCommands.Add(command);
        }

        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        List<FindingGroup> groups = [];
        while (await reader.ReadAsync(cancellation))
        {
            groups.Add(new FindingGroup(
                reader.GetGuid(0), reader.GetInt64(1), reader.GetString(2), reader.IsDBNull(4) ? null : (Severity)reader.GetInt16(4), reader.GetBoolean(3), [], []));
        }

        List<Member> members = [];
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            members.Add(new Member(
                reader.GetGuid(0),
                new GroupMember(
                    reader.GetGuid(1), reader.GetString(2), reader.GetString(3), reader.GetString(4), (Severity)reader.GetInt16(5), (FindingStatus)reader.GetInt16(6),
                    reader.GetBoolean(7), reader.IsDBNull(8) ? null : reader.GetString(8), reader.GetFieldValue<string[]>(9)),
                reader.GetFieldValue<string[]>(10)));
        }

        List<(Guid Group, GroupReason Reason)> said = [];
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            said.Add((reader.GetGuid(0), new GroupReason(
                "manual", [reader.GetGuid(1), reader.GetGuid(2)], Component: null, [], [], reader.GetString(3), reader.GetString(4), reader.GetFieldValue<DateTimeOffset>(5))));
        }

        List<(string Cluster, AliasEdge Edge)> edges = [];
        await reader.NextResultAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            edges.Add((reader.GetString(0), new AliasEdge(reader.GetString(1), reader.GetString(2), reader.GetString(3), reader.GetFieldValue<DateTimeOffset>(4))));
        }

        var ofGroup = members.ToLookup(member => member.Group);
        var ofCluster = edges.ToLookup(edge => edge.Cluster, edge => edge.Edge, StringComparer.Ordinal);
        var byHand = said.ToLookup(at => at.Group, at => at.Reason);
        return
        [
            .. groups.Select(group => group with
            {
                Members = [.. ofGroup[group.Id].Select(member => member.Shown)],
                Why = [.. Why(ofGroup[group.Id], ofCluster), .. ByHand(byHand[group.Id])],
            }),
        ];
    }

    private static IEnumerable<GroupReason> Why(IEnumerable<Member> members, ILookup<string, AliasEdge> edges)
    {
        foreach (var shared in members.SelectMany(member => member.Links.Select(cluster => (member.Shown.Component, Cluster: cluster, member.Shown)))
            .GroupBy(at => (at.Component, at.Cluster), at => at.Shown).OrderBy(at => at.Key.Component, StringComparer.Ordinal).ThenBy(at => at.Key.Cluster, StringComparer.Ordinal))
        {
            var known = edges[shared.Key.Cluster].ToList();
            var cluster = known.SelectMany(edge => new[] { edge.A, edge.B }).Append(shared.Key.Cluster).ToHashSet(StringComparer.Ordinal);
            var named = shared.Select(member => member.Identifiers.Append(member.Rule.ToUpperInvariant()).Where(cluster.Contains).ToHashSet(StringComparer.Ordinal)).ToList();
            var common = named.Aggregate((IEnumerable<string> ids, IEnumerable<string> more) => ids.Intersect(more, StringComparer.Ordinal)).Order(StringComparer.Ordinal).ToList();
            yield return common.Count > 0
                ? new GroupReason("identifier", [.. shared.Select(member => member.Finding)], shared.Key.Component, common, [])
                : new GroupReason(
                    "alias", [.. shared.Select(member => member.Finding)], shared.Key.Component,
                    [.. named.SelectMany(ids => ids).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)], known);
        }
    }

    /// <summary>What was said at once is one reason.</summary>
    private static IEnumerable<GroupReason> ByHand(IEnumerable<GroupReason> pairs) =>
        from pair in pairs
        group pair by (pair.Reason, pair.Actor, pair.At) into said
        select said.First() with { Findings = [.. said.SelectMany(pair => pair.Findings).Distinct().Order()] };

    private sealed record Member(Guid Group, GroupMember Shown, IReadOnlyList<string> Links);
}

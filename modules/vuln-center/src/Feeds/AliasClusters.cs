using Microsoft.Extensions.Options;
using Npgsql;
using NpgsqlTypes;

namespace Wave16.VulnCenter.Feeds;

/// <summary>Ids whose cluster, or the company in it, is another one now.</summary>
/// <param name="Ids">Null: too many to name.</param>
/// <param name="Unjoined">Edges that are kept and join nothing, since the cluster would be too large; those that were so before are not counted.</param>
internal sealed record AliasChange(long Count, IReadOnlyList<string>? Ids, long Unjoined);

/// <summary>
/// Clusters of aliases: what the edges connect, statement by statement (<see cref="AliasSets"/>), each named by its least id. A function of
/// the edges and the order they came in.
/// </summary>
internal sealed class AliasClusters(IOptions<FeedOptions> options)
{
    /// <summary>More changed ids than this are not listed: everything is looked at then. The KEV catalog and its aliases are fewer.</summary>
    public const int MostListed = 5_000;

    // One writer of a tenant's edges at a time, to the end of the transaction: statements get their numbers in the order of their commits.
    private const string Lock = "select pg_advisory_xact_lock(hashtextextended('vuln-center/aliases/' || $1, 16))";

    private const string Touched = "create temp table alias_touched (id text not null) on commit drop";

    private const string Own = """
        select distinct c.cluster from alias_touched t join vuln_center.alias_cluster c on c.tenant = $1 and c.id = t.id
        """;

    private const string Unjoined = """
        select distinct a.cluster, b.cluster from vuln_center.alias_edge e
        join vuln_center.alias_cluster a on a.tenant = $1 and a.id = e.a
        join vuln_center.alias_cluster b on b.tenant = $1 and b.id = e.b
        where e.tenant = $1 and not e.joined
        """;

    private const string Nodes = """
        create temp table alias_node on commit drop as
        select row_number() over (order by id collate "C")::int as n, id, old from (
          select m.id, m.cluster as old from unnest($2::text[]) as x(cluster) join vuln_center.alias_cluster m on m.tenant = $1 and m.cluster = x.cluster
          union
          select t.id, null from alias_touched t
          where not exists (select from vuln_center.alias_cluster c where c.tenant = $1 and c.id = t.id)) nodes
        """;

    private const string Members = "select member.n, name.n from alias_node member join alias_node name on name.id = member.old where member.n <> name.n";

    private const string Edges = """
        select a.n, b.n, e.statement from alias_node a
        join vuln_center.alias_edge e on e.tenant = $1 and e.a = a.id and e.statement >= $2
        join alias_node b on b.id = e.b
        order by e.statement
        """;

    private const string Roots = """
        create temp table alias_next on commit drop as
        select a.id, a.old, root.id as new
        from unnest($1::int[]) with ordinality as r(root, n) join alias_node a on a.n = r.n left join alias_node root on root.n = r.root
        """;

    private const string Write = """
        with gone as (
          delete from vuln_center.alias_cluster c using alias_next n where c.tenant = $1 and c.id = n.id and n.new is null
        )
        insert into vuln_center.alias_cluster as c (tenant, id, cluster)
        select $1, id, new from alias_next where new is not null and new is distinct from old
        on conflict (tenant, id) do update set cluster = excluded.cluster
        """;

    private const string Mark = """
        with marked as (
          update vuln_center.alias_edge e set joined = a.new = b.new
          from alias_next a, alias_next b
          where e.tenant = $1 and e.a = a.id and e.b = b.id and e.joined <> (a.new = b.new)
          returning e.joined
        )
        select count(*) from marked where not joined
        """;

    private const string Changed = """
        with next as (
          select id, coalesce(old, id) as old, coalesce(new, id) as new from alias_next
        )
        select id, count(*) over () from next
        where new in (select new from next where new <> old) or old in (select old from next where new <> old)
        order by id collate "C" limit $1
        """;

    /// <summary>Takes the lock, and makes room for the ids of edges that come or go: <c>alias_touched</c>.</summary>
    /// <returns>The number of what is stated now.</returns>
    public static async Task<long> BeginAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation)
    {
        await ExecuteAsync(connection, Lock, cancellation, Text(tenant));
        await ExecuteAsync(connection, Touched, cancellation);
        await using var next = new NpgsqlCommand("select nextval('vuln_center.alias_statement')", connection);
        return (long)(await next.ExecuteScalarAsync(cancellation) ?? 0L);
    }

    /// <summary>Brings the clusters of the ids in <c>alias_touched</c> in line with the edges. Linear in what they are connected with.</summary>
    /// <param name="statement">What was added; everything before it is joined as it was.</param>
    /// <param name="removed">Edges went: what they were connected with, joined or not, is worked out from the first statement on.</param>
    public async Task<AliasChange> RecomputeAsync(NpgsqlConnection connection, string tenant, long statement, bool removed, CancellationToken cancellation)
    {
        await ExecuteAsync(connection, "analyze alias_touched", cancellation);
        await ExecuteAsync(connection, Nodes, cancellation, Text(tenant), Texts(await ConcernedAsync(connection, tenant, removed, cancellation)));
        await ExecuteAsync(connection, "create index on alias_node (id); analyze alias_node", cancellation);
        await ExecuteAsync(connection, Roots, cancellation, new NpgsqlParameter<int[]> { TypedValue = await RootsAsync(connection, tenant, removed ? 0 : statement, cancellation) });
        await ExecuteAsync(connection, "analyze alias_next", cancellation);
        await ExecuteAsync(connection, Write, cancellation, Text(tenant));
        long unjoined;
        await using (var mark = new NpgsqlCommand(Mark, connection) { CommandTimeout = 600 })
        {
            mark.Parameters.Add(Text(tenant));
            unjoined = (long)(await mark.ExecuteScalarAsync(cancellation) ?? 0L);
        }

        List<string> ids = [];
        var count = 0L;
        await using (var command = new NpgsqlCommand(Changed, connection) { CommandTimeout = 600 })
        {
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = MostListed });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                ids.Add(reader.GetString(0));
                count = reader.GetInt64(1);
            }
        }

        await ExecuteAsync(connection, "drop table alias_touched, alias_node, alias_next", cancellation);
        return new AliasChange(count, count > MostListed ? null : ids, unjoined);
    }

    /// <summary>Clusters that have to be worked out together.</summary>
    private static async Task<IReadOnlyCollection<string>> ConcernedAsync(NpgsqlConnection connection, string tenant, bool removed, CancellationToken cancellation)
    {
        HashSet<string> concerned = new(StringComparer.Ordinal);
        await using (var own = new NpgsqlCommand(Own, connection) { CommandTimeout = 600 })
        {
            own.Parameters.Add(Text(tenant));
            await using var reader = await own.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                concerned.Add(reader.GetString(0));
            }
        }

        if (!removed)
        {
            return concerned;
        }

        // With an edge gone, one that did not fit may fit: so also what is reached by edges that join nothing.
        Dictionary<string, List<string>> beside = new(StringComparer.Ordinal);
        await using (var unjoined = new NpgsqlCommand(Unjoined, connection) { CommandTimeout = 600 })
        {
            unjoined.Parameters.Add(Text(tenant));
            await using var reader = await unjoined.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                var (a, b) = (reader.GetString(0), reader.GetString(1));
                Beside(a).Add(b);
                Beside(b).Add(a);
            }
        }

        Stack<string> reached = new(concerned);
        while (reached.TryPop(out var cluster))
        {
            foreach (var next in beside.GetValueOrDefault(cluster) ?? [])
            {
                if (concerned.Add(next))
                {
                    reached.Push(next);
                }
            }
        }

        return concerned;

        List<string> Beside(string cluster)
        {
            if (!beside.TryGetValue(cluster, out var others))
            {
                beside[cluster] = others = [];
            }

            return others;
        }
    }

    /// <summary>For each node from 1 on, the least of its cluster; 0 where no edge is left.</summary>
    /// <param name="from">The first statement to be looked at; 0: all, as if nothing had been joined.</param>
    private async Task<int[]> RootsAsync(NpgsqlConnection connection, string tenant, long from, CancellationToken cancellation)
    {
        int count;
        await using (var nodes = new NpgsqlCommand("select count(*)::int from alias_node", connection))
        {
            count = (int)(await nodes.ExecuteScalarAsync(cancellation) ?? 0);
        }

        var sets = new AliasSets(count, options.Value.MaxAliasCluster);
        var connected = new bool[count + 1];
        if (from > 0)
        {
            // All of them have edges: they are in a cluster, or new.
            Array.Fill(connected, true);
            await using var members = new NpgsqlCommand(Members, connection) { CommandTimeout = 600 };
            await using var reader = await members.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                sets.Join(reader.GetInt32(0), reader.GetInt32(1));
            }
        }

        List<(int, int)> statement = [];
        await using (var command = new NpgsqlCommand(Edges, connection) { CommandTimeout = 600 })
        {
            command.Parameters.Add(Text(tenant));
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = from });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            var number = -1L;
            while (await reader.ReadAsync(cancellation))
            {
                var (a, b) = (reader.GetInt32(0), reader.GetInt32(1));
                if (reader.GetInt64(2) is var next && next != number)
                {
                    sets.State(statement);
                    statement.Clear();
                    number = next;
                }

                statement.Add((a, b));
                connected[a] = connected[b] = true;
            }
        }

        sets.State(statement);
        return [.. Enumerable.Range(1, count).Select(node => connected[node] ? sets.Of(node) : 0)];
    }

    private static NpgsqlParameter<string> Text(string value) => new() { TypedValue = value };

    private static NpgsqlParameter<string[]> Texts(IReadOnlyCollection<string> values) => new() { TypedValue = [.. values], NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text };

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellation, params NpgsqlParameter[] values)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 600 };
        foreach (var value in values)
        {
            command.Parameters.Add(value);
        }

        await command.ExecuteNonQueryAsync(cancellation);
    }
}

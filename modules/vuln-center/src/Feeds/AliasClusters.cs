using Npgsql;

namespace Wave16.VulnCenter.Feeds;

/// <summary>Ids whose cluster, or the company in it, is another one now.</summary>
/// <param name="Ids">Null: too many to name.</param>
internal sealed record AliasChange(long Count, IReadOnlyList<string>? Ids)
{
    public static AliasChange None { get; } = new(0, []);
}

/// <summary>Clusters of aliases: the connected components of the edges, each named by its least id.</summary>
internal static class AliasClusters
{
    /// <summary>More changed ids than this are not listed: everything is looked at then.</summary>
    public const int MostListed = 1_000;

    /// <summary>One writer of a tenant's edges at a time, to the end of the transaction.</summary>
    public const string Lock = "select pg_advisory_xact_lock(hashtextextended('vuln-center/aliases/' || $1, 16))";

    private const string Nodes = """
        create temp table alias_node on commit drop as
        select row_number() over (order by id collate "C")::int as n, id, old from (
          select m.id, m.cluster as old
          from (select distinct c.cluster from alias_touched t join vuln_center.alias_cluster c on c.tenant = $1 and c.id = t.id) x
          join vuln_center.alias_cluster m on m.tenant = $1 and m.cluster = x.cluster
          union
          select t.id, null from alias_touched t
          where not exists (select from vuln_center.alias_cluster c where c.tenant = $1 and c.id = t.id)) nodes
        """;

    private const string Edges = """
        select distinct a.n, b.n from vuln_center.alias_edge e join alias_node a on a.id = e.a join alias_node b on b.id = e.b where e.tenant = $1
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

    private const string Changed = """
        select id, count(*) over () from alias_next
        where new in (select new from alias_next where new is distinct from old)
           or old in (select old from alias_next where new is distinct from old)
        order by id collate "C" limit $1
        """;

    /// <summary>Brings the clusters of the ids in <c>alias_touched</c> in line with the edges. Needs the lock. Linear in what they are connected with.</summary>
    public static async Task<AliasChange> RecomputeAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation)
    {
        await ExecuteAsync(connection, "analyze alias_touched", cancellation);
        await ExecuteAsync(connection, Nodes, cancellation, new NpgsqlParameter<string> { TypedValue = tenant });
        await ExecuteAsync(connection, "create index on alias_node (id); analyze alias_node", cancellation);
        await ExecuteAsync(connection, Roots, cancellation, new NpgsqlParameter<int[]> { TypedValue = await RootsAsync(connection, tenant, cancellation) });
        await ExecuteAsync(connection, "analyze alias_next", cancellation);
        await ExecuteAsync(connection, Write, cancellation, new NpgsqlParameter<string> { TypedValue = tenant });

        List<string> ids = [];
        var count = 0L;
        await using (var command = new NpgsqlCommand(Changed, connection))
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
        return new AliasChange(count, count > MostListed ? null : ids);
    }

    /// <summary>For each node from 1 on, the least node it is connected with; 0 where no edge is left.</summary>
    private static async Task<int[]> RootsAsync(NpgsqlConnection connection, string tenant, CancellationToken cancellation)
    {
        int[] root;
        await using (var count = new NpgsqlCommand("select count(*)::int from alias_node", connection))
        {
            root = new int[(int)(await count.ExecuteScalarAsync(cancellation) ?? 0)];
        }

        await using var command = new NpgsqlCommand(Edges, connection) { CommandTimeout = 600 };
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = tenant });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var (a, b) = (Find(reader.GetInt32(0)), Find(reader.GetInt32(1)));
            root[Math.Max(a, b) - 1] = Math.Min(a, b);
            root[Math.Min(a, b) - 1] = Math.Min(a, b);
        }

        return [.. Enumerable.Range(1, root.Length).Select(node => root[node - 1] == 0 ? 0 : Find(node))];

        int Find(int node)
        {
            while (root[node - 1] is not 0 and var next && next != node)
            {
                // Halves the way for whoever comes next.
                if (root[next - 1] is not 0 and var far)
                {
                    root[node - 1] = far;
                }

                node = next;
            }

            return node;
        }
    }

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

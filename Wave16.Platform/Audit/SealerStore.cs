using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>The sealer's SQL.</summary>
internal sealed class SealerStore(ModuleDatabase database)
{
    public async Task<SealerState> ReadStateAsync(CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("select epoch, xid, leaf_id, tree_size, frontier from platform.audit_sealer");
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation)
            ? new(reader.GetInt32(0), reader.GetFieldValue<ulong>(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetFieldValue<byte[][]>(4))
            : throw new InvalidOperationException($"platform.audit_sealer of {database.Module} is empty.");
    }

    /// <summary>
    /// The next leaves of the current epoch, in the order in which no later one can come before them: every transaction below
    /// the snapshot's xmin has ended. Relies on the primary key (epoch, xid, id).
    /// </summary>
    public async Task<List<PendingLeaf>> ReadPendingAsync(SealerState state, int atMost, bool withContent, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            select epoch, xid, id, hash{(withContent ? ", tenant, canonical" : "")}
            from platform.audit_leaf
            where epoch = $1 and (xid, id) > ($2, $3) and xid < pg_snapshot_xmin(pg_current_snapshot())
            order by xid, id limit $4
            """);
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = state.Epoch });
        command.Parameters.Add(Xid(state.Xid));
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = state.LeafId });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = atMost });
        return await ReadAsync(command, withContent, cancellation);
    }

    /// <summary>What earlier epochs left unsealed. Their transaction ids are another cluster's, so they are compared with no snapshot.</summary>
    public async Task<List<PendingLeaf>> ReadLeftOverAsync(int currentEpoch, int atMost, bool withContent, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand($"""
            select l.epoch, l.xid, l.id, l.hash{(withContent ? ", l.tenant, l.canonical" : "")}
            from platform.audit_leaf l
            where l.epoch < $1 and not exists (select from platform.audit_entry e where e.leaf_id = l.id)
            order by l.epoch, l.xid, l.id limit $2
            """);
        command.CommandTimeout = 0;
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = currentEpoch });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = atMost });
        return await ReadAsync(command, withContent, cancellation);
    }

    /// <summary>Goes over to a newer epoch. False when another sealer has moved the state.</summary>
    public async Task<bool> EnterEpochAsync(SealerState before, int epoch, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            update platform.audit_sealer set epoch = $5, xid = '0', leaf_id = 0
            where epoch = $1 and xid = $2 and leaf_id = $3 and tree_size = $4
            """);
        AddState(command.Parameters, before);
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = epoch });
        return await command.ExecuteNonQueryAsync(cancellation) == 1;
    }

    /// <summary>Appends in one statement, which changes nothing unless the state is the one the append was made from.</summary>
    /// <returns>False when another sealer has moved the state.</returns>
    /// <exception cref="PostgresException">Unique violation: the log holds rows that no sealer wrote.</exception>
    public async Task<bool> AppendAsync(LogAppend append, IReadOnlyList<string> destinations, CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            with s as (
              update platform.audit_sealer set epoch = $5, xid = $6, leaf_id = $7, tree_size = $8, frontier = $9
              where epoch = $1 and xid = $2 and leaf_id = $3 and tree_size = $4
              returning 1
            ), entry as (
              insert into platform.audit_entry (seq, leaf_id, hash)
              select $4 + e.ordinal - 1, e.leaf_id, e.hash
              from s, unnest($10::bigint[], $11::bytea[]) with ordinality as e(leaf_id, hash, ordinal)
            ), node as (
              insert into platform.audit_node (level, index, hash)
              select n.level, n.index, n.hash from s, unnest($12::int[], $13::bigint[], $14::bytea[]) as n(level, index, hash)
            ), head as (
              insert into platform.audit_head (tree_size, epoch, root_hash, signed_at, key_id, signature)
              select $8, $25, $15, $16, $17, $18 from s
            ), event as (
              insert into platform.event (occurred_at, event_id, tenant, type, subject, entity_version, data)
              select $16, e.event_id, e.tenant, $19, $20, $8, e.data
              from s, unnest($21::text[], $22::text[], $23::text[]) as e(event_id, tenant, data)
            ), delivery as (
              insert into platform.delivery (destination, tenant, subject, event_id, occurred_at)
              select d.destination, e.tenant, $20, e.event_id, $16
              from s, unnest($21::text[], $22::text[]) with ordinality as e(event_id, tenant, ordinal), unnest($24::text[]) as d(destination)
              order by e.ordinal
            )
            select 1 from s
            """);
        var p = command.Parameters;
        AddState(p, append.Before);
        AddState(p, append.After);
        p.Add(new NpgsqlParameter<byte[][]> { TypedValue = append.After.Frontier });
        p.Add(new NpgsqlParameter<long[]> { TypedValue = [.. append.Leaves.Select(leaf => leaf.Id)] });
        p.Add(new NpgsqlParameter<byte[][]> { TypedValue = [.. append.Leaves.Select(leaf => leaf.Hash)] });
        p.Add(new NpgsqlParameter<int[]> { TypedValue = [.. append.Nodes.Select(node => node.Subtree.Level)] });
        p.Add(new NpgsqlParameter<long[]> { TypedValue = [.. append.Nodes.Select(node => node.Subtree.Index)] });
        p.Add(new NpgsqlParameter<byte[][]> { TypedValue = [.. append.Nodes.Select(node => node.Hash)] });
        p.Add(new NpgsqlParameter<byte[]> { TypedValue = append.Head.Root });
        p.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = append.Head.SignedAt });
        p.Add(new NpgsqlParameter<string> { TypedValue = append.KeyId });
        p.Add(new NpgsqlParameter<byte[]> { TypedValue = append.Signature });
        p.Add(new NpgsqlParameter<string> { TypedValue = SealedEvents.TypeOf(database.Module) });
        p.Add(new NpgsqlParameter<string> { TypedValue = database.Module });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. append.Events.Select(raised => raised.EventId)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. append.Events.Select(raised => raised.Tenant)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. append.Events.Select(raised => raised.Data)] });
        p.Add(new NpgsqlParameter<string[]> { TypedValue = [.. destinations] });
        p.Add(new NpgsqlParameter<int> { TypedValue = append.HeadEpoch });
        return await command.ExecuteScalarAsync(cancellation) is not null;
    }

    /// <summary>When the oldest leaf that is not in the log was written, and whether the log's position can be one of this cluster.</summary>
    public async Task<UnsealedTail> ReadTailAsync(CancellationToken cancellation)
    {
        await using var command = database.DataSource.CreateCommand("""
            select s.xid >= pg_snapshot_xmax(pg_current_snapshot()) and s.epoch = $1,
                   (select l.at from platform.audit_leaf l
                    where l.epoch = $1 and (l.xid, l.id) > (case when s.epoch = $1 then s.xid else '0' end, case when s.epoch = $1 then s.leaf_id else 0 end)
                    order by l.xid, l.id limit 1)
            from platform.audit_sealer s
            """);
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = database.Epoch.Number });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation)
            ? new(reader.GetBoolean(0), reader.IsDBNull(1) ? null : reader.GetFieldValue<DateTimeOffset>(1))
            : throw new InvalidOperationException($"platform.audit_sealer of {database.Module} is empty.");
    }

    private static async Task<List<PendingLeaf>> ReadAsync(NpgsqlCommand command, bool withContent, CancellationToken cancellation)
    {
        var leaves = new List<PendingLeaf>();
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            leaves.Add(new(
                reader.GetInt32(0), reader.GetFieldValue<ulong>(1), reader.GetInt64(2), reader.GetFieldValue<byte[]>(3),
                withContent ? reader.GetString(4) : null, withContent ? reader.GetString(5) : null));
        }

        return leaves;
    }

    private static void AddState(NpgsqlParameterCollection parameters, SealerState state)
    {
        parameters.Add(new NpgsqlParameter<int> { TypedValue = state.Epoch });
        parameters.Add(Xid(state.Xid));
        parameters.Add(new NpgsqlParameter<long> { TypedValue = state.LeafId });
        parameters.Add(new NpgsqlParameter<long> { TypedValue = state.TreeSize });
    }

    private static NpgsqlParameter<ulong> Xid(ulong xid) => new() { TypedValue = xid, NpgsqlDbType = NpgsqlDbType.Xid8 };
}

/// <param name="IsForeign">The log's position lies in the future of this cluster: the store was restored and not given a new epoch.</param>
/// <param name="OldestAt">Null when everything is sealed.</param>
internal sealed record UnsealedTail(bool IsForeign, DateTimeOffset? OldestAt);

using System.Data;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;

namespace Wave16.Platform.Audit;

/// <summary>
/// Recomputes a module's whole audit log in one snapshot, in memory that does not grow with it: leaf hashes from content,
/// entity chains, the Merkle root from the entries against every signed head, signatures, subtrees, and the unsealed tail.
/// </summary>
internal sealed class AuditVerifier(ModuleDatabase database, AuditKeys keys, TimeProvider clock) : IDisposable
{
    private const int BatchSize = 4096;
    private readonly SemaphoreSlim _turn = new(1);

    /// <summary>One at a time, because it reads everything. Null when it is another's turn.</summary>
    public async Task<AuditReport?> TryVerifyAsync(string tenant, CancellationToken cancellation)
    {
        if (!await _turn.WaitAsync(TimeSpan.Zero, cancellation))
        {
            return null;
        }

        try
        {
            return await VerifyAsync(tenant, cancellation);
        }
        finally
        {
            _turn.Release();
        }
    }

    public void Dispose() => _turn.Dispose();

    /// <param name="tenant">Whose leaves are named in the report.</param>
    /// <param name="cancellation">Ends it at the next row.</param>
    public async Task<AuditReport> VerifyAsync(string tenant, CancellationToken cancellation)
    {
        await using var connection = await database.OpenAsync(cancellation);
        // Reads only, so it has no transaction id and does not hold the sealer back, however long it takes.
        await using var snapshot = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellation);
        var findings = new AuditFindings(tenant);
        var tokens = await EpochTokensAsync(connection, cancellation);
        using var heads = new HeadChecks(database.Module, keys, tokens, findings);
        var run = new Run(connection, findings, heads);

        var state = await run.StateAsync(cancellation);
        await run.EntriesAsync(cancellation);
        await run.HeadsBeyondAsync(cancellation);
        run.CheckState(state);
        await run.NotInLogAsync(state, cancellation);
        var unsealed = await run.TailAsync(state, cancellation);

        var age = unsealed.OldestAt is { } oldest ? Math.Max(0, (clock.GetUtcNow() - oldest).TotalSeconds) : 0;
        return new AuditReport(
            database.Module, findings.Count == 0, run.Entries, Convert.ToHexStringLower(run.Tree.Root()),
            heads.Last is { } last && tokens.TryGetValue(last.Epoch, out var token) ? last.Checkpoint(database.Module, token).Note(last.KeyId, last.Signature) : null,
            run.Leaves.Checked, heads.Checked, unsealed with { AgeSeconds = age }, findings.Count, findings.Problems);
    }

    internal static async Task<Dictionary<int, string>> EpochTokensAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        var tokens = new Dictionary<int, string>();
        await using var command = new NpgsqlCommand("select epoch, token from platform.epoch", connection);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            tokens.Add(reader.GetInt32(0), reader.GetString(1));
        }

        return tokens;
    }

    private sealed class Run(NpgsqlConnection connection, AuditFindings findings, HeadChecks heads)
    {
        private (int Epoch, ulong Xid, long Id) _last;
        private bool _complete = true;

        public MerkleFrontier Tree { get; } = new();

        public LeafChecks Leaves { get; } = new(findings);

        public long Entries { get; private set; }

        public async Task<SealerState?> StateAsync(CancellationToken cancellation)
        {
            await using var command = Command("select epoch, xid, leaf_id, tree_size, frontier from platform.audit_sealer");
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            return await reader.ReadAsync(cancellation)
                ? new(reader.GetInt32(0), reader.GetFieldValue<ulong>(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetFieldValue<byte[][]>(4))
                : null;
        }

        public async Task EntriesAsync(CancellationToken cancellation)
        {
            for (var first = 0L; await BeyondAsync(first, cancellation) is { } beyond; first = beyond)
            {
                var signed = await HeadsAsync(first, beyond, cancellation);
                var computed = new Dictionary<Subtree, byte[]>();
                await using (var command = Command($"""
                    select e.seq, e.leaf_id, e.hash, l.id is not null, {LeafChecks.Columns}
                    from platform.audit_entry e left join platform.audit_leaf l on l.id = e.leaf_id
                    where e.seq >= $1 and e.seq < $2 order by e.seq
                    """))
                {
                    command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = first });
                    command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = beyond });
                    var expected = first;
                    await using var reader = await command.ExecuteReaderAsync(cancellation);
                    while (await reader.ReadAsync(cancellation))
                    {
                        var seq = reader.GetInt64(0);
                        Gap(expected, seq);
                        expected = seq + 1;
                        Entry(reader, seq, computed);
                        if (signed.Remove(seq + 1, out var head))
                        {
                            heads.Check(head, _complete ? Tree.Root() : null);
                        }
                    }

                    Gap(expected, beyond);
                }

                foreach (var head in signed.Values.OrderBy(head => head.TreeSize))
                {
                    heads.Check(head, root: null);
                }

                await Leaves.ResolveAsync(connection, cancellation);
                await NodesAsync(computed, cancellation);
            }
        }

        /// <summary>Heads of more leaves than the log has: its last entries are gone.</summary>
        public async Task HeadsBeyondAsync(CancellationToken cancellation)
        {
            await using var command = Command($"select {HeadRow.Columns} from platform.audit_head where tree_size > $1 or tree_size < 1 order by tree_size");
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = Entries });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            HeadRow? beyond = null;
            while (await reader.ReadAsync(cancellation))
            {
                beyond = HeadRow.Read(reader);
                heads.Check(beyond, root: null);
            }

            if (beyond is not null)
            {
                findings.Add(AuditProblemKind.EntryMissing, $"Entries {Entries} to {beyond.TreeSize - 1} are gone: a head was signed for {beyond.TreeSize} leaves.", Entries);
            }
        }

        public void CheckState(SealerState? state)
        {
            var signed = heads.Last?.TreeSize ?? 0;
            if (Entries > signed)
            {
                findings.Add(AuditProblemKind.EntryUnsigned, $"Entries {signed} to {Entries - 1} are under no signed head.", signed);
            }

            if (state is null || state.TreeSize != Entries || (_complete && !state.Frontier.Select(Convert.ToHexString).SequenceEqual(Tree.Subtrees.Select(Convert.ToHexString), StringComparer.Ordinal)))
            {
                findings.Add(AuditProblemKind.SealerStateChanged, $"The sealer stands at {state?.TreeSize.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "no"} leaves, or at another tree, and the log has {Entries} entries.");
            }

            if (state is not null && state.TreeSize > 0 && signed < state.TreeSize)
            {
                findings.Add(AuditProblemKind.HeadMissing, $"The sealer signed a head for {state.TreeSize} leaves; the last there is has {signed}.", signed);
            }
        }

        /// <summary>Leaves that the sealer has passed, or that claim to be older than what it has taken, and that are not in the log.</summary>
        public async Task NotInLogAsync(SealerState? state, CancellationToken cancellation)
        {
            if (state is null)
            {
                return;
            }

            await using var command = Command($"""
                select {LeafChecks.Columns} from platform.audit_leaf l
                where (l.epoch, l.xid, l.id) <= ($1, $2, $3) and not exists (select from platform.audit_entry e where e.leaf_id = l.id)
                """);
            AddPosition(command, state);
            await using (var reader = await command.ExecuteReaderAsync(cancellation))
            {
                while (await reader.ReadAsync(cancellation))
                {
                    var leaf = LeafChecks.Read(reader, 0, seq: null);
                    findings.Add(AuditProblemKind.LeafNotInLog, leaf, "The log has no entry for this leaf, and the sealer is past its place: its entry was removed, or it was put in afterwards.");
                }
            }
        }

        public async Task<UnsealedLeaves> TailAsync(SealerState? state, CancellationToken cancellation)
        {
            var (count, oldest) = (0L, (DateTimeOffset?)null);
            await using (var command = Command($"""
                select {LeafChecks.Columns} from platform.audit_leaf l
                where (l.epoch, l.xid, l.id) > ($1, $2, $3) and not exists (select from platform.audit_entry e where e.leaf_id = l.id)
                order by l.epoch, l.xid, l.id
                """))
            {
                AddPosition(command, state ?? new(0, 0, 0, 0, []));
                await using var reader = await command.ExecuteReaderAsync(cancellation);
                while (await reader.ReadAsync(cancellation))
                {
                    var leaf = LeafChecks.Read(reader, 0, seq: null);
                    Leaves.Check(leaf);
                    count++;
                    oldest = oldest is null || leaf.At < oldest ? leaf.At : oldest;
                }
            }

            await Leaves.ResolveAsync(connection, cancellation);
            return new(count, oldest, AgeSeconds: 0);
        }

        private void Entry(NpgsqlDataReader reader, long seq, Dictionary<Subtree, byte[]> computed)
        {
            var hash = reader.GetFieldValue<byte[]>(2);
            Entries = seq + 1;
            if (_complete)
            {
                Tree.Append(hash, (subtree, node) =>
                {
                    if (LogTree.IsKept(subtree.Level))
                    {
                        computed.Add(subtree, node);
                    }
                });
            }

            if (!reader.GetBoolean(3))
            {
                findings.Add(new AuditProblem(AuditProblemKind.LeafMissing, seq, reader.GetInt64(1), Entity: null, "The leaf of this entry is gone."));
                return;
            }

            var leaf = LeafChecks.Read(reader, 4, seq);
            Leaves.Check(leaf);
            if (!leaf.Hash.AsSpan().SequenceEqual(hash))
            {
                findings.Add(AuditProblemKind.HashChanged, leaf, "The leaf's hash is not the one in the log.");
            }

            var position = (leaf.Epoch, leaf.Xid, leaf.Id);
            if (position.CompareTo(_last) <= 0)
            {
                findings.Add(AuditProblemKind.OutOfOrder, leaf, "It stands after a leaf that was committed later.");
            }

            _last = position;
        }

        // The entries after a gap have lost their places; what can be computed ends there.
        private void Gap(long expected, long found)
        {
            if (found > expected)
            {
                findings.Add(AuditProblemKind.EntryMissing, $"Entries {expected} to {found - 1} are gone.", expected);
                _complete = false;
            }
        }

        // Where the next batch of entries ends, whatever gaps there are before and in it; null after the last.
        private async Task<long?> BeyondAsync(long first, CancellationToken cancellation)
        {
            await using var command = Command("select max(seq) + 1 from (select seq from platform.audit_entry where seq >= $1 order by seq limit $2) batch");
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = first });
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = BatchSize });
            return await command.ExecuteScalarAsync(cancellation) as long?;
        }

        private async Task<Dictionary<long, HeadRow>> HeadsAsync(long first, long beyond, CancellationToken cancellation)
        {
            var rows = new Dictionary<long, HeadRow>();
            await using var command = Command($"select {HeadRow.Columns} from platform.audit_head where tree_size > $1 and tree_size <= $2");
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = first });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = beyond });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                rows.Add(reader.GetInt64(0), HeadRow.Read(reader));
            }

            return rows;
        }

        private async Task NodesAsync(Dictionary<Subtree, byte[]> computed, CancellationToken cancellation)
        {
            if (computed.Count == 0)
            {
                return;
            }

            await using var command = Command("""
                select n.hash from unnest($1::int[], $2::bigint[]) with ordinality as w(level, index, ordinal)
                left join platform.audit_node n using (level, index) order by w.ordinal
                """);
            Subtree[] subtrees = [.. computed.Keys];
            command.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = [.. subtrees.Select(subtree => subtree.Level)] });
            command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. subtrees.Select(subtree => subtree.Index)] });
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            foreach (var subtree in subtrees)
            {
                await reader.ReadAsync(cancellation);
                if (reader.IsDBNull(0) || !reader.GetFieldValue<byte[]>(0).AsSpan().SequenceEqual(computed[subtree]))
                {
                    findings.Add(AuditProblemKind.SubtreeChanged, $"The stored hash over entries {subtree.Index << subtree.Level} to {((subtree.Index + 1) << subtree.Level) - 1} is not theirs.", subtree.Index << subtree.Level);
                }
            }
        }

        private static void AddPosition(NpgsqlCommand command, SealerState state)
        {
            command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = state.Epoch });
            command.Parameters.Add(new NpgsqlParameter<ulong> { TypedValue = state.Xid, NpgsqlDbType = NpgsqlDbType.Xid8 });
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = state.LeafId });
        }

        // As long as it takes: the caller's cancellation ends it.
        private NpgsqlCommand Command(string sql) => new(sql, connection) { CommandTimeout = 0 };
    }
}

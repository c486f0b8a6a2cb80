using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>Numbers of findings.</summary>
/// <param name="Unknown">Their keys stay, for it is not known what they are made of.</param>
internal sealed record RekeyCounts(long Findings, long Unknown);

/// <summary>
/// What other rules do to the findings of one (tenant, service, source), worked out in temporary tables: a look at it and doing
/// it are the same up to there. Memory does not grow with the findings, nor does the number of statements but for the batches.
/// </summary>
internal sealed class Rekeying(NpgsqlConnection connection, SourceScope scope, SourceRules from, SourceRules to, Refinements refinements)
{
    private const int BatchSize = 5_000;
    private const int Listed = 100;

    /// <summary>As results are recognised by now, before keys are refined for the new rules.</summary>
    private readonly Refinements _before = refinements.Copy();
    private readonly List<PlannedFinding> _findings = [];
    private readonly List<(Guid Finding, DateTimeOffset Seen, DedupKey Key)> _claims = [];
    private readonly List<PlannedPart> _parts = [];

    /// <summary>It is not applied afterwards: what only that needs is not written.</summary>
    public bool Looks { get; init; }

    /// <summary>Told how many findings more have been looked at, batch by batch.</summary>
    public Func<long, Task> Progress { get; init; } = _ => Task.CompletedTask;

    private sealed record Source(Guid Finding, DateTimeOffset Seen, Guid Observation, Guid Scan, string Pointer, Sha256Digest Payload, string? Identity);

    /// <param name="Keeps">It is known by the keys it has, besides what is claimed for it.</param>
    /// <param name="Stays">Observations that it goes on being recognised by.</param>
    private sealed record PlannedFinding(Guid Finding, DateTimeOffset Seen, bool Keeps, long Stays);

    /// <param name="KnownBy">The keys that it is recognised by now; none where it stays.</param>
    private sealed record PlannedPart(Guid Finding, int Part, Source Observation, DedupKey Key, IReadOnlyList<DedupKey> KnownBy);

    /// <summary>Fills the temporary tables. What was told apart stays so: keys that it would have in common are refined.</summary>
    /// <returns>How many findings there are of kinds whose keys would be others, and the refinements that were added.</returns>
    public async Task<(RekeyCounts Counts, IReadOnlyList<Refinement> Added)> PlanAsync(CancellationToken cancellation)
    {
        await connection.ExecuteAsync(RekeySql.Tables, cancellation);
        var added = await KeepApartAsync(cancellation);
        var kinds = Enum.GetValues<FindingKind>().Where(kind => Signature(from, kind) != Signature(to, kind)).Select(kind => (short)kind).ToArray();
        Gathered? current = null;
        long findings = 0, unknown = 0, told = 0;
        await foreach (var rows in connection.BatchesAsync("rekey_observations", RekeySql.Observations, Read, cancellation, scope.Tenant, scope.Service, scope.Source, kinds))
        {
            foreach (var row in rows)
            {
                if (current is null || current.Finding != row.Finding)
                {
                    End(current);
                    current = new Gathered(row.Finding, row.Seen);
                }

                Add(current, row);
            }

            await FlushAsync(BatchSize, cancellation);
            if (findings - told >= BatchSize / 2)
            {
                await Progress(findings - told);
                told = findings;
            }
        }

        End(current);
        await Progress(findings - told);
        await FlushAsync(1, cancellation);
        await connection.ExecuteAsync(RekeySql.Analyze, cancellation);
        await connection.ExecuteAsync(RekeySql.Elsewhere, cancellation, scope.Tenant, scope.Service, scope.Source);
        await connection.ExecuteAsync(RekeySql.Whole, cancellation);
        return (new RekeyCounts(findings, unknown), added);

        void End(Gathered? ended)
        {
            if (ended is null)
            {
                return;
            }

            var keeps = ended.HasUnknown || ended.Keys.Count == 0;
            _findings.Add(new PlannedFinding(ended.Finding, ended.Seen, keeps, ended.Stays));
            _claims.AddRange(ended.Keys.Values.Where(key => !Looks || key.Ordinal == 0).Select(key => (ended.Finding, ended.Seen, key)));
            _parts.AddRange(ended.Splits ? ended.First : []);
            findings++;
            unknown += keeps ? 1 : 0;
        }
    }

    /// <summary>Gives the findings their new keys. What two claim, the one first seen has; nothing is merged, and nothing is split but by the next import.</summary>
    /// <returns>Findings that are no longer recognised by all of their observations, and keys that went to another finding.</returns>
    public async Task<(long Split, long Lost)> ApplyAsync(IReadOnlyList<Refinement> added, DateTimeOffset now, CancellationToken cancellation)
    {
        if (added.Count > 0)
        {
            await Separations.SaveAsync(connection, scope, added, now, cancellation);
        }

        await connection.ExecuteAsync(RekeySql.Forget, cancellation, scope.Tenant);
        await connection.ExecuteAsync(RekeySql.Claim, cancellation, scope.Tenant, scope.Service, scope.Source);
        var lost = await connection.ExecuteAsync(RekeySql.Lost, cancellation,
            scope.Tenant, scope.Service, scope.Source, now, (short)Outcome.Released, to.Version);
        var split = await connection.ScalarAsync<long>(RekeySql.Released, cancellation,
            scope.Tenant, scope.Service, scope.Source, now, (short)Outcome.Released, to.Version);
        await connection.ExecuteAsync(
            "delete from vuln_center.overmerge where tenant = $1 and service = $2 and source = $3", cancellation, scope.Tenant, scope.Service, scope.Source);
        return (split, lost);
    }

    public async Task<(long Splits, IReadOnlyList<SplitFinding> First)> SplitsAsync(CancellationToken cancellation)
    {
        var parts = await connection.ListAsync(
            RekeySql.Splits,
            row => (Finding: row.GetGuid(0), Part: new SplitPart(row.GetInt64(1), row.GetFieldValue<Guid[]>(2), row.GetString(3), Fields(row.GetString(4)))),
            cancellation, Listed);
        return (
            await connection.ScalarAsync<long>("select count(distinct finding) from rekey_part", cancellation),
            [.. parts.GroupBy(part => part.Finding).Select(finding => new SplitFinding(finding.Key, scope.Service, [.. finding.Select(part => part.Part)]))]);
    }

    public async Task<(long Merges, IReadOnlyList<MergedFindings> First)> MergesAsync(CancellationToken cancellation)
    {
        var merges = await connection.ListAsync(
            RekeySql.Merges,
            row => (All: row.GetInt64(0), Merged: new MergedFindings(scope.Service, row.GetInt64(1), row.GetFieldValue<Guid[]>(2), row.GetString(3), Fields(row.GetString(4)))),
            cancellation, Listed);
        return (merges.Count == 0 ? 0 : merges[0].All, [.. merges.Select(merge => merge.Merged)]);
    }

    private static Dictionary<string, string> Fields(string json) => JsonSerializer.Deserialize(json, VulnCenterJson.Default.DictionaryStringString) ?? [];

    private async Task<IReadOnlyList<Refinement>> KeepApartAsync(CancellationToken cancellation)
    {
        var pairs = await Separations.PairsAsync(connection, scope, cancellation);
        if (pairs.Count == 0)
        {
            return [];
        }

        var traits = await Separations.TraitsAsync(connection, scope.Tenant, pairs.SelectMany(pair => (Guid[])[pair.Finding, pair.Other]), cancellation);
        return [.. pairs.SelectMany(pair => Separations.Separate(traits.GetValueOrDefault(pair.Finding) ?? [], traits.GetValueOrDefault(pair.Other) ?? [], to, refinements).Added)];
    }

    private void Add(Gathered finding, Source row)
    {
        if (row.Identity is null)
        {
            finding.HasUnknown = true;
            return;
        }

        var trait = new Trait(Identities.Read(row.Identity), row.Payload);
        var (part, keys) = finding.Add(DedupKeys.KeysOf(trait.Identity, to), trait, refinements);

        // The parts that stay are written only of findings that split; nearly none does.
        finding.Splits |= part > 0;
        finding.Stays += part == 0 ? 1 : 0;
        if (part > 0)
        {
            _parts.Add(new PlannedPart(row.Finding, part, row, keys[0], _before.KeysOf(trait, from)));
        }
        else if (finding.First.Count < Listed)
        {
            finding.First.Add(new PlannedPart(row.Finding, 0, row, keys[0], []));
        }
    }

    private async Task FlushAsync(int least, CancellationToken cancellation)
    {
        if (Math.Max(_findings.Count, Math.Max(_claims.Count, _parts.Count)) < least)
        {
            return;
        }

        await using (var copy = await connection.BeginBinaryImportAsync("copy rekey_finding (finding, seen, keeps, stays) from stdin (format binary)", cancellation))
        {
            foreach (var finding in _findings)
            {
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(finding.Finding, NpgsqlDbType.Uuid, cancellation);
                await copy.WriteAsync(finding.Seen, NpgsqlDbType.TimestampTz, cancellation);
                await copy.WriteAsync(finding.Keeps, NpgsqlDbType.Boolean, cancellation);
                await copy.WriteAsync(finding.Stays, NpgsqlDbType.Bigint, cancellation);
            }

            await copy.CompleteAsync(cancellation);
        }

        await using (var copy = await connection.BeginBinaryImportAsync("copy rekey_claim (finding, seen, place, key, kind, content, family, number, fields) from stdin (format binary)", cancellation))
        {
            foreach (var (finding, seen, key) in _claims)
            {
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(finding, NpgsqlDbType.Uuid, cancellation);
                await copy.WriteAsync(seen, NpgsqlDbType.TimestampTz, cancellation);
                await copy.WriteAsync(key.Ordinal, NpgsqlDbType.Integer, cancellation);
                await copy.WriteAsync(key.Hash.ToBytes(), NpgsqlDbType.Bytea, cancellation);
                await copy.WriteAsync(StagedResult.KindOf(key), NpgsqlDbType.Text, cancellation);
                await (key.Content is { } content ? copy.WriteAsync(content.ToBytes(), NpgsqlDbType.Bytea, cancellation) : copy.WriteNullAsync(cancellation));
                await (key.Family is { } family ? copy.WriteAsync(family.ToBytes(), NpgsqlDbType.Bytea, cancellation) : copy.WriteNullAsync(cancellation));
                await (key.Family is not null ? copy.WriteAsync(key.Number, NpgsqlDbType.Integer, cancellation) : copy.WriteNullAsync(cancellation));
                await (key.Ordinal == 0 ? copy.WriteAsync(ImportStaging.Fields(key), NpgsqlDbType.Jsonb, cancellation) : copy.WriteNullAsync(cancellation));
            }

            await copy.CompleteAsync(cancellation);
        }

        await using (var copy = await connection.BeginBinaryImportAsync("copy rekey_part (finding, part, observation, scan, pointer, key, kind, fields, known_by, known_kinds) from stdin (format binary)", cancellation))
        {
            foreach (var part in _parts)
            {
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(part.Finding, NpgsqlDbType.Uuid, cancellation);
                await copy.WriteAsync(part.Part, NpgsqlDbType.Integer, cancellation);
                await copy.WriteAsync(part.Observation.Observation, NpgsqlDbType.Uuid, cancellation);
                await copy.WriteAsync(part.Observation.Scan, NpgsqlDbType.Uuid, cancellation);
                await copy.WriteAsync(part.Observation.Pointer, NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(part.Key.Hash.ToBytes(), NpgsqlDbType.Bytea, cancellation);
                await copy.WriteAsync(StagedResult.KindOf(part.Key), NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(ImportStaging.Fields(part.Key), NpgsqlDbType.Jsonb, cancellation);
                await copy.WriteAsync(part.KnownBy.Select(key => key.Hash.ToBytes()).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Bytea, cancellation);
                await copy.WriteAsync(part.KnownBy.Select(StagedResult.KindOf).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Text, cancellation);
            }

            await copy.CompleteAsync(cancellation);
        }

        _findings.Clear();
        _claims.Clear();
        _parts.Clear();
    }

    private static Source Read(NpgsqlDataReader row) => new(
        row.GetGuid(0), row.GetFieldValue<DateTimeOffset>(1), row.GetGuid(2), row.GetGuid(3), row.GetString(4), new Sha256Digest(row.GetFieldValue<byte[]>(5)),
        row.IsDBNull(6) ? null : row.GetString(6));

    /// <summary>Equal when results of the kind have the same keys in the same order.</summary>
    private static string Signature(SourceRules rules, FindingKind kind) => string.Join(
        '\n', rules.Keys.Where(key => key.Kinds.Contains(kind)).Select(key => $"{key.Name} {key.IsFallback} {string.Join(' ', key.Fields)}"));

    /// <summary>A finding while its observations are read.</summary>
    private sealed class Gathered(Guid finding, DateTimeOffset seen)
    {
        public Guid Finding { get; } = finding;

        public DateTimeOffset Seen { get; } = seen;

        /// <summary>
        /// What the rules make of it. Keys that were refined tell it from another finding, and not its observations from each other: it is
        /// known by what became of every key of those that stay.
        /// </summary>
        private readonly Regrouping _byRules = new();

        /// <summary>What a report would make of those that do not stay.</summary>
        private readonly Regrouping _leaving = new();

        /// <summary>Those of the observations that stay, each with its best place among theirs.</summary>
        public Dictionary<Sha256Digest, DedupKey> Keys { get; } = [];

        public List<PlannedPart> First { get; } = [];

        public bool HasUnknown { get; set; }

        public bool Splits { get; set; }

        public long Stays { get; set; }

        /// <returns>The part it belongs to, 0 where it stays, and its keys.</returns>
        public (int Part, IReadOnlyList<DedupKey> Keys) Add(IReadOnlyList<DedupKey> keys, Trait trait, Refinements refinements)
        {
            var refined = refinements.Refine(keys, trait);
            if (_byRules.Add(keys) != 0)
            {
                return (_leaving.Add(refined) + 1, refined);
            }

            foreach (var key in keys.Zip(refined).Where(key => _byRules.IsOfFirst(key.First)).Select(key => key.Second))
            {
                if (!Keys.TryGetValue(key.Hash, out var known) || key.Ordinal < known.Ordinal)
                {
                    Keys[key.Hash] = key;
                }
            }

            return (0, refined);
        }
    }
}

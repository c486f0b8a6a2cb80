using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Wave16.Platform.Store;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>What the keys of a (tenant, service, source) are made by.</summary>
/// <param name="IsSplit">There are findings in it that somebody told apart.</param>
internal sealed record Recognition(SourceRules Rules, Refinements Refinements, bool IsSplit);

/// <param name="Holders">Of each key the finding that is known by it.</param>
internal sealed record KnownFindings(IReadOnlyDictionary<Sha256Digest, Guid> Holders, IReadOnlyDictionary<Guid, List<(Trait Trait, IReadOnlyList<DedupKey> Keys)>> Findings)
{
    public KnownFindings Without(Guid finding) => this with { Findings = Findings.Where(known => known.Key != finding).ToDictionary() };
}

/// <summary>What the audit log says of findings that got other keys.</summary>
internal sealed record RekeyAudit(string Service, string Source, int RuleSet, long Findings, long Unknown, long Split, long Lost);

/// <summary>
/// Sees to it that findings and results are known by keys of the same rules. Everything here runs under the service's lock
/// (<see cref="MergeSql.Lock"/>): whoever comes first after a change of rules, an import, an un-merge or the job, brings the
/// service's findings up to it, and everybody else finds them so.
/// </summary>
internal sealed class FindingKeys([FromKeyedServices(VulnCenterModule.ModuleName)] SetSave tail)
{
    /// <summary>Brings the service's findings up to the rules in force.</summary>
    public async Task<Recognition> EnterAsync(NpgsqlConnection connection, SourceScope scope, string actor, DateTimeOffset now, CancellationToken cancellation)
    {
        var (version, keyed, isSplit, isNumbered) = await VersionsAsync(connection, scope, cancellation);
        var rules = await RuleSets.FindAsync(connection, scope.Tenant, scope.Source, version, cancellation);
        var refinements = isSplit ? await Refinements.LoadAsync(connection, scope.Tenant, scope.Service, scope.Source, cancellation) : new Refinements();
        if (keyed < version)
        {
            var from = await RuleSets.FindAsync(connection, scope.Tenant, scope.Source, keyed, cancellation);
            await RekeyAsync(connection, scope, from, rules, refinements, actor, now, cancellation);
        }

        if (!isNumbered)
        {
            await NumberAsync(connection, scope, rules, refinements, cancellation);
        }

        return new Recognition(rules, refinements, isSplit);
    }

    /// <summary>Brings a staged report up to the rules its service's findings are known by, and keeps its results from joining what was told apart.</summary>
    /// <param name="staged">Version of the rules it was staged by.</param>
    /// <returns>What it is merged by.</returns>
    public async Task<Recognition> EnterAsync(
        NpgsqlConnection connection, SourceScope scope, Guid import, int staged, string actor, DateTimeOffset now, CancellationToken cancellation)
    {
        var recognition = await EnterAsync(connection, scope, actor, now, cancellation);
        if (staged != recognition.Rules.Version)
        {
            await RestageAsync(connection, scope, import, recognition, having: null, NoNumbers, cancellation);
        }
        else if (!recognition.Refinements.IsEmpty)
        {
            await RestageAsync(connection, scope, import, recognition, recognition.Refinements.Keys, NoNumbers, cancellation);
        }

        await connection.ExecuteAsync("create temp table if not exists recalled (observation uuid, keys bytea[]) on commit drop; truncate recalled", cancellation);
        if (recognition.IsSplit)
        {
            await RecallAsync(connection, scope, import, recognition, cancellation);
        }

        await connection.ExecuteAsync(MatchSql.JoinByHash, cancellation);

        // Fingerprints first: what they recognise is not to be recognised by its place.
        foreach (var fingerprints in (bool[])[true, false])
        {
            if (await Numbering.ChangesAsync(connection, scope, import, fingerprints, cancellation) is { Count: > 0 } numbers)
            {
                await RestageAsync(connection, scope, import, recognition, numbers.Keys.ToList(), numbers, cancellation);
            }
        }

        await connection.ExecuteAsync(MatchSql.JoinFreely, cancellation);
        if (recognition.IsSplit && await SettleAsync(connection, scope, import, recognition, now, cancellation) is { Count: > 0 } added)
        {
            await RestageAsync(connection, scope, import, recognition, [.. added.Select(refined => refined.Key)], NoNumbers, cancellation);
        }

        return recognition;
    }

    /// <summary>
    /// What a merged report brought to findings that were told apart may give them a key in common: it is refined now that it is known
    /// which result is whose, so that the same report finds nothing more to do.
    /// </summary>
    public static async Task LeaveAsync(NpgsqlConnection connection, SourceScope scope, Recognition recognition, DateTimeOffset now, CancellationToken cancellation)
    {
        const string shown = "select exists (select from merge_row r join vuln_center.never_merge n on n.tenant = $1 and n.finding = r.target)";
        if (!recognition.IsSplit || !await connection.ScalarAsync<bool>(shown, cancellation, scope.Tenant))
        {
            return;
        }

        var pairs = await Separations.PairsAsync(connection, scope, cancellation);
        var findings = FindingsOf(pairs);
        var traits = await Separations.TraitsAsync(connection, scope.Tenant, findings, cancellation);
        var known = await KnownAsync(connection, scope, findings, traits.Values.SelectMany(side => side), recognition, cancellation);
        await SeparateAsync(connection, scope, pairs, traits, known, recognition, now, cancellation);
    }

    public static async Task<(int Version, int Keyed, bool IsSplit, bool IsNumbered)> VersionsAsync(NpgsqlConnection connection, SourceScope scope, CancellationToken cancellation) =>
        (await connection.ListAsync("""
            select coalesce((select max(version) from vuln_center.dedup_rule where tenant = $1 and source = $3), 1),
                   coalesce((select version from vuln_center.dedup_keyed where tenant = $1 and service = $2 and source = $3), 1),
                   exists (select from vuln_center.never_merge where tenant = $1 and service = $2 and source = $3),
                   coalesce((select numbered from vuln_center.dedup_keyed where tenant = $1 and service = $2 and source = $3), false)
            """, row => (row.GetInt32(0), row.GetInt32(1), row.GetBoolean(2), row.GetBoolean(3)), cancellation, scope.Tenant, scope.Service, scope.Source)).Single();

    private async Task RekeyAsync(
        NpgsqlConnection connection, SourceScope scope, SourceRules from, SourceRules to, Refinements refinements, string actor, DateTimeOffset now, CancellationToken cancellation)
    {
        var rekeying = new Rekeying(connection, scope, from, to, refinements);
        var (counts, added) = await rekeying.PlanAsync(cancellation);
        var (split, lost) = await rekeying.ApplyAsync(added, now, cancellation);
        await connection.ExecuteAsync("""
            insert into vuln_center.dedup_keyed (tenant, service, source, version) values ($1, $2, $3, $4)
            on conflict (tenant, service, source) do update set version = excluded.version
            """, cancellation, scope.Tenant, scope.Service, scope.Source, to.Version);
        if (counts.Findings > 0)
        {
            await tail.WriteAsync(connection, new EntityChange
            {
                Tenant = scope.Tenant,
                Kind = "dedup-keys",
                Id = Guid.CreateVersion7().ToString("D"),
                Version = 1,
                At = now,
                Actor = actor,
                Action = "dedup-rules.applied",
                Details = JsonSerializer.SerializeToElement(
                    new RekeyAudit(scope.Service, scope.Source, to.Version, counts.Findings, counts.Unknown, split, lost), VulnCenterJson.Default.RekeyAudit),
            }, cancellation);
        }
    }

    /// <summary>Tells the families of keys from before they were kept, once for each service and source.</summary>
    private static async Task NumberAsync(NpgsqlConnection connection, SourceScope scope, SourceRules rules, Refinements refinements, CancellationToken cancellation)
    {
        const string done = """
            insert into vuln_center.dedup_keyed (tenant, service, source, version, numbered) values ($1, $2, $3, $4, true)
            on conflict (tenant, service, source) do update set numbered = true
            returning (select exists (select from vuln_center.finding_key where tenant = $1 and service = $2 and source = $3))
            """;
        if (!await connection.ScalarAsync<bool>(done, cancellation, scope.Tenant, scope.Service, scope.Source, rules.Version))
        {
            return;
        }

        await connection.ExecuteAsync("create temp table if not exists numbered (key bytea, family bytea, number int) on commit drop; truncate numbered", cancellation);
        await foreach (var rows in connection.BatchesAsync(
            "unnumbered_observations",
            """
            select o.id, o.identity, o.payload_hash from vuln_center.finding f join vuln_center.observation o on o.tenant = f.tenant and o.finding = f.id and not o.moved
            where f.tenant = $1 and f.service = $2 and f.source = $3 and o.identity is not null
            """, ReadTrait, cancellation, scope.Tenant, scope.Service, scope.Source))
        {
            await using var copy = await connection.BeginBinaryImportAsync("copy numbered (key, family, number) from stdin (format binary)", cancellation);
            foreach (var key in rows.SelectMany(row => refinements.KeysOf(row.Trait, rules)))
            {
                if (key.Family is { } family)
                {
                    await copy.StartRowAsync(cancellation);
                    await copy.WriteAsync(key.Hash.ToBytes(), NpgsqlDbType.Bytea, cancellation);
                    await copy.WriteAsync(family.ToBytes(), NpgsqlDbType.Bytea, cancellation);
                    await copy.WriteAsync(key.Number, NpgsqlDbType.Integer, cancellation);
                }
            }

            await copy.CompleteAsync(cancellation);
        }

        await connection.ExecuteAsync("""
            update vuln_center.finding_key k set family = n.family, number = n.number from numbered n
            where k.tenant = $1 and k.service = $2 and k.source = $3 and k.key = n.key and k.family is null
            """, cancellation, scope.Tenant, scope.Service, scope.Source);
    }

    private static readonly Dictionary<Sha256Digest, int> NoNumbers = [];

    /// <summary>Makes the keys of staged results anew from their identities.</summary>
    /// <param name="having">Only results that have one of these; null: all.</param>
    /// <param name="numbers">Numbers that keys are to have, but for results that were recalled.</param>
    private static Task RestageAsync(
        NpgsqlConnection connection, SourceScope scope, Guid import, Recognition recognition, IReadOnlyCollection<Sha256Digest>? having,
        IReadOnlyDictionary<Sha256Digest, int> numbers, CancellationToken cancellation)
    {
        var any = having?.Select(key => key.ToBytes()).ToArray();
        var rows = connection.BatchesAsync(
            "staged_results",
            $"""
            select s.observation, s.identity, s.payload_hash from vuln_center.staged s
            where s.import = $1 and s.service = $2 and s.source = $3 and s.identity is not null
              {(any is null ? "" : "and s.ctid in (select h.ctid from vuln_center.staged h, unnest(h.keys) as u(key) where h.import = $1 and u.key in (select unnest($4::bytea[])))")}
              {(numbers.Count == 0 ? "" : "and not exists (select from recalled r where r.observation = s.observation)")}
            """, ReadTrait, cancellation, any is null ? [import, scope.Service, scope.Source] : [import, scope.Service, scope.Source, any]);
        return RestageAsync(
            connection, scope, import, recognition, rows,
            row => numbers.Count == 0
                ? row.Trait
                : row.Trait with { Identity = Numbering.With(row.Trait.Identity, recognition.Refinements.KeysOf(row.Trait, recognition.Rules), numbers) },
            row => row.Observation, cancellation);
    }

    private static async Task RecallAsync(NpgsqlConnection connection, SourceScope scope, Guid import, Recognition recognition, CancellationToken cancellation)
    {
        var recollection = new Recollection(recognition);
        var rows = connection.BatchesAsync(
            "known_results", Recollection.Results,
            row => (Known: ReadTrait(row), Finding: row.GetGuid(3), Before: Identities.Read(row.GetString(4))),
            cancellation, import, scope.Service, scope.Source, scope.Tenant);
        await RestageAsync(
            connection, scope, import, recognition, rows,
            row => recollection.Recall(row.Known.Trait.Identity, row.Finding, row.Before) is { } identity ? row.Known.Trait with { Identity = identity } : null,
            row => row.Known.Observation, cancellation, """
            insert into recalled (observation, keys) select r.observation, s.keys from restaged r join vuln_center.staged s using (observation) where s.import = $1 and s.service = $2 and s.source = $3
            """);
        await connection.ExecuteAsync("analyze recalled", cancellation);
    }

    /// <param name="now">What a result is now; null: as it was.</param>
    /// <param name="before">Done before they are changed.</param>
    private static async Task RestageAsync<TRow>(
        NpgsqlConnection connection, SourceScope scope, Guid import, Recognition recognition, IAsyncEnumerable<IReadOnlyList<TRow>> batches,
        Func<TRow, Trait?> now, Func<TRow, Guid> observationOf, CancellationToken cancellation, string? before = null)
    {
        await connection.ExecuteAsync("""
            create temp table if not exists restaged (
              observation uuid, identity jsonb, keys bytea[], key_kinds text[], key_fields jsonb, contents bytea[], families bytea[], numbers int[]) on commit drop;
            truncate restaged
            """, cancellation);
        await foreach (var rows in batches)
        {
            await using var copy = await connection.BeginBinaryImportAsync(
                "copy restaged (observation, identity, keys, key_kinds, key_fields, contents, families, numbers) from stdin (format binary)", cancellation);
            foreach (var row in rows)
            {
                if (now(row) is not { } trait)
                {
                    continue;
                }

                var keys = recognition.Refinements.KeysOf(trait, recognition.Rules);
                await copy.StartRowAsync(cancellation);
                await copy.WriteAsync(observationOf(row), NpgsqlDbType.Uuid, cancellation);
                await copy.WriteAsync(Identities.Write(trait.Identity), NpgsqlDbType.Jsonb, cancellation);
                await copy.WriteAsync(keys.Select(key => key.Hash.ToBytes()).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Bytea, cancellation);
                await copy.WriteAsync(keys.Select(StagedResult.KindOf).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Text, cancellation);
                await copy.WriteAsync(ImportStaging.Fields(keys), NpgsqlDbType.Jsonb, cancellation);
                await copy.WriteAsync(keys.Select(key => key.Content?.ToBytes()).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Bytea, cancellation);
                await copy.WriteAsync(keys.Select(key => key.Family?.ToBytes()).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Bytea, cancellation);
                await copy.WriteAsync(keys.Select(key => key.Number).ToArray(), NpgsqlDbType.Array | NpgsqlDbType.Integer, cancellation);
            }

            await copy.CompleteAsync(cancellation);
        }

        await connection.ExecuteAsync("analyze restaged", cancellation);
        if (before is not null)
        {
            await connection.ExecuteAsync(before, cancellation, import, scope.Service, scope.Source);
        }

        await connection.ExecuteAsync("""
            update vuln_center.staged s
            set identity = r.identity, keys = r.keys, key_kinds = r.key_kinds, key_fields = r.key_fields, contents = r.contents, families = r.families, numbers = r.numbers
            from restaged r where s.import = $1 and s.service = $2 and s.source = $3 and s.observation = r.observation
            """, cancellation, import, scope.Service, scope.Source);
    }

    /// <summary>
    /// Keys of the report that findings which were told apart would have in common, as when a tool begins to send an id that
    /// is the same for both: they are refined before anything is matched by them. A result that no finding has shown as it is belongs
    /// to the finding that has a refined key of it, else to the one that has the best of its keys that is known.
    /// </summary>
    private static async Task<IReadOnlyList<Refinement>> SettleAsync(
        NpgsqlConnection connection, SourceScope scope, Guid import, Recognition recognition, DateTimeOffset now, CancellationToken cancellation)
    {
        var pairs = await Separations.PairsAsync(connection, scope, cancellation);
        var findings = FindingsOf(pairs);
        var rows = await connection.ListAsync("""
            select observation, identity, payload_hash from vuln_center.staged
            where import = $1 and service = $2 and source = $3 and identity is not null
              and keys && (select array_agg(key) from vuln_center.finding_key where tenant = $4 and finding = any ($5))
            """, ReadTrait, cancellation, import, scope.Service, scope.Source, scope.Tenant, findings);
        if (rows.Count == 0)
        {
            return [];
        }

        var traits = await Separations.TraitsAsync(connection, scope.Tenant, findings, cancellation);
        var known = await KnownAsync(connection, scope, findings, [.. traits.Values.SelectMany(side => side), .. rows.Select(row => row.Trait)], recognition, cancellation);
        var shown = known.Findings.Values.SelectMany(results => results).Select(result => AsShown(result.Trait)).ToHashSet();
        foreach (var trait in rows.Select(row => row.Trait).Where(trait => !shown.Contains(AsShown(trait))))
        {
            var keys = recognition.Refinements.KeysOf(trait, recognition.Rules).Where(key => known.Holders.ContainsKey(key.Hash)).ToList();
            var decisive = keys.Find(key => key.Fields.Any(field => field.Name.StartsWith(Refinements.FieldPrefix, StringComparison.Ordinal))) ?? keys[0];
            if (traits.TryGetValue(known.Holders[decisive.Hash], out var side))
            {
                side.Add(trait);
            }
        }

        return await SeparateAsync(connection, scope, pairs, traits, known, recognition, now, cancellation);

        static (Sha256Digest, string) AsShown(Trait trait) => (trait.Payload, Identities.Write(trait.Identity));
    }

    private static Guid[] FindingsOf(IEnumerable<(Guid Finding, Guid Other)> pairs) => [.. pairs.SelectMany(pair => (Guid[])[pair.Finding, pair.Other]).Distinct()];

    private static async Task<IReadOnlyList<Refinement>> SeparateAsync(
        NpgsqlConnection connection, SourceScope scope, IReadOnlyList<(Guid Finding, Guid Other)> pairs, Dictionary<Guid, List<Trait>> traits, KnownFindings known,
        Recognition recognition, DateTimeOffset now, CancellationToken cancellation)
    {
        List<Refinement> added = [.. pairs.SelectMany(pair => Separations.Separate(
            traits.GetValueOrDefault(pair.Finding) ?? [], traits.GetValueOrDefault(pair.Other) ?? [], recognition.Rules, recognition.Refinements).Added)];
        if (added.Count > 0)
        {
            await Separations.SaveAsync(connection, scope, added, now, cancellation);
            await GiveWhatTheyHadAsync(connection, scope, known, added, recognition, cancellation);
            var sides = FindingsOf(pairs);
            await GiveTheirBestAsync(connection, scope, known with { Findings = known.Findings.Where(finding => sides.Contains(finding.Key)).ToDictionary() }, recognition, cancellation);
            await GiveTheirBestAsync(connection, scope, known, recognition, cancellation);
        }

        return added;
    }

    /// <summary>These findings, and those that are known by a key of these results, with what they are recognised by; before a key is refined.</summary>
    internal static async Task<KnownFindings> KnownAsync(
        NpgsqlConnection connection, SourceScope scope, IEnumerable<Guid> findings, IEnumerable<Trait> results, Recognition recognition, CancellationToken cancellation)
    {
        var holders = (await connection.ListAsync(
            "select key, finding from vuln_center.finding_key where tenant = $1 and service = $2 and source = $3 and key = any ($4)",
            row => (new Sha256Digest(row.GetFieldValue<byte[]>(0)), row.GetGuid(1)), cancellation, scope.Tenant, scope.Service, scope.Source,
            results.SelectMany(result => recognition.Refinements.KeysOf(result, recognition.Rules)).Select(key => key.Hash).Distinct().Select(key => key.ToBytes()).ToArray())).ToDictionary();
        var traits = await Separations.TraitsAsync(connection, scope.Tenant, findings.Concat(holders.Values), cancellation);
        return new KnownFindings(holders, traits.ToDictionary(
            finding => finding.Key,
            finding => finding.Value.Select(trait => (trait, recognition.Refinements.KeysOf(trait, recognition.Rules))).ToList()));
    }

    /// <summary>Whoever had a key that was refined is known by what became of it.</summary>
    internal static async Task GiveWhatTheyHadAsync(
        NpgsqlConnection connection, SourceScope scope, KnownFindings known, IReadOnlyList<Refinement> added, Recognition recognition, CancellationToken cancellation)
    {
        await connection.ExecuteAsync(
            "delete from vuln_center.finding_key where tenant = $1 and service = $2 and source = $3 and key = any ($4)",
            cancellation, scope.Tenant, scope.Service, scope.Source, added.Select(refined => refined.Key.ToBytes()).ToArray());
        foreach (var (finding, results) in known.Findings)
        {
            await Separations.GiveAsync(connection, scope, finding, Refined(results, recognition, key => known.Holders.GetValueOrDefault(key.Hash) == finding), cancellation);
        }
    }

    /// <summary>
    /// The best key of a result that is nobody's becomes its finding's, also where the finding did not have what it was refined from. After all
    /// that had it: the reports found those.
    /// </summary>
    internal static async Task GiveTheirBestAsync(NpgsqlConnection connection, SourceScope scope, KnownFindings known, Recognition recognition, CancellationToken cancellation)
    {
        foreach (var (finding, results) in known.Findings)
        {
            await Separations.GiveAsync(connection, scope, finding, Refined(results, recognition, key => key.Ordinal == 0), cancellation);
        }
    }

    /// <summary>What became of some of the keys that were refined since.</summary>
    internal static IReadOnlyCollection<DedupKey> Refined(
        IEnumerable<(Trait Trait, IReadOnlyList<DedupKey> Keys)> before, Recognition recognition, Predicate<DedupKey> which) =>
        [.. before.SelectMany(known => known.Keys
            .Zip(recognition.Refinements.Refine(known.Keys, known.Trait))
            .Where(key => key.First.Hash != key.Second.Hash && which(key.First))
            .Select(key => key.Second)).DistinctBy(key => key.Hash)];

    private static (Guid Observation, Trait Trait) ReadTrait(NpgsqlDataReader row) =>
        (row.GetGuid(0), new Trait(Identities.Read(row.GetString(1)), new Sha256Digest(row.GetFieldValue<byte[]>(2))));
}

using Npgsql;
using NpgsqlTypes;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>A key that was refined, and what was added to it.</summary>
internal sealed record Refinement(Sha256Digest Key, IReadOnlyList<string> Attributes);

/// <summary>Keeps apart, for good, what somebody told apart: no key of one side may be a key of the other.</summary>
internal static class Separations
{
    /// <summary>Refines every key that the two sides have in common, where anything tells them apart.</summary>
    /// <returns>What was added, all of it to be saved, and whether they have no key in common any more: not where they hold the same bytes.</returns>
    public static (IReadOnlyList<Refinement> Added, bool AreApart) Separate(IReadOnlyList<Trait> one, IReadOnlyList<Trait> other, SourceRules rules, Refinements refinements)
    {
        List<Refinement> added = [];
        HashSet<Sha256Digest> inseparable = [];
        for (; ; )
        {
            var (mine, theirs) = (ByKey(one), ByKey(other));
            var contested = mine.Keys.Where(key => theirs.ContainsKey(key) && !inseparable.Contains(key)).ToList();
            if (contested.Count == 0)
            {
                return (added, inseparable.Count == 0);
            }

            foreach (var key in contested)
            {
                if (Refinements.Between(mine[key], theirs[key]) is not { } attributes)
                {
                    inseparable.Add(key);
                    continue;
                }

                refinements.Add(key, attributes);
                added.Add(new Refinement(key, attributes));
            }
        }

        Dictionary<Sha256Digest, List<Trait>> ByKey(IReadOnlyList<Trait> side)
        {
            Dictionary<Sha256Digest, List<Trait>> keys = [];
            foreach (var trait in side)
            {
                foreach (var key in refinements.KeysOf(trait, rules))
                {
                    (System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(keys, key.Hash, out _) ??= []).Add(trait);
                }
            }

            return keys;
        }
    }

    public static async Task SaveAsync(NpgsqlConnection connection, SourceScope scope, IReadOnlyList<Refinement> added, DateTimeOffset now, CancellationToken cancellation) =>
        await connection.ExecuteAsync("""
            insert into vuln_center.dedup_refinement (tenant, service, source, key, attributes, at)
            select $1, $2, $3, r.key, string_to_array(r.attributes, ','), $6 from unnest($4::bytea[], $5::text[]) as r(key, attributes)
            on conflict do nothing
            """, cancellation, scope.Tenant, scope.Service, scope.Source, added.Select(refined => refined.Key.ToBytes()).ToArray(),
            added.Select(refined => string.Join(',', refined.Attributes)).ToArray(), now);

    public static Task<List<(Guid Finding, Guid Other)>> PairsAsync(NpgsqlConnection connection, SourceScope scope, CancellationToken cancellation) => connection.ListAsync(
        "select finding, other from vuln_center.never_merge where tenant = $1 and service = $2 and source = $3 and finding < other order by finding, other",
        row => (row.GetGuid(0), row.GetGuid(1)), cancellation, scope.Tenant, scope.Service, scope.Source);

    /// <summary>What the findings were recognised by, by finding; observations of before identities were kept are left out.</summary>
    public static async Task<Dictionary<Guid, List<Trait>>> TraitsAsync(NpgsqlConnection connection, string tenant, IEnumerable<Guid> findings, CancellationToken cancellation)
    {
        Dictionary<Guid, List<Trait>> traits = [];
        foreach (var (finding, trait) in await connection.ListAsync(
            "select finding, identity, payload_hash from vuln_center.observation where tenant = $1 and finding = any ($2) and identity is not null and not moved",
            row => (row.GetGuid(0), new Trait(Identities.Read(row.GetString(1)), new Sha256Digest(row.GetFieldValue<byte[]>(2)))), cancellation, tenant, findings.Distinct().ToArray()))
        {
            (System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(traits, finding, out _) ??= []).Add(trait);
        }

        return traits;
    }

    /// <summary>Gives keys to a finding that no other one has.</summary>
    public static async Task GiveAsync(NpgsqlConnection connection, SourceScope scope, Guid finding, IReadOnlyCollection<DedupKey> keys, CancellationToken cancellation)
    {
        if (keys.Count == 0)
        {
            return;
        }

        await using var command = connection.Statement("""
            insert into vuln_center.finding_key (tenant, service, source, key, finding, kind, content, family, number)
            select $1, $2, $3, k.key, $4, k.kind, k.content, k.family, case when k.family is not null then k.number end
            from unnest($5::bytea[], $6::text[], $7::bytea[], $8::bytea[], $9::int[]) as k(key, kind, content, family, number)
            on conflict do nothing
            """, scope.Tenant, scope.Service, scope.Source, finding, keys.Select(key => key.Hash.ToBytes()).ToArray(), keys.Select(StagedResult.KindOf).ToArray());
        command.Parameters.Add(new NpgsqlParameter { Value = keys.Select(key => key.Content?.ToBytes()).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bytea });
        command.Parameters.Add(new NpgsqlParameter { Value = keys.Select(key => key.Family?.ToBytes()).ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bytea });
        command.Parameters.Add(new NpgsqlParameter { Value = keys.Select(key => key.Number).ToArray() });
        await command.ExecuteNonQueryAsync(cancellation);
    }
}

/// <summary>Whose keys are unique among each other.</summary>
internal sealed record SourceScope(string Tenant, string Service, string Source);

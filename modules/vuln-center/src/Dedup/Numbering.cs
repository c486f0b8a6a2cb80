using Npgsql;
using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>A place that a finding is known by. Findings that somebody told apart may have a number in common, and differ by their keys.</summary>
internal sealed record HeldPlace<TFinding>(TFinding Finding, string Key, int Number, Place Place) where TFinding : class;

/// <summary>A place that the report shows, by the number it has there.</summary>
/// <param name="Better">The finding that a better key of it is known by; null when there is none.</param>
/// <param name="IsRecalled">Its number is the one it had before (<see cref="Recollection"/>).</param>
/// <param name="Beside">The number that was recalled for what the report has in the same place; null when there is none.</param>
internal sealed record ShownPlace<TFinding>(string Key, int Number, Place Place, TFinding? Better, bool IsRecalled = false, int? Beside = null) where TFinding : class;

/// <summary>
/// Results that only their number tells apart are numbered in the order of the report, which one more or one less of them
/// shifts. Before anything is matched, each gets the number of the finding that stands where it does (<see cref="Pairing"/>), and what is
/// none of them a number that no finding has.
/// </summary>
internal static class Numbering
{
    /// <summary>What to call each place of one family, in the order given.</summary>
    public static int[] Renumber<TFinding>(IReadOnlyList<HeldPlace<TFinding>> held, IReadOnlyList<ShownPlace<TFinding>> shown) where TFinding : class
    {
        // Of a finding that has several numbers only one place is known: whoever has one of them keeps it.
        var several = held.CountBy(place => place.Finding).Where(count => count.Value > 1).Select(count => count.Key).ToHashSet();
        var kept = held.Where(place => several.Contains(place.Finding)).Select(place => place.Number).ToHashSet();
        var ofFinding = held.Index().ToLookup(place => place.Item.Finding, place => place.Index);
        var ofKey = held.Index().ToDictionary(place => place.Item.Key, place => place.Index, StringComparer.Ordinal);
        Dictionary<int, int> numbers = [];
        HashSet<int> taken = [];
        foreach (var (i, place) in shown.Index().Where(place => place.Item.IsRecalled))
        {
            Keep(i, place);
        }

        foreach (var (i, place) in shown.Index().Where(place => !place.Item.IsRecalled))
        {
            if (place.Beside is { } beside)
            {
                numbers[i] = beside;
            }
            else if (place.Better is { } better)
            {
                foreach (var known in ofFinding[better].OrderBy(known => held[known].Number != place.Number).Where(taken.Add).Take(1))
                {
                    numbers[i] = held[known].Number;
                }
            }
        }

        foreach (var (i, place) in shown.Index().Where(place => place.Item is { IsRecalled: false, Beside: null, Better: null } && kept.Contains(place.Item.Number)))
        {
            Keep(i, place);
        }

        var free = held.Index().Where(place => !taken.Contains(place.Index) && !several.Contains(place.Item.Finding)).Select(place => place.Item).ToList();
        var open = Enumerable.Range(0, shown.Count).Where(i => !numbers.ContainsKey(i) && shown[i].Better is null).ToList();
        foreach (var (i, pair) in open.Zip(Pairing.Pair([.. free.Select(place => place.Place)], [.. open.Select(i => shown[i].Place)])))
        {
            if (pair >= 0)
            {
                numbers[i] = free[pair].Number;
            }
        }

        var used = held.Select(place => place.Number).Concat(numbers.Values).ToHashSet();
        var next = 0;
        foreach (var i in Enumerable.Range(0, shown.Count).Where(i => !numbers.ContainsKey(i)).OrderBy(i => shown[i].Number).ToList())
        {
            for (numbers[i] = shown[i].Number; !used.Add(numbers[i]); numbers[i] = next++)
            {
                // Taken: the least number that is not.
            }
        }

        return [.. Enumerable.Range(0, shown.Count).Select(i => numbers[i])];

        void Keep(int i, ShownPlace<TFinding> place)
        {
            numbers[i] = place.Number;
            if (ofKey.TryGetValue(place.Key, out var same))
            {
                taken.Add(same);
            }
        }
    }

    /// <summary>An identity whose keys have other numbers; of several keys that are numbered alike the first decides.</summary>
    public static ObservationIdentity With(ObservationIdentity identity, IReadOnlyList<DedupKey> keys, IReadOnlyDictionary<Sha256Digest, int> numbers)
    {
        var isOwn = false;
        var fingerprints = identity.Fingerprints;
        foreach (var key in keys)
        {
            if (key.Family is null || !numbers.TryGetValue(key.Hash, out var number))
            {
                continue;
            }

            if (key.Fields.FirstOrDefault(field => field.Name == "algorithm")?.Value is { } algorithm)
            {
                var value = key.Fields.First(field => field.Name == KeyFields.Fingerprint).Value;
                fingerprints = [.. (fingerprints ?? []).Select(print => print.Algorithm == algorithm && print.Value == value ? print with { Occurrence = number } : print)];
            }
            else if (!isOwn)
            {
                isOwn = true;
                identity = identity with { Occurrence = number };
            }
        }

        return identity with { Fingerprints = fingerprints };
    }

    /// <summary>
    /// The places of families that have several of them, in the report and among the findings, family by family. $1 import,
    /// $2 service, $3 source, $4 tenant, $5 whether tools' fingerprints or all other keys. Uses finding_key_family; "|| ''" keeps it from the keys of the whole service
    /// in the primary key, which the planner may believe to be few (<see cref="MatchSql.Candidates"/>).
    /// </summary>
    private const string Places = """
        with result as (
          select u.family, u.key, u.number, u.ord, s.ctid as place, s.ordinal, r.observation is not null as is_recalled, r.keys[u.ord] as reported
          from vuln_center.staged s
          left join recalled r using (observation)
          cross join lateral unnest(s.keys, s.key_kinds, s.families, s.numbers) with ordinality as u(key, kind, family, number, ord)
          where s.import = $1 and s.service = $2 and s.source = $3 and u.family is not null and (u.kind like '%:%') = $5
        ), held as (
          select k.* from (select distinct family from result) u
          cross join lateral (
            select family, key, number, finding from vuln_center.finding_key k
            where k.family = u.family and k.service = $2 and k.tenant || '' = $4 and k.source || '' = $3 offset 0) k
        ), several as (
          select family from (select family, key, is_recalled from result union select family, key, null from held) keys
          group by family having count(distinct key) > 1 or count(distinct is_recalled) > 1
        ), unit as (
          select distinct on (r.family, r.key, r.is_recalled) r.family, r.key, r.number, r.is_recalled, r.place, better.finding
          from result r
          join vuln_center.staged s on s.ctid = r.place
          left join lateral (
            select k.finding from unnest(s.keys[1:r.ord::int - 1]) with ordinality as b(key, ord)
            join vuln_center.finding_key k on k.tenant = $4 and k.service = $2 and k.source = $3 and k.key = b.key
            order by b.ord limit 1) better on true
          where r.family in (select family from several)
          order by r.family, r.key, r.is_recalled, better.finding is not null, r.ordinal
        ), beside as (
          select distinct on (family, reported) family, reported, number from result where is_recalled order by family, reported, ordinal
        )
        select u.family, false as is_held, u.key, u.number, s.line, (s.detail ->> 'column')::int as place_column, s.code_scope,
               encode(sha256(convert_to(s.title || '|' || coalesce(s.url, '') || '|' || coalesce(s.detail ->> 'description', ''), 'UTF8')), 'hex') as label,
               true as is_live, u.finding, u.is_recalled, b.number as beside
        from unit u join vuln_center.staged s on s.ctid = u.place
        left join beside b on not u.is_recalled and b.family = u.family and b.reported = u.key
        union all
        select h.family, true, h.key, h.number, f.line, (f.detail ->> 'column')::int, f.code_scope,
               encode(sha256(convert_to(f.title || '|' || coalesce(f.url, '') || '|' || coalesce(f.detail ->> 'description', ''), 'UTF8')), 'hex'),
               f.status in (1, 2), h.finding, false, null
        from held h join vuln_center.finding f on f.tenant = $4 and f.id = h.finding
        where h.family in (select family from several)
        order by 1, 2, 4
        """;

    /// <summary>Numbers that keys of the report have to have instead of those they have, but for results that were recalled.</summary>
    public static async Task<IReadOnlyDictionary<Sha256Digest, int>> ChangesAsync(
        NpgsqlConnection connection, SourceScope scope, Guid import, bool fingerprints, CancellationToken cancellation)
    {
        Dictionary<Sha256Digest, int> changes = [];
        List<HeldPlace<string>> held = [];
        List<ShownPlace<string>> shown = [];
        List<Sha256Digest> keys = [];
        byte[] family = [];
        await using var command = connection.Statement(Places, import, scope.Service, scope.Source, scope.Tenant, fingerprints);
        await using var row = await command.ExecuteReaderAsync(cancellation);
        while (await row.ReadAsync(cancellation))
        {
            var next = row.GetFieldValue<byte[]>(0);
            if (!next.AsSpan().SequenceEqual(family))
            {
                End();
                family = next;
            }

            var place = new Place(
                row.IsDBNull(4) ? null : row.GetInt32(4), row.IsDBNull(5) ? null : row.GetInt32(5),
                row.IsDBNull(6) ? null : Convert.ToHexString(row.GetFieldValue<byte[]>(6)), row.GetString(7), row.GetBoolean(8));
            var key = new Sha256Digest(row.GetFieldValue<byte[]>(2));
            var finding = row.IsDBNull(9) ? null : row.GetGuid(9).ToString("N");
            if (row.GetBoolean(1))
            {
                held.Add(new HeldPlace<string>(finding ?? "", key.ToString(), row.GetInt32(3), place));
            }
            else
            {
                shown.Add(new ShownPlace<string>(key.ToString(), row.GetInt32(3), place, finding, row.GetBoolean(10), row.IsDBNull(11) ? null : row.GetInt32(11)));
                keys.Add(key);
            }
        }

        End();
        return changes;

        void End()
        {
            foreach (var (i, number) in Renumber(held, shown).Index())
            {
                if (number != shown[i].Number)
                {
                    changes[keys[i]] = number;
                }
            }

            held.Clear();
            shown.Clear();
            keys.Clear();
        }
    }
}

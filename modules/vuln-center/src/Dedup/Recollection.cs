using Wave16.VulnCenter.Contracts;
using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>
/// Findings that somebody told apart are known by keys that are made of numbers (<see cref="Numbering"/>) and of what the results said, so
/// a result that came before has to have the numbers that it had then: laid beside the findings anew, it could have another's. Of several
/// results that one number of one finding belonged to, one has it, the one that stands where the finding does.
/// </summary>
internal sealed class Recollection(Recognition recognition)
{
    /// <summary>
    /// Results whose bytes a finding has shown that has a key like one of theirs, but for its number; with the identity that they had in it. Of
    /// several findings the one that was seen last and stands there. $1 import, $2 service, $3 source, $4 tenant. Uses finding_key_family and observation's primary key.
    /// </summary>
    public const string Results = """
        select s.observation, s.identity, s.payload_hash, k.finding, k.before
        from vuln_center.staged s
        cross join lateral (
          select o.finding, o.identity as before, f.line is not distinct from s.line as stands
          from (
            select distinct k.finding from unnest(s.families) as u(family)
            cross join lateral (
              select k.finding from vuln_center.finding_key k where k.family = u.family and k.service = $2 and k.tenant || '' = $4 and k.source || '' = $3 offset 0) k) h
          cross join lateral (
            select o.finding, o.identity, o.id from vuln_center.observation o
            where o.tenant = $4 and o.finding = h.finding and o.payload_hash = s.payload_hash and not o.moved and o.identity is not null offset 0) o
          join vuln_center.finding f on f.tenant = $4 and f.id = h.finding
          left join vuln_center.finding_seen q on q.tenant = $4 and q.finding = h.finding
          order by q.at desc nulls last, stands desc, o.id desc
          limit 1) k
        where s.import = $1 and s.service = $2 and s.source = $3 and s.identity is not null
        order by k.stands desc, s.ordinal
        """;

    private readonly Dictionary<(Sha256Digest Family, int Number, Guid Finding), int> _claims = [];

    /// <summary>The result with the numbers it had; null where another one has them.</summary>
    /// <param name="before">As the same bytes were recognised then, in that finding.</param>
    public ObservationIdentity? Recall(ObservationIdentity result, Guid finding, ObservationIdentity before)
    {
        var recalled = WithNumbers(result, before);
        var (keys, claims) = (Families(result), Families(recalled));
        if (claims.Count != keys.Count || keys.Zip(claims).Any(key =>
            _claims.TryGetValue((key.Second.Family, key.Second.Number, finding), out var other) && other != key.First.Number))
        {
            return null;
        }

        foreach (var (key, claim) in keys.Zip(claims))
        {
            _claims[(claim.Family, claim.Number, finding)] = key.Number;
        }

        return recalled;
    }

    private List<(Sha256Digest Family, int Number)> Families(ObservationIdentity identity) =>
        [.. DedupKeys.KeysOf(identity, recognition.Rules).Where(key => key.Family is not null).Select(key => (key.Family.GetValueOrDefault(), key.Number))];

    private static ObservationIdentity WithNumbers(ObservationIdentity identity, ObservationIdentity from) => identity with
    {
        Occurrence = from.Occurrence,
        Fingerprints = identity.Fingerprints is not { } prints ? null : [.. prints.Select(print =>
            (from.Fingerprints ?? []).FirstOrDefault(other => other.Algorithm == print.Algorithm && other.Value == print.Value) is { } other
                ? print with { Occurrence = other.Occurrence }
                : print)],
    };
}

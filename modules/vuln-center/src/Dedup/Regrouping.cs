using Wave16.VulnCenter.Imports;

namespace Wave16.VulnCenter.Dedup;

/// <summary>
/// The observations of one finding as an import would group them, had they come one after the other: each joins the group
/// that knows its best possible key, unless a better key of it contradicts that; otherwise it begins a group of its own.
/// </summary>
internal sealed class Regrouping
{
    private readonly Dictionary<Sha256Digest, int> _keys = [];
    private readonly List<HashSet<string>> _kinds = [];

    /// <summary>Whether it is a key of the group that the first observation began.</summary>
    public bool IsOfFirst(DedupKey key) => _keys.TryGetValue(key.Hash, out var group) && group == 0;

    /// <returns>The group, from 0.</returns>
    public int Add(IReadOnlyList<DedupKey> keys)
    {
        for (var place = 0; place < keys.Count; place++)
        {
            if (_keys.TryGetValue(keys[place].Hash, out var group) && !keys.Take(place).Any(better => _kinds[group].Contains(StagedResult.KindOf(better))))
            {
                Learn(keys, group);
                return group;
            }
        }

        _kinds.Add([]);
        Learn(keys, _kinds.Count - 1);
        return _kinds.Count - 1;
    }

    private void Learn(IReadOnlyList<DedupKey> keys, int group)
    {
        foreach (var key in keys)
        {
            if (_keys.TryAdd(key.Hash, group))
            {
                _kinds[group].Add(StagedResult.KindOf(key));
            }
        }
    }
}

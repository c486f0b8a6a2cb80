using Wave16.VulnCenter.Imports.Formats;

namespace Wave16.VulnCenter.Groups;

/// <summary>A finding as grouping sees it.</summary>
/// <param name="Component">Canonical component key; null matches nothing.</param>
/// <param name="Ids">Advisory ids its source named.</param>
internal sealed record LinkNode(Guid Finding, string Source, string? Component, string Rule, IReadOnlyList<string> Ids);

/// <summary>What somebody said of two findings.</summary>
/// <param name="Apart">They are never in one group; otherwise they always are.</param>
/// <param name="Taken">The one that was taken out.</param>
internal sealed record LinkPair(Guid A, Guid B, bool Apart, Guid? Taken, DateTimeOffset At);

/// <param name="Links">For each member, the alias clusters it shares with other members.</param>
internal sealed record LinkedGroup(IReadOnlyList<Guid> Findings, bool Manual, IReadOnlyDictionary<Guid, IReadOnlyList<string>> Links);

/// <summary>
/// Which findings of one service are one problem (docs/groups.md). Depends on nothing but its arguments and not on their
/// order; components that nothing joins do not influence each other, so a neighbourhood is computed as the whole would be.
/// </summary>
internal static class Linking
{
    /// <param name="nodes">With all other findings of their components.</param>
    /// <param name="cluster">The alias cluster of an id; the id itself when nothing is known of it.</param>
    /// <param name="pairs">All that name one of the nodes.</param>
    public static IReadOnlyList<LinkedGroup> Groups(IReadOnlyList<LinkNode> nodes, Func<string, string> cluster, IReadOnlyList<LinkPair> pairs)
    {
        var ordered = nodes.OrderBy(node => node.Finding).ToList();
        var index = ordered.Select((node, i) => (node.Finding, i)).ToDictionary(at => at.Finding, at => at.i);
        var parts = new Parts(ordered.Count, pairs.Where(pair => pair.Apart), index);
        List<int> joined = [];
        foreach (var pair in pairs.Where(pair => !pair.Apart).OrderBy(pair => pair.At).ThenBy(pair => pair.A).ThenBy(pair => pair.B))
        {
            if (index.TryGetValue(pair.A, out var a) && index.TryGetValue(pair.B, out var b) && parts.TryJoin(a, b))
            {
                joined.Add(a);
            }
        }

        // Who was taken out of a group finds a place last, so that the others stay together.
        var taken = pairs.Where(pair => pair.Apart).Select(pair => pair.Taken).OfType<Guid>().ToHashSet();
        var shared = Shared(ordered, cluster);
        foreach (var (_, members) in shared)
        {
            List<int> seen = [];
            foreach (var member in members.OrderBy(member => taken.Contains(ordered[member].Finding)))
            {
                // Any earlier member that it may stand beside; the first one decides.
                _ = seen.Any(other => parts.TryJoin(other, member));
                seen.Add(member);
            }
        }

        return Collect(ordered, parts, shared, [.. joined.Select(parts.Of)]);
    }

    /// <summary>Members by what they share, in a fixed order: the component, and a cluster that two of them count by.</summary>
    private static List<((string Component, string Cluster) Shared, List<int> Members)> Shared(List<LinkNode> nodes, Func<string, string> cluster)
    {
        SortedDictionary<(string, string), List<int>> classes = new(Comparer<(string Component, string Cluster)>.Create((x, y) =>
            string.CompareOrdinal(x.Component, y.Component) is not 0 and var order ? order : string.CompareOrdinal(x.Cluster, y.Cluster)));
        foreach (var component in nodes.Select((node, i) => (node.Component, Index: i)).Where(at => at.Component is not null).GroupBy(at => at.Component, at => at.Index, StringComparer.Ordinal))
        {
            foreach (var (i, keys) in Keys([.. component], nodes, cluster))
            {
                foreach (var key in keys)
                {
                    var place = (component.Key ?? "", key);
                    if (!classes.TryGetValue(place, out var members))
                    {
                        classes[place] = members = [];
                    }

                    members.Add(i);
                }
            }
        }

        return [.. classes.Where(shared => shared.Value.Count > 1).Select(shared => (shared.Key, shared.Value))];
    }

    /// <summary>
    /// By which clusters each finding of a component counts: all it names, but bulletins only as its own id. Where that would make
    /// one of two CVEs, the sources do not agree, and each counts by its CVE alone, or without one by its own id.
    /// </summary>
    private static IEnumerable<(int Node, IReadOnlyCollection<string> Keys)> Keys(List<int> component, List<LinkNode> nodes, Func<string, string> cluster)
    {
        var named = component.Select(i => Named.Of(nodes[i], cluster)).ToList();
        var parts = new Parts(component.Count, [], []);
        Dictionary<string, int> first = new(StringComparer.Ordinal);
        for (var i = 0; i < component.Count; i++)
        {
            foreach (var key in named[i].All)
            {
                if (!first.TryAdd(key, i))
                {
                    parts.TryJoin(first[key], i);
                }
            }
        }

        var cves = named.SelectMany(of => of.Cves).ToHashSet(StringComparer.Ordinal);
        var torn = Enumerable.Range(0, component.Count)
            .SelectMany(i => named[i].All.Where(cves.Contains).Select(cve => (Part: parts.Of(i), Cve: cve)))
            .Distinct().GroupBy(of => of.Part).Where(of => of.Count() > 1).Select(of => of.Key).ToHashSet();
        return component.Select((node, i) => (node, torn.Contains(parts.Of(i)) ? named[i].Surest : named[i].All));
    }

    private static IReadOnlyList<LinkedGroup> Collect(
        List<LinkNode> nodes, Parts parts, List<((string Component, string Cluster) Shared, List<int> Members)> shared, HashSet<int> byHand)
    {
        var links = nodes.Select(_ => new SortedSet<string>(StringComparer.Ordinal)).ToList();
        foreach (var ((_, cluster), members) in shared)
        {
            foreach (var together in members.GroupBy(parts.Of).Where(together => together.Count() > 1))
            {
                foreach (var member in together)
                {
                    links[member].Add(cluster);
                }
            }
        }

        return
        [
            .. Enumerable.Range(0, nodes.Count).GroupBy(parts.Of)
                .Where(part => part.Select(i => nodes[i].Source).Distinct(StringComparer.Ordinal).Skip(1).Any())
                .Select(part => new LinkedGroup(
                    [.. part.Select(i => nodes[i].Finding)], byHand.Contains(part.Key), part.ToDictionary(i => nodes[i].Finding, IReadOnlyList<string> (i) => [.. links[i]]))),
        ];
    }

    /// <param name="All">What it may count by.</param>
    /// <param name="Surest">What it counts by where sources disagree: one cluster at most.</param>
    /// <param name="Cves">Clusters of the CVEs it names.</param>
    private sealed record Named(IReadOnlyCollection<string> All, IReadOnlyCollection<string> Surest, IReadOnlyCollection<string> Cves)
    {
        public static Named Of(LinkNode node, Func<string, string> cluster)
        {
            var cves = node.Ids.Where(id => id.StartsWith("CVE-", StringComparison.Ordinal)).Select(cluster).ToHashSet(StringComparer.Ordinal);
            IReadOnlyCollection<string> own = Identifiers.Advisory(node.Rule) is { } rule ? [cluster(rule.Value)] : [];
            return cves.Count > 1
                ? new Named(own, own, cves)
                : new Named(
                    node.Ids.Where(id => !Bulletins.Contains(id)).Select(cluster).Concat(own).ToHashSet(StringComparer.Ordinal),
                    cves.Count == 1 ? cves : own,
                    cves);
        }
    }

    /// <summary>Disjoint sets that are not joined where somebody keeps two of their members apart.</summary>
    private sealed class Parts
    {
        private readonly int[] _part;
        private readonly Dictionary<int, List<int>> _members = [];
        private readonly Dictionary<int, HashSet<int>> _apart = [];

        public Parts(int count, IEnumerable<LinkPair> apart, Dictionary<Guid, int> index)
        {
            _part = [.. Enumerable.Range(0, count)];
            foreach (var pair in apart)
            {
                if (index.TryGetValue(pair.A, out var a) && index.TryGetValue(pair.B, out var b))
                {
                    Apart(a).Add(b);
                    Apart(b).Add(a);
                }
            }
        }

        public int Of(int node) => _part[node];

        /// <returns>Whether both are in one part now.</returns>
        public bool TryJoin(int a, int b)
        {
            var (into, from) = (_part[a], _part[b]);
            if (into == from)
            {
                return true;
            }

            if (Members(into).Count < Members(from).Count)
            {
                (into, from) = (from, into);
            }

            if (Members(from).Any(member => _apart.TryGetValue(member, out var apart) && apart.Any(other => _part[other] == into)))
            {
                return false;
            }

            foreach (var member in Members(from))
            {
                _part[member] = into;
                Members(into).Add(member);
            }

            _members.Remove(from);
            return true;
        }

        private List<int> Members(int part)
        {
            if (!_members.TryGetValue(part, out var members))
            {
                _members[part] = members = [part];
            }

            return members;
        }

        private HashSet<int> Apart(int node)
        {
            if (!_apart.TryGetValue(node, out var apart))
            {
                _apart[node] = apart = [];
            }

            return apart;
        }
    }
}

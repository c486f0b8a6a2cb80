namespace Wave16.VulnCenter.Tests.Groups;

/// <summary>docs/groups.md, as naively as it can be put down: everything from the beginning, by repeated passes over all pairs.</summary>
internal sealed class GroupModel
{
    private readonly List<(Guid Finding, string Source, string Package, string Rule, string[] Ids)> _findings = [];
    private readonly HashSet<(string A, string B)> _edges = [];
    private readonly List<(Guid A, Guid B, bool Apart, Guid Taken)> _said = [];

    public IReadOnlyList<Guid> Findings => [.. _findings.Select(finding => finding.Finding)];

    public void Report(Guid finding, string source, Vulnerable reported)
    {
        _findings.RemoveAll(known => known.Finding == finding);
        _findings.Add((finding, source, reported.Package, reported.Rule, reported.Ids.Length == 0 ? [reported.Rule] : reported.Ids));
    }

    public void Join(string a, string b) => _edges.Add((a, b));

    public void Cut(string a, string b) => _edges.RemoveWhere(edge => edge == (a, b) || edge == (b, a));

    public bool HasEdge(string a, string b) => _edges.Contains((a, b)) || _edges.Contains((b, a));

    public void Link(params Guid[] findings)
    {
        foreach (var (a, b) in Pairs(findings))
        {
            Forget(a, b);
            _said.Add((a, b, false, default));
        }
    }

    public void Split(IReadOnlyList<Guid> group, params Guid[] taken)
    {
        var stay = group.Except(taken).ToList();
        foreach (var (x, y) in stay.Count > 0 ? stay.SelectMany(x => taken.Select(y => (x, y))) : Pairs([.. group]).Select(pair => (pair.A, pair.B)))
        {
            Forget(x, y);
            _said.Add((x, y, true, y));
        }
    }

    /// <summary>One that is split from a finding is kept apart from what that one is kept apart from; what the finding is linked with says nothing of it.</summary>
    public void Separate(Guid finding, Guid split) => _said.AddRange(_said
        .Where(pair => pair.Apart && (pair.A == finding || pair.B == finding))
        .Select(pair => (pair.A == finding ? split : pair.A, pair.B == finding ? split : pair.B, true, pair.Taken == finding ? split : pair.Taken)).ToList());

    public string SourceOf(Guid finding) => _findings.Single(known => known.Finding == finding).Source;

    /// <summary>Members of each group, sorted.</summary>
    public IReadOnlyList<string> Groups()
    {
        var part = _findings.ToDictionary(finding => finding.Finding, finding => finding.Finding);
        foreach (var pair in _said.Where(pair => !pair.Apart))
        {
            Unite(part, pair.A, pair.B);
        }

        var keys = Keys();
        var taken = _said.Where(pair => pair.Apart).Select(pair => pair.Taken).ToHashSet();
        foreach (var shared in keys.SelectMany(of => of.Value.Select(key => (key, of.Key))).GroupBy(of => of.key, of => of.Key)
            .OrderBy(of => of.Key.Package, StringComparer.Ordinal).ThenBy(of => of.Key.Cluster, StringComparer.Ordinal))
        {
            var inOrder = shared.OrderBy(taken.Contains).ThenBy(finding => finding).ToList();
            for (var i = 1; i < inOrder.Count; i++)
            {
                for (var j = 0; j < i && !Unite(part, inOrder[j], inOrder[i]); j++)
                {
                }
            }
        }

        return
        [
            .. _findings.Select(finding => finding.Finding).GroupBy(finding => part[finding])
                .Where(group => group.Select(SourceOf).Distinct().Count() > 1)
                .Select(group => string.Join(' ', group.Order())).Order(StringComparer.Ordinal),
        ];
    }

    private Dictionary<Guid, HashSet<(string Package, string Cluster)>> Keys()
    {
        Dictionary<Guid, HashSet<(string Package, string Cluster)>> keys = [];
        foreach (var package in _findings.GroupBy(finding => finding.Package))
        {
            var wide = package.ToDictionary(finding => finding.Finding, finding => Wide(finding.Rule, finding.Ids));
            foreach (var finding in package)
            {
                // Everything that is reachable by shared clusters.
                HashSet<Guid> reach = [finding.Finding];
                while (package.Select(other => other.Finding).FirstOrDefault(other => !reach.Contains(other) && reach.Any(seen => wide[seen].Overlaps(wide[other]))) is var next && next != Guid.Empty)
                {
                    reach.Add(next);
                }

                var cves = package.SelectMany(other => Cves(other.Ids)).ToHashSet();
                var torn = reach.SelectMany(other => wide[other]).Where(cves.Contains).Distinct().Count() > 1;
                var own = Cves(finding.Ids);
                keys[finding.Finding] = [.. (torn ? own.Count == 1 ? own : [Cluster(finding.Rule)] : wide[finding.Finding]).Select(cluster => (package.Key, cluster))];
            }
        }

        return keys;
    }

    private HashSet<string> Wide(string rule, string[] ids) =>
        Cves(ids).Count > 1 ? [Cluster(rule)] : [.. ids.Where(id => !id.StartsWith("RHSA", StringComparison.Ordinal)).Append(rule).Select(Cluster)];

    private HashSet<string> Cves(string[] ids) => [.. ids.Where(id => id.StartsWith("CVE-", StringComparison.Ordinal)).Select(Cluster)];

    private string Cluster(string id)
    {
        HashSet<string> reach = [id];
        bool grew;
        do
        {
            grew = false;
            foreach (var (a, b) in _edges)
            {
                grew |= (reach.Contains(a) && reach.Add(b)) | (reach.Contains(b) && reach.Add(a));
            }
        }
        while (grew);
        return reach.Min(StringComparer.Ordinal) ?? id;
    }

    private bool Unite(Dictionary<Guid, Guid> part, Guid a, Guid b)
    {
        var (first, second) = (part[a], part[b]);
        if (first == second)
        {
            return true;
        }

        if (_said.Any(pair => pair.Apart && ((part[pair.A] == first && part[pair.B] == second) || (part[pair.A] == second && part[pair.B] == first))))
        {
            return false;
        }

        foreach (var member in part.Where(of => of.Value == second).Select(of => of.Key).ToList())
        {
            part[member] = first;
        }

        return true;
    }

    private void Forget(Guid a, Guid b) => _said.RemoveAll(pair => (pair.A, pair.B) == (a, b) || (pair.A, pair.B) == (b, a));

    private static IEnumerable<(Guid A, Guid B)> Pairs(IReadOnlyList<Guid> findings) => findings.SelectMany((a, i) => findings.Skip(i + 1).Select(b => (a, b)));
}
